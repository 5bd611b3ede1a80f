"""What runs begin with: made once, before them, and kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from radiofix.benchmark.runs.recipes import LEFT_OUT, changed
from radiofix.benchmark.runs.scales import Pace, Scale
from radiofix.benchmark.runs.site import Site
from radiofix.training.checkpoints import LAST, WEIGHTS, RunFolder
from radiofix.training.launch import single
from radiofix.training.localizing import fingerprint
from radiofix.training.pretrain import pretrain
from radiofix.training.recipe import PretrainRecipe, read_recipe


class Preparation(Protocol):
    """A run that others begin with."""

    @property
    def name(self) -> str:
        """Its folder's; those of one name are one."""
        ...

    @property
    def family(self) -> str:
        """Of the network, for its size and its pace."""
        ...

    @property
    def recipe(self) -> str:
        """By its place among the recipes."""
        ...

    def lacks(self, site: Site) -> str | None:
        """What it is made of and is not given, in a few words; None: nothing."""
        ...

    def ready(self, site: Site) -> bool:
        """Whether it is there."""
        ...

    def make(self, site: Site) -> None:
        """Makes it, or goes on with it."""
        ...

    def seconds(self, pace: Pace, scale: Scale) -> float | None:
        """Of one core; None: it was never timed."""
        ...


class Beginning(Protocol):
    """What a network's fine-tuning begins with."""

    def place(self, method: str, site: Site, seed: int) -> str | None:
        """The folder or name to go on from; None: from scratch."""
        ...

    def preparation(self, method: str, family: str, seed: int) -> Preparation | None:
        """What is to be made before; None: nothing."""
        ...


@dataclass(frozen=True)
class Pretraining:
    """Self-supervision by a recipe."""

    name: str
    family: str
    recipe: str
    store: str
    """By its name; a part of the users of other splits is left out."""
    changes: Mapping[str, Any] = field(default_factory=dict)
    """Of the recipe, under dotted keys."""
    seed: int | None = None
    """None: the recipe's."""

    def lacks(self, site: Site) -> str | None:
        """Its store, until it has been made."""
        if self.ready(site) or self.store in site.stores:
            return None
        return f"no store named {self.store} is given"

    def ready(self, site: Site) -> bool:
        """Whether its weights are there."""
        return (site.prepared(self.name) / WEIGHTS).is_file()

    def plan(self, site: Site) -> PretrainRecipe:
        """The recipe as the scale has it."""
        content = site.recipe(self.recipe)
        content = changed(content, site.scale.sizes.get(self.family, {}))
        content = changed(content, self.changes)
        content["training"] = {**content["training"], **site.scale.pretraining}
        content["leave_out"] = LEFT_OUT
        content["seed"] = content.get("seed", 0) if self.seed is None else self.seed
        content["store"] = site.named(self.store)
        content["validation_users"] = site.scale.validation_users
        return read_recipe(PretrainRecipe, content, self.recipe)

    def make(self, site: Site) -> None:
        """Makes the run, or goes on with it."""
        recipe = self.plan(site)
        folder = RunFolder(site.prepared(self.name))
        folder.path.parent.mkdir(parents=True, exist_ok=True)
        fabric = single(recipe.training, site.device)
        pretrain(fabric, recipe, folder, resume=folder.has(LAST))

    def seconds(self, pace: Pace, scale: Scale) -> float | None:
        """Steps times what one takes."""
        steps = scale.pretraining.get("steps")
        return float(steps) * pace.pretraining if steps and pace.pretraining else None


@dataclass(frozen=True)
class Start:
    """A pretraining run of the bench's, one that is there already, or nothing."""

    recipe: str | None = None
    """Of a pretraining run that the bench makes."""
    ready: str | None = None
    """A run's folder or a localizer's name, there already."""
    shared: str | None = None
    """Name of the pretraining run where several methods begin with it; None: the method's own."""
    store: str = "o1"
    """That it is pretrained on, by its name."""
    changes: Mapping[str, Any] = field(default_factory=dict)
    """Of the recipe, under dotted keys."""
    seeded: bool = False
    """Whether each seed has a pretraining run of its own."""

    def place(self, method: str, site: Site, seed: int = 0) -> str | None:
        """The folder or name to go on from; None: from scratch."""
        return self.ready if self.recipe is None else str(site.prepared(self._name(method, seed)))

    def _name(self, method: str, seed: int) -> str:
        name = self.shared or method
        return f"{name}-seed{seed}" if self.seeded else name

    def preparation(self, method: str, family: str, seed: int) -> Preparation | None:
        """The pretraining run."""
        if self.recipe is None:
            return None
        own = seed if self.seeded else None
        name = self._name(method, seed)
        return Pretraining(name, family, self.recipe, self.store, self.changes, own)


def weights(place: str | None) -> str | None:
    """SHA-256 of the weights that a run begins with; None: from scratch."""
    return None if place is None else fingerprint(place)
