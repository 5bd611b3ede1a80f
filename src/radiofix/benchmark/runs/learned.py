"""What every method is: something that learns a lesson and then answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import torch

from radiofix.benchmark.runs.answers import Answer, Links
from radiofix.benchmark.runs.lessons import Lesson, Trial, Users
from radiofix.benchmark.runs.outcomes import Cost, Run
from radiofix.benchmark.runs.recipes import asked_receiver
from radiofix.benchmark.runs.scales import Scale
from radiofix.benchmark.runs.site import Site, columns
from radiofix.data.store import open_paths
from radiofix.models.parts import Part
from radiofix.training.batches import LabelledBatches
from radiofix.training.evaluate import TOGETHER
from radiofix.training.pool import HeldPool
from radiofix.training.pretrain import JUDGE_SEED
from radiofix.training.users import Among, Choice, Rows
from radiofix.types import Sounding, Truth


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
    """One row of the tables; somebody's own becomes one by `own.own` (docs/your-own-method.md)."""

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

    def rates(self, scale: Scale) -> Sequence[float | None]:
        """Of learning, to choose from."""
        ...

    def hears(self, lesson: Lesson, test: Trial) -> bool:
        """Whether it can answer a test after a lesson."""
        ...

    def most(self, scale: Scale) -> int:
        """Test users that it is asked about."""
        ...

    def learn(self, run: Run, site: Site) -> Learned:
        """Does the work of a run."""
        ...


class Undemanding:
    """What most methods without a network answer when they are asked what they need: nothing."""

    def lacks(self, site: Site) -> str | None:
        """It needs nothing."""
        return None

    def seeds(self, seeds: Sequence[int]) -> Sequence[int]:
        """All: they draw the test users."""
        return seeds

    def rates(self, scale: Scale) -> Sequence[float | None]:
        """None: how it learns, if it does, is its own affair."""
        return (None,)

    def hears(self, lesson: Lesson, test: Trial) -> bool:
        """Anything."""
        return True

    def most(self, scale: Scale) -> int:
        """All."""
        return scale.test_users


def chosen(every: Sequence[Method], names: Sequence[str] | None) -> tuple[Method, ...]:
    """The methods of these names; None: all."""
    known = [method.name for method in every]
    strange = sorted(set(names or ()) - set(known))
    if strange:
        raise ValueError(f"no method {', '.join(strange)}: there are {', '.join(known)}")
    return tuple(m for m in every if names is None or m.name in names)


def with_own(every: Sequence[Method], more: Sequence[Method]) -> tuple[Method, ...]:
    """All methods and somebody's own, each with a name of its own."""
    names = [method.name for method in every]
    for method in more:
        if method.name in names:
            raise ValueError(f"a method is called {method.name} already: give yours another name")
        names.append(method.name)
    return (*every, *more)


def labelled_links(run: Run, site: Site) -> Links:
    """Links of the labelled users of a run's lesson, as they are received there."""
    test = Trial(run.lesson.stations, run.lesson.pilots[0])
    return _received(run.lesson, test, site, _labelled(run, site), run.seed)


def held_out_links(run: Run, test: Trial, site: Site, part: str, most: int | None = None) -> Links:
    """Links of validation or test users: the same for every method.

    Args:
        run: whose lesson and seed count.
        test: at which stations and pilots.
        site: where the store is.
        part: "validation" or "test".
        most: users, the first of the scale's; None: all of them.
    """
    scale = site.scale
    count = {"validation": scale.validation_users, "test": scale.test_users}[part]
    count = count if most is None else min(most, count)
    pool = _pool(*_told(run, test, site), part, count)
    return _received(run.lesson, test, site, pool, JUDGE_SEED)


def labelled_users(run: Run, site: Site) -> Rows:
    """Rows of the users whose labels a run can use: of those drawn, whom a station hears."""
    return _labelled(run, site).user.cpu().numpy()


def _labelled(run: Run, site: Site) -> HeldPool:
    test = Trial(run.lesson.stations, run.lesson.pilots[0])
    count = site.scale.labels[run.lesson.labels]
    return _pool(*_told(run, test, site), "train", count)


def _told(run: Run, test: Trial, site: Site) -> tuple[str, Lesson, tuple[str, ...], int, str]:
    """What pools of links differ by; noise and labels are not among it."""
    lesson = Lesson(run.lesson.question, run.lesson.split, users=run.lesson.users)
    return site.store(lesson.users), lesson, test.stations, run.seed, site.device


# Methods are asked the same one after the other, and a large store takes seconds to read.
@lru_cache(maxsize=4)
def _pool(
    path: str,
    lesson: Lesson,
    stations: tuple[str, ...],
    seed: int,
    device: str,
    part: str,
    count: int,
) -> HeldPool:
    choice = _choice(path, lesson.split, lesson.users, stations)
    rows = choice.labelled(count, seed) if part == "train" else choice.held_out(part, count, seed)
    usable = lesson.question.make_task().usable
    return HeldPool(choice.store, rows, choice.stations, device, usable)


def _choice(path: str, split: str, users: Users, stations: Sequence[str]) -> Choice:
    store = open_paths(path)
    among: Among = Part(users.among).build()
    return Choice(store, split, columns(store, stations), among)


def _received(lesson: Lesson, test: Trial, site: Site, pool: HeldPool, seed: int) -> Links:
    together = min(TOGETHER, len(pool.reachable))
    return _Received(LabelledBatches(pool, asked_receiver(lesson, test), together), seed)


@dataclass(frozen=True)
class _Received:
    """Links that are made anew, and always the same, each time that they are gone through.

    Kept, those of ten thousand users and four stations would take more than a gigabyte.
    """

    batches: LabelledBatches
    seed: int

    def __iter__(self) -> Iterator[tuple[Sounding, Truth]]:
        device = self.batches.pool.reachable.device
        return self.batches.each(torch.Generator(device).manual_seed(self.seed))
