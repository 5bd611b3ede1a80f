"""Sionna's paths become links without losing the range, the phase or the order of the links."""

from __future__ import annotations

import glob
import os
from typing import Any

import numpy as np
import pytest
import torch

from radiofix.data.importers.sionna import DIFFRACTION, from_sionna, link_paths
from radiofix.types import SPEED_OF_LIGHT

LLVM = sorted(glob.glob("/usr/lib/*/libLLVM*19*") + glob.glob("/usr/lib/llvm-19/lib/libLLVM*.so"))
if "DRJIT_LIBLLVM_PATH" not in os.environ and LLVM:
    os.environ["DRJIT_LIBLLVM_PATH"] = LLVM[-1]
if "DRJIT_LIBLLVM_PATH" not in os.environ:
    pytest.skip("no libLLVM 19 for Sionna: apt install libllvm19", allow_module_level=True)
rt = pytest.importorskip("sionna.rt")

STATIONS = np.array([[-32.0, 10.0, 32.0], [20.0, -5.0, 10.0]])
USERS = np.array([[22.0, 0.0, 1.5], [0.0, 3.0, 1.5], [-20.0, -8.0, 1.5]])
BURIED = [0.0, 0.0, -50.0]
FREQUENCY = 3.5e9


def street(pattern: str = "iso", columns: int = 1) -> Any:
    """Sionna's street canyon with the stations and users above, one user below the ground."""
    scene = rt.load_scene(rt.scene.simple_street_canyon)
    scene.frequency = FREQUENCY
    scene.tx_array = rt.PlanarArray(num_rows=1, num_cols=columns, pattern=pattern, polarization="V")
    scene.rx_array = rt.PlanarArray(num_rows=1, num_cols=1, pattern="iso", polarization="V")
    for i, (place, yaw) in enumerate(zip(STATIONS, (0.3, -2.0), strict=True)):
        scene.add(rt.Transmitter(f"s{i}", place, orientation=[yaw, 0.1, 0.0]))
    for i, place in enumerate([*USERS, BURIED]):
        scene.add(rt.Receiver(f"u{i}", place))
    return scene


def traced(scene: Any, **options: Any) -> Any:
    arguments = {
        "max_depth": 2,
        "samples_per_src": 10_000,
        "diffraction": True,
        "refraction": False,
    }
    return rt.PathSolver()(scene, **{**arguments, **options})


@pytest.fixture(scope="module")
def scene() -> Any:
    return street()


@pytest.fixture(scope="module")
def paths(scene: Any) -> Any:
    return traced(scene)


def test_links_are_user_by_user_with_all_their_stations_in_turn(scene: Any, paths: Any) -> None:
    links = from_sionna(paths, scene)
    assert links.user.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert links.station.tolist() == [0, 1] * 4
    torch.testing.assert_close(links.user_position[::2][:3], torch.from_numpy(USERS))
    torch.testing.assert_close(links.station_position[:2], torch.from_numpy(STATIONS))
    yaw_pitch = links.station_orientation[:2, :2]
    torch.testing.assert_close(yaw_pitch.float(), torch.tensor([[0.3, 0.1], [-2.0, 0.1]]))
    assert (links.carrier_frequency == FREQUENCY).all()


def test_the_direct_path_is_friis_with_the_phase_of_its_distance(paths: Any) -> None:
    links = from_sionna(paths)
    direct = links.interactions == 0
    assert direct.sum(-1).tolist() == [1] * 6 + [0] * 2
    distance = (links.user_position - links.station_position).norm(dim=-1)[:6]
    delay = links.delay[direct].double()
    torch.testing.assert_close(delay * SPEED_OF_LIGHT, distance, atol=1e-3, rtol=0)
    wavelength = SPEED_OF_LIGHT / FREQUENCY
    # Vertical elements lose sin(zenith) at both ends where the stations are not tilted, so only
    # the upper limit of Friis holds at every link; the phase holds whatever the tilt.
    friis = wavelength / (4 * np.pi * distance)
    gain = links.gain[direct].to(torch.complex128)
    assert (gain.abs() <= friis * 1.001).all()
    assert (gain.abs() >= friis * 0.9).all()
    turned = gain * torch.exp(2j * torch.pi * FREQUENCY * delay)
    assert turned.angle().abs().max() < 0.02


