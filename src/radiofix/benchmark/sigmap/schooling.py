"""Training in many cities, before a new one: the only place where a map is no constant."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from radiofix.benchmark.runs.lessons import ALL_LABELS, CITIES, Lesson
from radiofix.benchmark.runs.networks import Changes
from radiofix.benchmark.runs.preparing import Preparation
from radiofix.benchmark.runs.protocols import REGION
from radiofix.benchmark.runs.questions import POSITION
from radiofix.benchmark.runs.recipes import InLesson, changed, teaching
from radiofix.benchmark.runs.scales import Pace, Scale
from radiofix.benchmark.runs.site import Site
from radiofix.benchmark.sigmap.arms import FULL
from radiofix.data.store import open_paths
from radiofix.models.localizer import Localizer
from radiofix.models.parts import Part
from radiofix.models.prompted import ReadingEncoder
from radiofix.training.checkpoints import LAST, RunFolder
from radiofix.training.finetune import finetune
from radiofix.training.launch import single
from radiofix.training.localizing import pretrained
from radiofix.training.recipe import FinetuneRecipe, read_recipe
from radiofix.training.shipping import ship
from radiofix.training.users import users_of

LESSON = Lesson(POSITION, REGION, stations=(), users=CITIES)
"""What is taught: the position of each user of every city from each of its stations."""
READING = "radiofix.models.prompted.ReadingParts"
BEGUN = "begun"
"""Folder of a network that reads walls, before it has learnt."""


@dataclass(frozen=True)
class School:
    """A network that has been taught in many cities."""

    name: str
    """Of its folder, with the seed."""
    recipe: str
    """Of fine-tuning."""
    pretrained: str
    """Before school: a run's folder or a localizer's name."""
    changes: Changes
    """Of the recipe: who tells of the map, and what learns."""
    reader: Part | None = None
    """That asks the walls for each link; None: nobody does."""
    ahead: float = 1.0
    """How many times faster than the encoder the head learns, which has more to learn."""

    def place(self, method: str, site: Site, seed: int) -> str | None:
        """The folder of the seed."""
        return str(site.prepared(self._named(seed)))

    def preparation(self, method: str, family: str, seed: int) -> Preparation | None:
        """The run in many cities."""
        return Schooling(self._named(seed), family, self, seed)

    def _named(self, seed: int) -> str:
        return f"{self.name}-seed{seed}"


@dataclass(frozen=True)
class Schooling:
    """The run in many cities of one seed."""

    name: str
    family: str
    school: School
    seed: int

    @property
    def recipe(self) -> str:
        """Of fine-tuning."""
        return self.school.recipe

    def lacks(self, site: Site) -> str | None:
        """The cities, until it has been taught in them."""
        if self.ready(site) or CITIES.store in site.stores:
            return None
        return f"no store named {CITIES.store} is given"

    def ready(self, site: Site) -> bool:
        """Whether there is a localizer to go on from."""
        return (site.prepared(self.name) / "localizer" / "config.json").is_file()

    def plan(self, site: Site) -> FinetuneRecipe:
        """The recipe as the scale has it."""
        store = site.store(LESSON.users)
        there = len(users_of(open_paths(store), LESSON.split, ("train",)))
        count = min(site.scale.schooled_users, there)
        scale = replace(
            site.scale, labels={ALL_LABELS: count}, finetuning=site.scale.schooling, few={}
        )
        content = changed(site.recipe(self.school.recipe), site.scale.sizes.get(self.family, {}))
        rate = self.school.ahead * site.scale.schooling["rate"]
        content = teaching(content, LESSON, scale, store, self.seed, rate)
        content["task"] = {"class_path": POSITION.task}
        content["from"] = self.school.pretrained
        content = {**content, **self.school.changes(LESSON, site)}
        if self.school.ahead > 1:
            content["adaptation"] = {
                "class_path": FULL,
                "init_args": {"factor": 1 / self.school.ahead},
            }
        recipe = read_recipe(FinetuneRecipe, content, self.school.recipe)
        return replace(recipe, receiver=InLesson(recipe.receiver, LESSON))

    def make(self, site: Site) -> None:
        """Makes the run, or goes on with it."""
        recipe, reader = self.plan(site), self.school.reader
        folder = RunFolder(site.prepared(self.name))
        if reader is not None:
            assert recipe.pretrained is not None
            begun = with_reader(recipe.pretrained, reader, folder.path / BEGUN, self.seed)
            recipe = replace(recipe, pretrained=str(begun))
        folder.path.parent.mkdir(parents=True, exist_ok=True)
        finetune(single(recipe.training, site.device), recipe, folder, resume=folder.has(LAST))

    def seconds(self, pace: Pace, scale: Scale) -> float | None:
        """Steps times what one takes."""
        steps = scale.schooling.get("steps")
        return float(steps) * pace.schooling if steps and pace.schooling else None


def with_reader(place: str, reader: Part, folder: Path, seed: int) -> Path:
    """A localizer whose encoder asks the walls, and has not learnt what for; its folder.

    Args:
        place: of a localizer, or its name.
        reader: that is new.
        folder: to be.
        seed: of the reader's weights.
    """
    start = pretrained(place)
    if start.head is None or start.head_part is None:
        raise ValueError(f"{place} has no head: a reader needs one that places users already")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = ReadingEncoder(start.encoder, reader.build(dim=start.encoder.dim))
    part = Part(READING, {"encoder": start.encoder_part.plain, "reader": reader.plain})
    assert isinstance(start.head, nn.Module)
    folder.mkdir(parents=True, exist_ok=True)
    ship(folder, Localizer(encoder, start.head), part, start.head_part, {})
    return folder
