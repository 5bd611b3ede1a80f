"""Paths that Sionna RT has traced; Sionna itself is imported by whoever traced them."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import torch

from radiofix.data.importers.ordering import strongest_first, wrapped
from radiofix.data.store import Array
from radiofix.types import Paths

DIFFRACTION = 8
"""Sionna's InteractionType.DIFFRACTION."""

_log = logging.getLogger(__name__)


def from_sionna(paths: Any, scene: Any | None = None) -> Paths:
    """Turns a `sionna.rt.Paths` into links, user by user, each with all its stations in turn.

    Transmitters are the stations, receivers the users. Trace with `synthetic_array=True` and one
    isotropic antenna at both ends: arrays are an argument of `radiofix.Channel`.

    Args:
        paths: what `PathSolver()(scene, ...)` gave.
        scene: the scene it was traced in, whose transmitters tell the stations' orientations;
            without it the stations look along x.
    """
    fields = link_paths(paths)
    users, stations, _ = fields["gain"].shape
    user, station = np.repeat(np.arange(users), stations), np.tile(np.arange(stations), users)
    orientation = np.zeros((stations, 3)) if scene is None else _orientations(scene, stations)
    frequency = float(np.asarray(paths._frequency if scene is None else scene.frequency).item())
    return Paths(
        **{k: torch.from_numpy(v.reshape(users * stations, -1)) for k, v in fields.items()},
        user_position=torch.from_numpy(_positions(paths.targets)[user]),
        station_position=torch.from_numpy(_positions(paths.sources)[station]),
        station_orientation=torch.from_numpy(orientation[station]),
        carrier_frequency=torch.full((users * stations,), frequency, dtype=torch.float64),
        user=torch.from_numpy(user),
        station=torch.from_numpy(station),
    )


def link_paths(paths: Any, count: int | None = None) -> dict[str, Array]:
    """Reads every name of `schema.PATH_VARIABLES`, (user, station, path), strongest first.

    Args:
        paths: a `sionna.rt.Paths`, under the conditions of `from_sionna`.
        count: paths to keep a link; by default as many as the richest link has.
    """
    _refuse_arrays(paths)
    # cir() multiplies by the phase of the distance, which `paths.a` lacks.
    gain, delay = paths.cir(normalize_delays=False, out_type="numpy")
    gain = gain[:, 0, :, 0, :, 0]
    kinds = paths.interactions.numpy()
    kinds = kinds.reshape(-1, *gain.shape) if kinds.size else np.zeros((1, *gain.shape), np.uint32)
    valid = paths.valid.numpy().astype(bool)
    finite = np.isfinite(gain)
    if lost := int((valid & ~finite).sum()):
        _log.warning("%d of %d paths have a gain that is not finite: left out", lost, valid.sum())
    fields = {
        "gain": gain,
        "delay": delay,
        "station_azimuth": wrapped(paths.phi_t.numpy()),
        "station_zenith": paths.theta_t.numpy(),
        "user_azimuth": wrapped(paths.phi_r.numpy()),
        "user_zenith": paths.theta_r.numpy(),
        "interactions": np.count_nonzero(kinds, axis=0),
        "diffracted": (kinds == DIFFRACTION).any(axis=0),
    }
    return strongest_first(fields, valid & finite & (gain != 0), count)


def _refuse_arrays(paths: Any) -> None:
    if not paths.synthetic_array:
        raise ValueError("paths were traced antenna by antenna: trace with synthetic_array=True")
    for end, array in (("transmitters", paths.tx_array), ("receivers", paths.rx_array)):
        if array.num_ant != 1:
            raise ValueError(
                f"the {end} have {array.num_ant} antennas: trace with one isotropic antenna, "
                'PlanarArray(num_rows=1, num_cols=1, pattern="iso", polarization="V")'
            )
        if not _isotropic(array):
            raise ValueError(
                f'the {end} have a directive antenna pattern: trace with pattern="iso", '
                "radiofix.Channel applies the pattern"
            )


def _isotropic(array: Any) -> bool:
    """Whether the antenna pattern has gain 1 in a handful of directions all round."""
    zenith, azimuth = np.meshgrid(np.linspace(0.3, 2.8, 5), np.linspace(-3.0, 3.0, 7))
    pattern = array.antenna_pattern.patterns[0]
    field = pattern(*(_drjit_like(angle.ravel()) for angle in (zenith, azimuth)))
    power = sum(np.abs(_to_complex(part)) ** 2 for part in field)
    return bool(np.allclose(power, 1.0, atol=1e-3))


def _drjit_like(values: Array) -> Any:
    import mitsuba

    return mitsuba.Float(values.astype(np.float32))


def _to_complex(part: Any) -> Array:
    return np.asarray(part.real) + 1j * np.asarray(part.imag)


def _positions(points: Any) -> Array:
    return np.asarray(points.numpy(), dtype=np.float64).reshape(3, -1).T


def _orientations(scene: Any, stations: int) -> Array:
    transmitters = list(scene.transmitters.values())
    if len(transmitters) != stations:
        raise ValueError(
            f"the scene has {len(transmitters)} transmitters, the paths have {stations}: "
            "give the scene that was traced, unchanged"
        )
    each = [np.asarray(t.orientation.numpy(), dtype=np.float64).reshape(3) for t in transmitters]
    return np.stack(each)
