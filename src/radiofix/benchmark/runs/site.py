"""Where a bench works: its stores, recipes and folders, and how much it does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from radiofix.benchmark.runs.keeping import is_kept
from radiofix.benchmark.runs.lessons import Lesson, Users
from radiofix.benchmark.runs.protocols import Agenda
from radiofix.benchmark.runs.scales import Scale
from radiofix.data.store import PathStore, open_paths
from radiofix.training.users import station_columns

NETWORKS = "networks"
"""Folder of what is kept, beside the results."""


@dataclass(frozen=True)
class Site:
    """What all runs of a bench share."""

    scale: Scale
    stores: Mapping[str, str]
    """By the names of the agenda's."""
    out: Path
    """Results, run by run."""
    work: Path
    """Pretraining runs, and fine-tuning runs while they go on."""
    recipes: Path
    agenda: Agenda
    device: str = "cpu"
    keeps: bool = False
    """Whether what runs begin with is kept beside the results."""

    def store(self, users: Users) -> str:
        """The store of some users."""
        return self.named(users.store)

    def named(self, name: str) -> str:
        """A store by its name."""
        if name not in self.stores:
            raise ValueError(f"no store named {name} is given: name it by --stores {name}=STORE")
        return self.stores[name]

    def columns(self, lesson: Lesson) -> list[int]:
        """Columns of a lesson's stations in its store."""
        return columns(open_paths(self.store(lesson.users)), lesson.stations)

    def recipe(self, name: str) -> dict[str, Any]:
        """A recipe's plain values, by its place among the recipes."""
        place = self.recipes / name
        if not place.is_file():
            raise ValueError(f"recipe {name} is not there")
        return dict(yaml.safe_load(place.read_text()))

    def prepared(self, name: str) -> Path:
        """The folder of a run that others begin with: kept beside the results, or at work."""
        kept = self.kept(name)
        return kept if is_kept(kept) else self.work / self.scale.name / name

    def kept(self, name: str) -> Path:
        """Where such a run's network is kept, if it is."""
        return self.out / NETWORKS / name


def columns(store: PathStore, stations: Sequence[str]) -> list[int]:
    """Columns of the stations with these names; of no name: all."""
    return station_columns(store, stations or None)
