"""How much better one method is than another on the same users, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from radiofix.benchmark import metrics

Array = NDArray[np.float64]
DRAWS = 1_000
"""For an interval."""


@dataclass(frozen=True)
class Contrast:
    """Errors of another method less those of the one that is asked about."""

    mean: float
    interval: tuple[float, float]
    """95 % of it when seeds, and users (or squares of users) within each, are drawn again."""
    seeds: int

    @property
    def verdict(self) -> str:
        """Of the one that is asked about."""
        if self.interval[0] > 0:
            return "better"
        return "worse" if self.interval[1] < 0 else "no difference shown"

    @property
    def told(self) -> tuple[str, str, str, str]:
        """For a table."""
        low, high = self.interval
        return f"{self.mean:.2f}", f"{low:.2f} to {high:.2f}", self.verdict, str(self.seeds)


def contrast(
    ours: Mapping[int, Array],
    other: Mapping[int, Array],
    squares: Mapping[int, NDArray[np.int64]] | None = None,
) -> Contrast | None:
    """Of the errors of the same users, by the seed that drew them; None: no seed is shared.

    Args:
        ours: errors of the one that is asked about.
        other: of another.
        squares: that the users stand in, where those are what is drawn.
    """
    shared = [seed for seed in ours if seed in other and len(other[seed]) == len(ours[seed])]
    if not shared:
        return None
    away = [other[seed] - ours[seed] for seed in shared]
    mean = float(np.mean([difference.mean() for difference in away]))
    drawn = None if squares is None else [squares[seed] for seed in shared]
    return Contrast(mean, metrics.interval(away, draws=DRAWS, squares=drawn), len(away))
