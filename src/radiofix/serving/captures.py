"""CSI in files of arrays: npz, npy, HDF5, MATLAB; many users a file, or a row a received packet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from radiofix.data.importers.arrays import CSI_NAMES
from radiofix.data.reception import Reception, in_wavelengths
from radiofix.data.store import Array
from radiofix.physics.arrays import ula
from radiofix.physics.given import FEWEST
from radiofix.physics.grid import Grid, grid_of
from radiofix.physics.ofdm import subcarrier_index
from radiofix.serving.fixes import NO_TRACK
from radiofix.serving.geodesy import ATTRIBUTES, Origin, origin_of
from radiofix.serving.layouts import called_in, expect_numbers, layout_of
from radiofix.serving.pieces import open_arrays
from radiofix.serving.sites import Site
from radiofix.serving.soundings import (
    Heard,
    Labels,
    Reading,
    edges,
    expect_stations,
    heard,
    heard_links,
    refuse_of_measured,
)
from radiofix.types import Station

LABELS = ("user", "time", "track", "station")
"""One number a row: whose it is, when, of which moving user, received by which station."""
SITE = ("station_position", "station_orientation", "carrier_frequency")
BAND = ("frequency", "bandwidth", "antenna_position", "ula_spacing")
KNOWN = (*CSI_NAMES, *LABELS, *SITE, *BAND, *ATTRIBUTES.values())
"""What a file may hold; anything else in it is not looked at."""


class CaptureSource:
    """One file of measured CSI, with or without its own stations."""

    def __init__(self, path: Path, reading: Reading, title: str) -> None:
        self.name = title
        self._file = open_arrays(path, title)
        self._called = called_in(self._file, dict(reading.names), KNOWN)
        self._layout = layout_of(self._file, self._called, reading.axes)
        small = {ours: theirs for ours, theirs in self._called.items() if ours not in CSI_NAMES}
        values = self._file.whole(list(small.values())) if small else {}
        found = {
            ours: expect_numbers(title, ours, values[theirs]) for ours, theirs in small.items()
        }
        rows, stations, antennas, subcarriers = self._layout.sizes
        refuse_of_measured(title, reading, antennas, subcarriers)
        if subcarriers < FEWEST:
            raise ValueError(f"{title}: one subcarrier tells no delay: give at least {FEWEST}")
        self._links = "station" in found
        if self._links and stations > 1:
            raise ValueError(
                f"{title} has an axis of stations and a station a row: leave one out, "
                "names station= or axes"
            )
        self._grid = _grid(title, found, reading, subcarriers)
        site = reading.site or _own_site(title, found, self._grid)
        self.site = site
        if not self._links:
            expect_stations(title, site, stations)
        self._reception = Reception(
            site.stations,
            _frequency(title, found, reading, subcarriers, self._grid, site.carrier_frequency),
            _antenna(title, found, reading, antennas, site.carrier_frequency),
        ).checked(title)
        self._labels, self._station = _labels(title, found, rows), _stations(title, found, site)
        self._first = _first_rows(self._labels, self._links, "user" in found)
        if reading.users is not None:
            self._first = self._first[: reading.users + 1]
        self.fixes = len(self._first) - 1

    def blocks(self) -> Iterator[Heard]:
        """Reads the file once, a bounded number of rows at a time; a fix stays in one block."""
        _, stations, antennas, subcarriers = self._layout.sizes
        most = int(np.diff(self._first).max(initial=1))
        wide = subcarriers if self._grid is None else len(self._grid)
        steps = edges(self.fixes, most * stations * antennas * wide * 8)
        bounds = [(self._first[a], self._first[b]) for a, b in pairwise(steps)]
        pieces = self._layout.pieces(self._file, [int(b - a) for a, b in bounds])
        for (start, stop), piece, (a, b) in zip(bounds, pieces, pairwise(steps), strict=True):
            labels = self._labels[self._first[a:b]]
            csi = torch.from_numpy(piece if self._grid is None else self._grid.spread(piece))
            if not self._links:
                yield heard(self.name, csi, self._reception, labels)
                continue
            # Rows of one user and time follow each other; each is a link of its own.
            fix = np.searchsorted(self._first[a : b + 1], np.arange(start, stop), "right") - 1
            yield heard_links(
                self.name,
                csi[:, 0],
                self._reception,
                torch.from_numpy(self._station[start:stop]),
                torch.from_numpy(fix),
                labels,
            )


def _own_site(title: str, found: Mapping[str, Array], grid: Grid | None) -> Site:
    """The stations that a file brings along."""
    lacking = [name for name in SITE[:2] if name not in found]
    if len(lacking) == 2:
        raise ValueError(f"{title} says nothing of its stations: give stations, a store or a file")
    if lacking:
        raise ValueError(f"{title} lacks {lacking[0]}: add it, or give stations")
    position = _threes(title, "station_position", found["station_position"])
    orientation = _threes(title, "station_orientation", found["station_orientation"])
    if len(orientation) != len(position):
        raise ValueError(
            f"{title}: {len(position)} rows of station_position, {len(orientation)} of "
            "station_orientation: mend one"
        )
    if "carrier_frequency" in found:
        carrier = _finite(title, "carrier_frequency", found["carrier_frequency"])
    elif grid is not None:
        carrier = grid.frequency[len(grid) // 2][None]
    else:
        raise ValueError(f"{title} lacks carrier_frequency [Hz]: add it, or give stations")
    if carrier.size not in (1, len(position)) or (carrier <= 0).any():
        raise ValueError(
            f"{title}: carrier_frequency must be one or {len(position)} positive numbers, got "
            f"{carrier.size}, the lowest {carrier.min():g}"
        )
    carrier = np.broadcast_to(carrier, len(position))
    return Site(
        tuple(
            Station(torch.from_numpy(p), torch.from_numpy(o), float(f), str(number))
            for number, (p, o, f) in enumerate(zip(position, orientation, carrier, strict=True))
        ),
        _own_origin(title, found),
    )


def _own_origin(title: str, found: Mapping[str, Array]) -> Origin | None:
    numbers = {}
    for name in ATTRIBUTES.values():
        if name in found:
            values = _finite(title, name, found[name])
            if values.size != 1:
                raise ValueError(f"{title}: {name} must be one number, got {values.size}")
            numbers[name] = values[0]
    try:
        return origin_of(numbers)
    except ValueError as error:
        raise ValueError(f"{title}: {error}") from error


def _grid(
    title: str, found: Mapping[str, Array], reading: Reading, subcarriers: int
) -> Grid | None:
    """Of the frequencies that a file has."""
    if "frequency" not in found:
        return None
    if reading.bandwidth is not None or reading.first_subcarrier is not None:
        raise ValueError(f"{title} has frequencies: leave bandwidth and first_subcarrier out")
    frequency = _finite(title, "frequency", found["frequency"])
    if len(frequency) != subcarriers:
        raise ValueError(
            f"{title}: {len(frequency)} frequencies for {subcarriers} subcarriers: mend axes"
        )
    return grid_of(title, frequency)


def _frequency(
    title: str,
    found: Mapping[str, Array],
    reading: Reading,
    subcarriers: int,
    grid: Grid | None,
    carrier: torch.Tensor,
) -> torch.Tensor:
    """Of each subcarrier, from its station's carrier, (station, subcarrier) [Hz]."""
    if grid is not None:
        return torch.from_numpy(grid.frequency) - carrier[:, None]
    bandwidth = _given(title, "bandwidth", reading.bandwidth, found)
    if bandwidth is None:
        raise ValueError(f"{title} lacks bandwidth [Hz]: give it, or frequency in the file")
    index = subcarrier_index(subcarriers, reading.first_subcarrier)
    return (index * (bandwidth / subcarriers)).double().expand(len(carrier), -1)


