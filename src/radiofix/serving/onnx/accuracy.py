"""How far off two ways to the same fixes are, on labelled users: what rounding costs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from radiofix.data.store import PathStore
from radiofix.serving.chosen import chosen_links, labelled_rows, truth_of
from radiofix.serving.locating import Locates
from radiofix.serving.soundings import Reading
from radiofix.types import Sounding

MOST = 0.05
"""Share of the error that quantization may add."""
USERS = 500
SEED = 0


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Horizontal errors of single links."""

    links: int
    median: float
    """[m]."""
    mean: float
    """[m]."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What quantization does to the errors of the same links."""

    before: Accuracy
    after: Accuracy

    @property
    def share(self) -> float:
        """By how much the worse of median and mean has grown."""
        return max(self.after.median / self.before.median, self.after.mean / self.before.mean) - 1

    def __str__(self) -> str:
        return (
            f"median {self.before.median:.3f} to {self.after.median:.3f} m, mean "
            f"{self.before.mean:.3f} to {self.after.mean:.3f} m on {self.before.links:,} links"
        )


def labelled_links(store: PathStore, reading: Reading, users: int = USERS) -> Sounding:
    """Links of validation users (of all, where the store has no split), always the same."""
    rows = labelled_rows(store, users, SEED, ("validation", "test"))
    return chosen_links(store, rows, reading)


def accuracy(localizer: Locates, store: PathStore, sounding: Sounding) -> Accuracy:
    """How far off each link is on the ground."""
    away = (localizer.fix(sounding).position - truth_of(store, sounding).position)[:, :2]
    error = away.norm(dim=-1).numpy()
    return Accuracy(len(error), float(np.median(error)), float(error.mean()))
