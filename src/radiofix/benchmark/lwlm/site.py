"""Where a bench works: its stores, recipes and folders, and how much it does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from radiofix.benchmark.lwlm.lessons import Users
from radiofix.benchmark.lwlm.scales import Scale


@dataclass(frozen=True)
class Site:
    """What all runs of a bench share."""

    scale: Scale
    stores: Mapping[str, str]
    """By the names of `lessons.STORES`."""
    out: Path
    """Results, run by run."""
    work: Path
    """Pretraining runs, and fine-tuning runs while they go on."""
    recipes: Path = Path("recipes")
    device: str = "cpu"

    def store(self, users: Users) -> str:
        """The store of some users."""
        if users.store not in self.stores:
            raise ValueError(f"no store named {users.store} is given: users {users.name} need it")
        return self.stores[users.store]

    def recipe(self, name: str) -> dict[str, Any]:
        """A recipe's plain values, by its place among the recipes."""
        place = self.recipes / name
        if not place.is_file():
            raise ValueError(f"recipe {name} is not there")
        return dict(yaml.safe_load(place.read_text()))

    def pretraining(self, method: str) -> Path:
        """The folder of a method's pretraining run."""
        return self.work / self.scale.name / method