def _antenna(
    title: str,
    found: Mapping[str, Array],
    reading: Reading,
    antennas: int,
    carrier: torch.Tensor,
) -> torch.Tensor:
    """In each station's frame, (station, antenna, 3) [wavelengths]."""
    if "antenna_position" in found:
        if reading.ula_spacing is not None:
            raise ValueError(f"{title} has antenna positions: leave ula_spacing out")
        position = _threes(title, "antenna_position", found["antenna_position"])
        if len(position) != antennas:
            raise ValueError(
                f"{title}: {len(position)} antenna positions for {antennas} antennas: mend axes"
            )
        return in_wavelengths(torch.from_numpy(position), carrier)
    spacing = _given(title, "ula_spacing", reading.ula_spacing, found)
    if spacing is None and antennas > 1:
        raise ValueError(
            f"{title}: {antennas} antennas have no places: give ula_spacing in wavelengths, or "
            "antenna_position in the file"
        )
    line = ula(antennas, 0.5 if spacing is None else spacing)
    return line.positions.expand(len(carrier), -1, -1)


def _given(title: str, name: str, said: float | None, found: Mapping[str, Array]) -> float | None:
    """One positive number, as it was said, else as the file has it; None: nobody says."""
    if said is not None or name not in found:
        return said
    numbers = _finite(title, name, found[name])
    if numbers.size != 1 or numbers[0] <= 0:
        raise ValueError(f"{title}: {name} must be one positive number")
    return float(numbers[0])


