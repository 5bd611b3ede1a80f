"""How much better one method is than another on the same users, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from radiofix.benchmark import metrics

Array = NDArray[np.float64]
Squares = Mapping[int, NDArray[np.int64]]
DRAWS = 1_000
"""For an interval."""
MOST = 0.75
"""Of the users have to be the same."""


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
        ends = "" if math.isnan(low) else f"{low:.2f} to {high:.2f}"
        return f"{self.mean:.2f}", ends, self.verdict, str(self.seeds)


def contrast(
    ours: Mapping[int, Array],
    other: Mapping[int, Array],
    squares: Squares | None = None,
    others: Squares | None = None,
) -> Contrast | None:
    """Of the errors of the same users, by the seed that drew them; None: no seed is shared.

    A store that another machine has traced again may have a link more or less: squares of whose
    users the two have unequal numbers are left out, if these are few.

    Args:
        ours: errors of the one that is asked about.
        other: of another.
        squares: that the users stand in, where those are what is drawn.
        others: of the other's users.
    """
    away, drawn = [], []
    for seed in sorted(ours.keys() & other.keys()):
        mine, theirs = ours[seed], other[seed]
        groups = None if squares is None else squares[seed]
        same = groups is None or others is None or np.array_equal(groups, others[seed])
        if len(mine) != len(theirs) or not same:
            if groups is None or others is None:
                continue
            alike = _alike(groups, others[seed])
            kept = np.isin(groups, alike)
            if kept.mean() < MOST:
                continue
            mine, theirs = mine[kept], theirs[np.isin(others[seed], alike)]
            groups = groups[kept]
        away.append(theirs - mine)
        drawn.append(groups)
    if not away:
        return None
    mean = float(np.mean([difference.mean() for difference in away]))
    redrawn = None if squares is None else [g for g in drawn if g is not None]
    ends = metrics.interval(away, draws=DRAWS, squares=redrawn, signed=True)
    return Contrast(mean, ends, len(away))


def _alike(one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.int64]:
    """Squares of which both have equally many."""
    names, counts = np.unique(one, return_counts=True)
    theirs = dict(zip(*np.unique(other, return_counts=True), strict=True))
    same = [theirs.get(name) == count for name, count in zip(names, counts, strict=True)]
    alike: NDArray[np.int64] = names[np.array(same, dtype=bool)]
    return alike
