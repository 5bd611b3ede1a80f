"""Measured CSI of any shape, from npz, HDF5 and MATLAB files, by a mapping of names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from radiofix.data import schema
from radiofix.data.importers.reading import read_arrays
from radiofix.data.importers.writing import Places, write_csi
from radiofix.data.store import CHUNK_USERS, Array, expect_new
from radiofix.physics.grid import grid_of
from radiofix.types import SPEED_OF_LIGHT

DIMENSIONS = ("user", "station", "antenna", "subcarrier")
PARTS = "part"
"""Name of an axis of two: real and imaginary part."""
ONE = "1"
"""Name of an axis of size 1 that means nothing."""
CSI_NAMES = ("csi", "csi_real", "csi_imag")
NAMES = (
    *CSI_NAMES,
    "user_position",
    "station_position",
    "station_orientation",
    "frequency",
    "antenna_position",
    "time",
)
"""What a file may have; `time` is one number a user [s]."""


def import_arrays(
    source: Path,
    out: Path,
    names: Mapping[str, str],
    axes: str,
    *,
    station_position: ArrayLike | None = None,
    station_orientation: ArrayLike | None = None,
    user_height: float | None = None,
    carrier_frequency: float | None = None,
    bandwidth: float | None = None,
    first_subcarrier: int | None = None,
    ula_spacing: float | None = None,
    scenario: str | None = None,
    licence: str = "unknown: see the source",
) -> None:
    """Imports measured channels; what the file does not hold is given as numbers.

    Args:
        source: an .npz, .mat (v7 or v7.3) or HDF5 file.
        out: the store to write, which must not exist yet.
        names: what is called how in the file: `{"csi": "H", "user_position": "pos", ...}`; keys
            are those of `NAMES`. The CSI is complex `csi`, or `csi_real` and `csi_imag`. Users
            whose `user_position` is NaN, or all where it is not named, have CSI but no label.
        axes: the CSI's axes in order, of user, station, antenna, subcarrier, e.g. "user antenna
            subcarrier". A repeated name is one dimension in several axes (the rows and columns of
            a panel), "part" an axis of two (real, imaginary), "1" an axis of size one. A station
            or a user that is not named is a single one.
        station_position: (3,) or (station, 3) where the file has none [m].
        station_orientation: yaw, pitch, roll, (3,) or (station, 3); zeros by default [rad].
        user_height: z of users whose positions have only x and y [m].
        carrier_frequency: centre of the band; needed unless the file has frequencies [Hz].
        bandwidth: N times the subcarriers' spacing; needed likewise [Hz].
        first_subcarrier: number of the first subcarrier, -(N // 2) by default, 0 where the carrier
            is the lowest one.
        ula_spacing: distance of the antennas along the station's y axis in wavelengths, antenna 0
            at the lowest y, where the file has no antenna positions.
        scenario: a name for the store; the file's by default.
        licence: of the source.
    """
    expect_new(out)
    _refuse_names(names)
    _refuse_text(
        user_height=user_height,
        carrier_frequency=carrier_frequency,
        bandwidth=bandwidth,
        first_subcarrier=first_subcarrier,
        ula_spacing=ula_spacing,
    )
    raw = read_arrays(source, list(dict.fromkeys(names.values())))
    found = {name: _numbers(source, names[name], raw[names[name]]) for name in names}
    csi = _arranged(source, _complex_csi(source, found, axes.split()), axes.split())
    users, stations, antennas, subcarriers = csi.shape
    frequency, carrier = _frequencies(
        source, found, subcarriers, carrier_frequency, bandwidth, first_subcarrier
    )
    orientation = _either(source, "station_orientation", found, station_orientation)
    places = Places(
        user_position=_users(source, found, users, user_height),
        station_position=_rows(
            "station_position",
            _required(source, _either(source, "station_position", found, station_position)),
            stations,
        ),
        station_orientation=_rows(
            "station_orientation",
            np.zeros((stations, 3)) if orientation is None else orientation,
            stations,
        ),
        carrier_frequency=np.full(stations, carrier),
        station_names=[str(number) for number in range(stations)],
    )
    labels = {}
    if "time" in found:
        if found["time"].size != users:
            raise ValueError(f"time has {found['time'].size} values for {users} users: mend names")
        labels["time"] = (schema.OPTIONAL_VARIABLES["time"], found["time"].reshape(users).real)
    attributes = {
        "scenario": scenario or source.stem,
        "tracer": {"name": "measured", "version": "", "settings": {"axes": axes, **names}},
        "licence": licence,
        "seed": None,
        "assumptions": {} if orientation is not None else {"station_orientation": "zeros"},
    }
    blocks = (csi[row : row + CHUNK_USERS] for row in range(0, users, CHUNK_USERS))
    write_csi(
        source,
        out,
        places,
        blocks,
        frequency,
        _antennas(source, found, antennas, ula_spacing, carrier),
        attributes,
        labels,
    )


def _refuse_names(names: Mapping[str, str]) -> None:
    if unknown := [name for name in names if name not in NAMES]:
        raise ValueError(f"names has {unknown[0]!r}, which is none of {', '.join(NAMES)}")
    if {*names} & {*CSI_NAMES} not in ({"csi"}, {"csi_real", "csi_imag"}):
        raise ValueError('names needs either "csi" or both "csi_real" and "csi_imag"')


def _refuse_text(**given: float | None) -> None:
    """From a command line anything can come."""
    for name, value in given.items():
        kind = int if name == "first_subcarrier" else (int, float)
        if value is not None and (isinstance(value, bool) or not isinstance(value, kind)):
            what = "whole number" if kind is int else "number"
            raise ValueError(f"{name} must be a {what}, got {value!r}")


def _numbers(source: Path, name: str, values: Array) -> Array:
    if values.dtype.kind not in "iufc":
        raise ValueError(f"{source}: {name!r} holds {values.dtype} values, not numbers")
    return values


def _complex_csi(source: Path, found: Mapping[str, Array], axes: Sequence[str]) -> Array:
    if "csi" in found:
        csi = found["csi"]
        _refuse_axes(source, axes, csi.shape)
        if PARTS in axes:
            real, imaginary = np.moveaxis(csi, axes.index(PARTS), 0)
            return np.asarray(real + 1j * imaginary)
        if not np.iscomplexobj(csi):
            raise ValueError(
                f'{source}: the csi is real: name both parts ("csi_real", "csi_imag") or an axis '
                f'"{PARTS}"'
            )
        return csi
    real, imaginary = found["csi_real"], found["csi_imag"]
    if real.shape != imaginary.shape:
        raise ValueError(f"{source}: csi_real has shape {real.shape}, csi_imag {imaginary.shape}")
    _refuse_axes(source, axes, real.shape)
    if PARTS in axes:
        raise ValueError(f'axes names "{PARTS}" although csi_real and csi_imag are two arrays')
    return np.asarray(real + 1j * imaginary)


def _refuse_axes(source: Path, axes: Sequence[str], shape: tuple[int, ...]) -> None:
    if unknown := [axis for axis in axes if axis not in (*DIMENSIONS, PARTS, ONE)]:
        raise ValueError(
            f"axes has {unknown[0]!r}, which is none of {', '.join((*DIMENSIONS, PARTS, ONE))}"
        )
    if missing := [axis for axis in ("antenna", "subcarrier") if axis not in axes]:
        raise ValueError(f'axes lacks {missing[0]!r}: name it, or the axis "{ONE}" of it twice')
    if axes.count(PARTS) > 1:
        raise ValueError(f'axes names "{PARTS}" more than once')
    if len(axes) != len(shape):
        raise ValueError(f"{source}: axes names {len(axes)} axes, the csi has shape {shape}")
    for axis, size in zip(axes, shape, strict=True):
        if size == 0 or (axis == ONE and size != 1) or (axis == PARTS and size != 2):
            raise ValueError(f"{source}: axis {axis!r} of a csi of shape {shape} has size {size}")


def _arranged(source: Path, csi: Array, axes: Sequence[str]) -> Array:
    """The csi as (user, station, antenna, subcarrier), repeated axes joined in their order."""
    left = [axis for axis in axes if axis != PARTS]
    places = [[i for i, axis in enumerate(left) if axis == wanted] for wanted in DIMENSIONS]
    ones = [i for i, axis in enumerate(left) if axis == ONE]
    turned = csi.transpose([*(i for group in places for i in group), *ones])
    return turned.reshape([int(np.prod([csi.shape[i] for i in group])) for group in places])


def _frequencies(
    source: Path,
    found: Mapping[str, Array],
    subcarriers: int,
    carrier: float | None,
    bandwidth: float | None,
    first: int | None,
) -> tuple[NDArray[np.float64], float]:
    """Absolute subcarrier frequencies and the carrier [Hz]."""
    for name, value in {"carrier_frequency": carrier, "bandwidth": bandwidth}.items():
        if value is not None and not 0 < value < np.inf:
            raise ValueError(f"{name} must be positive, got {value:g}")
    centre = subcarriers // 2
    if "frequency" in found:
        if bandwidth is not None or first is not None:
            raise ValueError(f"{source} has frequencies: leave bandwidth and first_subcarrier out")
        frequency = found["frequency"].real.astype(np.float64).reshape(-1)
        if len(frequency) != subcarriers:
            raise ValueError(
                f"{source}: {len(frequency)} frequencies for {subcarriers} subcarriers: mend axes"
            )
        if carrier is None:
            grid = grid_of(str(source), frequency).frequency
            carrier = float(grid[len(grid) // 2])
        return frequency, carrier
    if carrier is None or bandwidth is None:
        lacking = "carrier_frequency" if carrier is None else "bandwidth"
        raise ValueError(f'{source}: give {lacking} [Hz], or name frequencies, names["frequency"]')
    start = -centre if first is None else first
    return carrier + (start + np.arange(subcarriers)) * bandwidth / subcarriers, carrier


def _antennas(
    source: Path,
    found: Mapping[str, Array],
    antennas: int,
    spacing: float | None,
    carrier: float,
) -> NDArray[np.float64]:
    """Antenna positions in the station's frame, (antenna, 3) [m]."""
    if "antenna_position" in found:
        if spacing is not None:
            raise ValueError(f"{source} has antenna positions: leave ula_spacing out")
        return _rows("antenna_position", found["antenna_position"], antennas)
    if spacing is None and antennas > 1:
        raise ValueError(
            f"{source}: {antennas} antennas have no places: give ula_spacing= in wavelengths, or "
            'name them, names["antenna_position"]'
        )
    if spacing is not None and not 0 < spacing < np.inf:
        raise ValueError(f"ula_spacing must be positive, got {spacing:g}")
    along = (np.arange(antennas) - (antennas - 1) / 2) * (spacing or 0.0)
    return np.outer(along * SPEED_OF_LIGHT / carrier, [0.0, 1.0, 0.0])


def _either(
    source: Path, name: str, found: Mapping[str, Array], given: ArrayLike | None
) -> Array | None:
    if name in found and given is not None:
        raise ValueError(f"{name} is both named in {source} and given: leave one out")
    if given is None:
        return found.get(name)
    try:
        return np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be rows of 3 numbers, got {given!r}") from None


def _required(source: Path, values: Array | None) -> Array:
    if values is None:
        raise ValueError(f'{source}: give station_position=, or name it, names["station_position"]')
    return values


def _users(
    source: Path, found: Mapping[str, Array], users: int, height: float | None
) -> NDArray[np.float64]:
    """Positions of the users, (user, 3) [m], NaN where they are not known."""
    if "user_position" not in found:
        if height is not None:
            raise ValueError(f"{source}: users have no positions: leave user_height out")
        return np.full((users, 3), np.nan)
    return _rows("user_position", _raised(source, found["user_position"], height), users)


def _raised(source: Path, positions: Array, height: float | None) -> Array:
    flat = positions.ndim == 2 and positions.shape[1] == 2
    if flat and height is None:
        raise ValueError(f"{source}: user positions have only x and y: give user_height=")
    if not flat and height is not None:
        raise ValueError(f"{source}: user positions have a height: leave user_height out")
    if not flat or height is None:
        return positions
    unknown = np.isnan(positions).all(1)
    return np.column_stack([positions, np.where(unknown, np.nan, height)])


def _rows(name: str, values: Array, rows: int) -> NDArray[np.float64]:
    """The values as (rows, 3)."""
    if values.shape == (3,) and rows == 1:
        values = values[None]
    if values.shape != (rows, 3) or np.iscomplexobj(values):
        raise ValueError(
            f"{name} must be {rows} rows of 3 real numbers, got shape {values.shape}: "
            "mend names or axes"
        )
    return values.astype(np.float64)
