"""Subcarriers on one regular grid: what every search over delays counts on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiofix.physics.given import FEWEST

FINER = 4
"""Subcarriers may lie 2, 3 or 4 times denser than the two that are closest to each other."""
LONGER = 8
"""Times as many subcarriers as were measured, at most: beyond, gaps are no gaps any more."""
SLACK = 0.02
"""How far beside its place a frequency may lie by rounding [spacings]."""


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Evenly spaced subcarriers, the lowest first, and where the measured ones are among them."""

    frequency: NDArray[np.float64]
    """(subcarrier,) [Hz]."""
    place: NDArray[np.int64]
    """(measured,) of each measured subcarrier, in the order in which they were given."""

    def __len__(self) -> int:
        return len(self.frequency)

    def spread(self, csi: NDArray[Any]) -> NDArray[Any]:
        """CSI (..., measured) on the grid (..., subcarrier); 0 where nothing was measured."""
        if np.array_equal(self.place, np.arange(len(self))):
            return csi
        whole = np.zeros((*csi.shape[:-1], len(self)), dtype=csi.dtype)
        whole[..., self.place] = csi
        return whole


def grid_of(title: str, frequency: NDArray[np.float64]) -> Grid:
    """The grid of some frequencies, in any order and with gaps; as they are where they fill it.

    Args:
        title: what messages name.
        frequency: (measured,) [Hz].
    """
    if not np.isfinite(frequency).all() or (frequency <= 0).any():
        raise ValueError(f"{title}: subcarrier frequencies must be positive and finite")
    if len(frequency) < FEWEST:
        return Grid(frequency, np.arange(len(frequency)))
    order = np.argsort(frequency, kind="stable")
    rising = frequency[order]
    gaps = np.diff(rising)
    if gaps.min() <= 0:
        raise ValueError(
            f"{title}: subcarrier frequencies must be positive and distinct, "
            f"{rising[gaps.argmin()]:g} Hz is there twice"
        )
    for finer in range(1, FINER + 1):
        steps = np.rint(gaps / (gaps.min() / finer))
        index = np.concatenate([[0], steps.cumsum()])
        if index[-1] >= LONGER * len(frequency):
            continue
        spacing, first = np.polyfit(index, rising - rising[0], 1)
        if np.abs(rising - rising[0] - first - spacing * index).max() <= SLACK * spacing:
            place = np.empty(len(frequency), dtype=np.int64)
            place[order] = index.astype(np.int64)
            whole = rising[0] + first + spacing * np.arange(index[-1] + 1)
            return Grid(rising if len(whole) == len(rising) else whole, place)
    raise ValueError(
        f"{title}: subcarriers {gaps.min():g} to {gaps.max():g} Hz apart lie on no regular grid: "
        "interpolate the csi onto one, or leave out those beside it"
    )