def test_the_direct_path_leaves_each_end_toward_the_other(paths: Any) -> None:
    links = from_sionna(paths)
    direct = links.interactions == 0
    away = (links.user_position - links.station_position)[:6]
    away = away / away.norm(dim=-1, keepdim=True)
    for azimuth, zenith, expected in (
        (links.station_azimuth, links.station_zenith, away),
        (links.user_azimuth, links.user_zenith, -away),
    ):
        a, z = azimuth[direct].double(), zenith[direct].double()
        seen = torch.stack([z.sin() * a.cos(), z.sin() * a.sin(), z.cos()], dim=-1)
        torch.testing.assert_close(seen, expected, atol=1e-4, rtol=0)


def test_paths_fall_in_power_and_the_rest_is_nothing(paths: Any) -> None:
    links = from_sionna(paths)
    power = links.gain.abs()
    assert (power.diff(dim=-1) <= 0).all()
    assert (links.present == (power > 0)).all()
    for name in ("delay", "station_azimuth", "user_zenith", "diffracted"):
        assert not getattr(links, name)[~links.present].any()
    assert (links.interactions[~links.present] == -1).all()
    assert not links.present[6:].logical_and(~links.diffracted[6:]).any(), "only bent paths dive"


def test_no_path_is_lost_and_none_invented(paths: Any) -> None:
    links = from_sionna(paths)
    gain, _ = paths.cir(normalize_delays=False, out_type="numpy")
    expected = np.abs(gain[:, 0, :, 0, :, 0]).astype(float).sum(-1).ravel()
    np.testing.assert_allclose(links.gain.abs().double().sum(-1), expected, rtol=1e-6)


def test_bounces_are_counted_and_diffraction_is_told(paths: Any) -> None:
    assert DIFFRACTION == rt.InteractionType.DIFFRACTION
    fields = link_paths(paths)
    kinds, valid = paths.interactions.numpy(), paths.valid.numpy()
    assert fields["diffracted"].sum() == ((kinds == 8).any(0) & valid).sum() > 0
    for bounces in (0, 1, 2):
        expected = ((kinds != 0).sum(0) == bounces) & valid
        assert (fields["interactions"] == bounces).sum() == expected.sum() > 0
    assert not (fields["diffracted"] & (fields["interactions"] < 1)).any()


def test_a_count_cuts_the_weakest_or_adds_places_without_a_path(paths: Any) -> None:
    whole, three, many = link_paths(paths), link_paths(paths, 3), link_paths(paths, 500)
    for name, values in whole.items():
        np.testing.assert_array_equal(three[name], values[..., :3])
        np.testing.assert_array_equal(many[name][..., : values.shape[-1]], values)
    assert many["gain"].shape == (4, 2, 500)
    assert (many["interactions"][..., whole["gain"].shape[-1] :] == -1).all()


def test_a_scene_where_nobody_sees_anybody_has_links_without_paths() -> None:
    scene = street()
    for i in range(3):
        scene.remove(f"u{i}")
    links = from_sionna(traced(scene, diffraction=False), scene)
    assert len(links) == 2
    assert not links.present.any()
    assert links.gain.shape == (2, 1)


@pytest.mark.parametrize(
    ("change", "mend"),
    [
        ({"columns": 4}, "4 antennas"),
        ({"pattern": "tr38901"}, 'pattern="iso"'),
        ({"synthetic": False}, "synthetic_array=True"),
    ],
)
def test_arrays_and_patterns_are_refused_in_one_line(change: dict[str, Any], mend: str) -> None:
    synthetic = change.get("synthetic", True)
    found = traced(
        street(**{k: v for k, v in change.items() if k != "synthetic"}),
        synthetic_array=synthetic,
        max_depth=0,
    )
    with pytest.raises(ValueError, match=mend) as caught:
        from_sionna(found)
    assert "\n" not in str(caught.value)


def test_another_scene_than_the_traced_one_is_refused(paths: Any) -> None:
    scene = street()
    scene.remove("s1")
    with pytest.raises(ValueError, match="1 transmitters, the paths have 2"):
        from_sionna(paths, scene)
