"""What every method is: something that learns a lesson and then answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from radiofix.benchmark.lwlm.answers import Answer, Links
from radiofix.benchmark.lwlm.outcomes import Cost, Run
from radiofix.benchmark.lwlm.protocols import Lesson, Trial
from radiofix.benchmark.lwlm.recipes import asking
from radiofix.benchmark.lwlm.site import Site
from radiofix.data.store import open_paths
from radiofix.training.batches import LabelledBatches
from radiofix.training.evaluate import TOGETHER, choice_of, part_links
from radiofix.training.pool import HeldPool
from radiofix.training.users import Rows, station_columns


@dataclass(frozen=True)
class Learned:
    """A method after its lesson."""

    answer: Answer
    validation: float | None = None
    """Mean error of validation users."""
    cost: Cost | None = None
    start: str | None = None
    """SHA-256 of the weights that it began with."""


class Method(Protocol):
    """One row of the tables."""

    @property
    def name(self) -> str:
        """In tables and files; the paper's name where the paper has it."""
        ...

    @property
    def family(self) -> str:
        """Methods of one family look alike in pictures."""
        ...

    def lacks(self, site: Site) -> str | None:
        """Why it cannot be run, in a few words; None: it can."""
        ...

    def lesson(self, lesson: Lesson) -> Lesson | None:
        """What of a lesson it needs; None: it has nothing to answer there."""
        ...

    def seeds(self, seeds: Sequence[int]) -> Sequence[int]:
        """Of those, which make a difference."""
        ...

    def rates(self, rates: Sequence[float]) -> Sequence[float | None]:
        """Of learning, to choose from."""
        ...

    def learn(self, run: Run, site: Site) -> Learned:
        """Does the work of a run."""
        ...


def labelled_links(run: Run, site: Site) -> Links:
    """Links of the labelled users of a run's lesson, as they are received there."""
    lesson = run.lesson
    test = Trial(lesson.stations, lesson.pilots[0])
    recipe = asking(lesson, test, site.scale, site.store(lesson.users), run.seed)
    assert recipe.store is not None
    store = open_paths(recipe.store)
    columns = station_columns(store, recipe.stations)
    pool = HeldPool(
        store, labelled_users(run, site), columns, site.device, lesson.question.make_task().usable
    )
    batches = LabelledBatches(pool, recipe.receiver, min(TOGETHER, len(pool.reachable)))
    return batches.all(torch.Generator(site.device).manual_seed(run.seed))


def held_out_links(run: Run, test: Trial, site: Site, part: str) -> Links:
    """Links of validation or test users: the same for every method."""
    scale, lesson = site.scale, run.lesson
    count = {"validation": scale.validation_users, "test": scale.test_users}[part]
    path = site.store(lesson.users)
    recipe = asking(lesson, test, scale, path, run.seed)
    task = lesson.question.make_task()
    return part_links(recipe, open_paths(path), task, part, count, site.device)


def labelled_users(run: Run, site: Site) -> Rows:
    """Rows of the users whose labels a run may use."""
    lesson, path = run.lesson, site.store(run.lesson.users)
    recipe = asking(lesson, Trial(lesson.stations), site.scale, path, run.seed)
    store = open_paths(path)
    columns = station_columns(store, recipe.stations)
    return choice_of(recipe, store, columns).labelled(recipe.labels, run.seed)