def _labels(title: str, found: Mapping[str, Array], rows: int) -> Labels:
    columns = {}
    for name in LABELS:
        if name not in found:
            continue
        columns[name] = _finite(title, name, found[name])
        if len(columns[name]) != rows:
            raise ValueError(
                f"{title}: {name} has {len(columns[name])} values for {rows} rows of csi: "
                "mend names or axes"
            )
    return Labels(
        _whole_numbers(title, "user", columns.get("user", np.arange(rows))),
        columns.get("time", np.full(rows, np.nan)),
        _whole_numbers(title, "track", columns.get("track", np.full(rows, NO_TRACK))),
    )


def _stations(title: str, found: Mapping[str, Array], site: Site) -> NDArray[np.int64]:
    """Of each row, where the file says it."""
    if "station" not in found:
        return np.zeros(0, dtype=np.int64)
    column = _whole_numbers(title, "station", _finite(title, "station", found["station"]))
    if column.min(initial=0) < 0 or column.max(initial=0) >= len(site.stations):
        raise ValueError(
            f"{title}: station {column.max() if column.min() >= 0 else column.min()} is none of "
            f"the {len(site.stations)} that are known: count them from 0"
        )
    return column


def _first_rows(labels: Labels, links: bool, named: bool) -> NDArray[np.int64]:
    """The first row of each fix, and the number of rows."""
    if not (links and named):
        return np.arange(len(labels) + 1)
    same_time = (labels.time[1:] == labels.time[:-1]) | np.isnan(labels.time[1:])
    begins = (labels.user[1:] != labels.user[:-1]) | ~same_time
    return np.concatenate([[0], np.flatnonzero(begins) + 1, [len(labels)]])


def _finite(title: str, name: str, values: Array) -> NDArray[np.float64]:
    """One row of real numbers: MATLAB knows only matrices."""
    flat = values.reshape(-1)
    if np.iscomplexobj(flat) or not np.isfinite(flat).all() or not flat.size:
        raise ValueError(f"{title}: {name} must be finite real numbers: mend or remove it")
    return flat.astype(np.float64)


def _whole_numbers(title: str, name: str, values: Array) -> NDArray[np.int64]:
    rounded = values.astype(np.int64)
    if (rounded != values).any():
        raise ValueError(f"{title}: {name} must be whole numbers")
    return rounded


def _threes(title: str, name: str, values: Array) -> NDArray[np.float64]:
    rows = values[None] if values.shape == (3,) else values
    if rows.ndim != 2 or rows.shape[1] != 3:
        raise ValueError(f"{title}: {name} must be rows of 3 numbers, got shape {values.shape}")
    return _finite(title, name, rows).reshape(-1, 3)
