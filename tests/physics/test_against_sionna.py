"""The channel's equation against the ray tracer's own, on the same paths.

Every case is traced twice: with one isotropic antenna for the paths, with the whole array for
Sionna's frequency response.
"""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest
import torch

from physics.links import relative_error
from radiofix.data.importers.sionna import from_sionna
from radiofix.physics.arrays import ISOTROPIC, Sector, upa
from radiofix.physics.channel import Channel
from radiofix.tracing.llvm import LlvmError, use_llvm

SUBCARRIERS = 32
OPEN, STREET = "open", "street"
STATIONS = {OPEN: [0.0, 0.0, 10.0], STREET: [-33.0, 0.0, 12.0]}
USERS = {
    OPEN: [[40.0, 25.0, 2.0], [-30.0, 60.0, 1.0], [15.0, -9.0, 20.0]],
    STREET: [[-8.0, 1.0, 1.5], [10.0, -3.0, 1.5], [25.0, 2.0, 3.0]],
}


@pytest.fixture(scope="module")
def rt() -> Any:
    if importlib.util.find_spec("sionna") is None:
        pytest.skip("Sionna RT is not installed: pip install 'radiofix[trace]'")
    try:
        use_llvm()
    except LlvmError as error:
        pytest.skip(str(error))
    return pytest.importorskip("sionna.rt")


@pytest.fixture(scope="module")
def scenes(rt: Any) -> dict[str, Any]:
    """A street with walls and an empty world, each with a station and three users."""
    made = {OPEN: rt.load_scene(), STREET: rt.load_scene(rt.scene.simple_street_canyon)}
    for name, scene in made.items():
        scene.frequency = 3.5e9
        scene.add(rt.Transmitter("station", STATIONS[name]))
        for n, position in enumerate(USERS[name]):
            scene.add(rt.Receiver(f"user-{n}", position))
    return made


def _trace(rt: Any, scene: Any, bounces: int = 2, synthetic: bool = True, **array: Any) -> Any:
    """Paths to a station with this array (one isotropic antenna by default)."""
    single = {"num_rows": 1, "num_cols": 1, "pattern": "iso", "polarization": "V"}
    scene.rx_array = rt.PlanarArray(**single)
    scene.tx_array = rt.PlanarArray(**{**single, **array})
    solver = rt.PathSolver(deterministic=True)
    return solver(
        scene, max_depth=bounces, samples_per_src=10_000, synthetic_array=synthetic, seed=1
    )


def _response(paths: Any, frequency: torch.Tensor) -> np.ndarray:
    """Sionna's own frequency response, (link, antenna, subcarrier)."""
    cfr = paths.cfr(
        frequencies=frequency.numpy().astype(np.float32),
        normalize=False,
        normalize_delays=False,
        out_type="numpy",
    )
    return cfr[:, 0, 0, :, 0, :]


CASES = [
    (OPEN, (1, 8), [0.0, 0.0, 0.0], 10e6, "iso"),
    (OPEN, (4, 4), [0.6, 0.2, -0.1], 50e6, "iso"),
    (OPEN, (2, 3), [0.6, 0.2, -0.1], 20e6, "tr38901"),
    (STREET, (1, 32), [0.0, 0.0, 0.0], 10e6, "iso"),
    (STREET, (1, 32), [2.5, 0.0, 0.0], 50e6, "iso"),
    (STREET, (4, 8), [-0.7, 0.3, 0.2], 20e6, "iso"),
    (STREET, (4, 8), [0.4, 0.1, 0.0], 50e6, "tr38901"),
]


@pytest.mark.parametrize(("name", "shape", "orientation", "bandwidth", "pattern"), CASES)
def test_the_channel_is_what_sionna_computes_from_the_same_paths(
    rt, scenes, name, shape, orientation, bandwidth, pattern
):
    scene = scenes[name]
    scene.get("station").orientation = orientation
    paths = from_sionna(_trace(rt, scene), scene)
    assert int(paths.present.sum()) >= (3 if name == OPEN else 12)
    element = Sector() if pattern == "tr38901" else ISOTROPIC
    channel = Channel(bandwidth, SUBCARRIERS, upa(*shape, pattern=element))
    rows, columns = shape
    traced = _trace(rt, scene, num_rows=rows, num_cols=columns, pattern=pattern)
    expected = _response(traced, channel.baseband_frequency)
    got = channel.synthesize(paths)
    assert relative_error(got, expected) < 1e-5


def test_the_spherical_wavefront_is_what_tracing_every_antenna_gives(rt, scenes):
    """Sionna's single precision over tens of metres leaves some 1e-4 of phase."""
    scene = scenes[OPEN]
    scene.get("station").orientation = [0.6, 0.0, 0.0]
    paths = from_sionna(_trace(rt, scene, bounces=0), scene)
    array = upa(1, 8, column_spacing=4.0)
    traced = _trace(rt, scene, bounces=0, synthetic=False, num_cols=8, horizontal_spacing=4)
    near = Channel(1e6, 4, array, wavefront="spherical", squint=True)
    expected = _response(traced, near.baseband_frequency)
    assert relative_error(near.synthesize(paths), expected) < 1e-3
    assert relative_error(Channel(1e6, 4, array).synthesize(paths), expected) > 0.1
