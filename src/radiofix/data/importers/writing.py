"""Writes what an importer has read, after the checks that every source has to pass."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiofix.data import schema
from radiofix.data.importers.ordering import strongest_first, wrapped
from radiofix.data.splits import put_splits
from radiofix.data.store import Array, StoreWriter
from radiofix.physics.grid import grid_of

_log = logging.getLogger(__name__)

ANGLE_SLACK = 1e-3
"""How far past its range a zenith angle may lie by rounding [rad]."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where users and stations are, and on which carriers."""

    user_position: NDArray[np.float64]
    """(user, 3) [m]; of measured CSI, NaN where it is not known."""
    station_position: NDArray[np.float64]
    """(station, 3) [m]."""
    station_orientation: NDArray[np.float64]
    """(station, 3) yaw, pitch, roll [rad]."""
    carrier_frequency: NDArray[np.float64]
    """(station,) [Hz]."""
    station_names: Sequence[str]


def path_gain(decibel: Array, phase: Array) -> NDArray[np.complex128]:
    """Linear amplitude of a path of gain `decibel` [dB] and `phase` [deg]."""
    angle = np.radians(np.asarray(phase, dtype=np.float64))
    return np.asarray(10 ** (np.asarray(decibel, dtype=np.float64) / 20) * np.exp(1j * angle))


def write_paths(
    source: Path,
    out: Path,
    places: Places,
    fields: Mapping[str, Array],
    present: NDArray[np.bool_],
    attributes: Mapping[str, Any],
    comments: Mapping[str, str],
) -> None:
    """Checks, sorts and stores paths, (user, station, path) in any order, angles in any turn.

    Args:
        source: what messages name.
        out: the store to be.
        places: users and stations.
        fields: every name of `schema.PATH_VARIABLES`.
        present: where there is a path.
        attributes: the store's attributes.
        comments: what a reader must know of a variable, by its name.
    """
    _check_places(source, places)
    for name, values in fields.items():
        _refuse(source, present & ~np.isfinite(values), f"a {name} that is not a number")
    _refuse(source, present & (fields["delay"] <= 0), "a delay that is not positive")
    for end in ("station", "user"):
        zenith = fields[f"{end}_zenith"]
        outside = (zenith < -ANGLE_SLACK) | (zenith > np.pi + ANGLE_SLACK)
        _refuse(source, present & outside, f"a {end} zenith angle outside 0 to 180 degrees")
    turned = {
        **fields,
        **{f"{end}_azimuth": wrapped(fields[f"{end}_azimuth"]) for end in ("station", "user")},
        **{f"{end}_zenith": fields[f"{end}_zenith"].clip(0, np.pi) for end in ("station", "user")},
    }
    stored = strongest_first(turned, present)
    with _writer(out, places, attributes) as writer:
        _put_places(writer, places)
        for name, variable in schema.PATH_VARIABLES.items():
            comment = {"comment": comments[name]} if name in comments else {}
            writer.put(name, variable, stored[name], **comment)


def write_csi(
    source: Path,
    out: Path,
    places: Places,
    blocks: Iterable[NDArray[np.complexfloating[Any, Any]]],
    frequency: NDArray[np.float64],
    antenna_position: NDArray[np.float64],
    attributes: Mapping[str, Any],
    labels: Mapping[str, tuple[schema.Variable, Array]],
) -> None:
    """Checks and stores measured channels, (user, station, antenna, subcarrier).

    Args:
        source: what messages name.
        out: the store to be.
        places: users and stations; users without a position (NaN) are of no split.
        blocks: the csi of one group of users after the other, best of `CHUNK_USERS` users each;
            linear amplitude, 0 where a link was not measured.
        frequency: absolute, (subcarrier,) [Hz]; in any order, and with gaps, which are filled with
            what was not observed.
        antenna_position: in the station's frame, (antenna, 3) [m].
        attributes: the store's attributes.
        labels: further variables with what they mean.
    """
    unlabelled = np.asarray(np.isnan(places.user_position).all(1))
    _check_places(source, places, unlabelled)
    if unlabelled.any():
        _log.warning(
            "%s: %d of %d users have no position: they can be located, but are no labels, and in "
            "no split",
            source, unlabelled.sum(), len(unlabelled),
        )  # fmt: skip
    _finite(source, "frequency", frequency)
    _finite(source, "antenna_position", antenna_position)
    grid = grid_of(str(source), frequency)
    for name, (_, label) in labels.items():
        _finite(source, name, label)
    with _writer(out, places, attributes) as writer:
        _put_places(writer, places)
        writer.put("frequency", schema.CSI_VARIABLES["frequency"], grid.frequency)
        writer.put("antenna_position", schema.CSI_VARIABLES["antenna_position"], antenna_position)
        for name, (variable, label) in labels.items():
            writer.put(name, variable, label)
        sizes = {"antenna": len(antenna_position), "subcarrier": len(grid)}
        writer.create("csi", schema.CSI_VARIABLES["csi"], sizes)
        for block in blocks:
            writer.append("csi", _single_precision(source, grid.spread(block)))


def _single_precision(source: Path, csi: Array) -> NDArray[np.complex64]:
    with np.errstate(over="ignore", invalid="ignore"):
        values = csi.astype(np.complex64)
    broken = ~np.isfinite(values).all(axis=(2, 3))
    if broken.any():
        raise ValueError(
            f"{source}: the csi of {broken.sum()} of {broken.size} links is not finite in float32: "
            "remove these users or set what was not measured to 0"
        )
    return values


def _writer(out: Path, places: Places, attributes: Mapping[str, Any]) -> StoreWriter:
    named = {**attributes, "station_names": [str(name) for name in places.station_names]}
    return StoreWriter(out, named, len(places.user_position), len(places.station_position))


def _put_places(writer: StoreWriter, places: Places) -> None:
    for name, variable in schema.SCENE_VARIABLES.items():
        writer.put(name, variable, getattr(places, name))
    put_splits(writer, places.user_position)


def _check_places(
    source: Path, places: Places, unlabelled: NDArray[np.bool_] | None = None
) -> None:
    if not len(places.user_position) or not len(places.station_position):
        raise ValueError(f"{source} has no users or no stations: nothing to import")
    for name in schema.SCENE_VARIABLES:
        values = getattr(places, name)
        if name == "user_position" and unlabelled is not None:
            values = values[~unlabelled]
        _finite(source, name, values)
    if (places.carrier_frequency <= 0).any():
        lowest = places.carrier_frequency.min()
        raise ValueError(f"{source}: carrier_frequency must be positive, got {lowest:g}")


def _finite(source: Path, name: str, values: Array) -> None:
    if broken := int((~np.isfinite(values)).sum()):
        raise ValueError(
            f"{source}: {broken} values of {name} are not numbers: remove or mend them"
        )


def _refuse(source: Path, broken: NDArray[np.bool_], what: str) -> None:
    if count := int(broken.sum()):
        user, station, _ = np.argwhere(broken)[0]
        raise ValueError(
            f"{source}: {count} paths have {what}, the first of user {user} at station {station}: "
            "get the data again"
        )
