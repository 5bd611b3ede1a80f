"""Fixes in columns: what locating hands on and what every format is written from."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

NO_TRACK = -1
"""Track of a fix of which none is known."""


@dataclass(frozen=True, slots=True)
class Fixes:
    """A block of fixes, one a user and time, in the order in which they were heard."""

    source: str
    """File or store that they come from."""
    user: NDArray[np.int64]
    """(fix,) the input's own number, or the row in it."""
    time: NDArray[np.float64]
    """(fix,) NaN where the input has none [s]."""
    track: NDArray[np.int64]
    """(fix,) fixes of one moving user share a track; `NO_TRACK`: not known."""
    position: NDArray[np.float64]
    """(fix, 3) scene frame, NaN where no station heard the user [m]."""
    covariance: NDArray[np.float64]
    """(fix, 3, 3) scene frame [m^2]."""
    trusted: NDArray[np.bool_]
    """(fix,) False where the channels are unlike what the model knows, or contradict each other."""
    station: NDArray[np.int64]
    """(fix, slot) columns of the stations that heard the user; -1: slot unused."""
    weight: NDArray[np.float64]
    """(fix, slot) how far each of them was believed, 0 to 1."""
    velocity: NDArray[np.float64] | None = None
    """(fix, 2) along x and y, once tracked [m/s]."""

    def __len__(self) -> int:
        return len(self.user)

    def __getitem__(self, chosen: Any) -> Fixes:
        """The chosen fixes, by a slice, a mask or indices."""
        columns = {
            f.name: getattr(self, f.name)[chosen]
            for f in dataclasses.fields(self)
            if isinstance(getattr(self, f.name), np.ndarray)
        }
        return dataclasses.replace(self, **columns)

    @property
    def heard(self) -> NDArray[np.int64]:
        """How many stations heard each user (fix,)."""
        return np.asarray((self.station >= 0).sum(1), dtype=np.int64)

    @property
    def known(self) -> NDArray[np.bool_]:
        """Which fixes have a position (fix,)."""
        return np.asarray(np.isfinite(self.position).all(1))
