"""All runs of the protocols, each once: in what order, how many are left, how long they take."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from radiofix.benchmark.lwlm import outcomes
from radiofix.benchmark.lwlm.answers import ask
from radiofix.benchmark.lwlm.learned import Method, held_out_links, labelled_users
from radiofix.benchmark.lwlm.lessons import Lesson, Trial
from radiofix.benchmark.lwlm.networks import Network
from radiofix.benchmark.lwlm.outcomes import Outcome, Run, Tried
from radiofix.benchmark.lwlm.protocols import PROTOCOLS, REGION, Point, Protocol, trials_of
from radiofix.benchmark.lwlm.questions import POSITION
from radiofix.benchmark.lwlm.scales import RATE_LABELS, Scale
from radiofix.benchmark.lwlm.site import Site
from radiofix.benchmark.metrics import nearest
from radiofix.data.store import open_paths
from radiofix.training.checkpoints import provenance


@dataclass(frozen=True)
class Bench:
    """What is to be run, and where."""

    site: Site
    methods: tuple[Method, ...]
    protocols: tuple[Protocol, ...] = PROTOCOLS
    seeds: tuple[int, ...] | None = None
    """Of the scale's, those that are run; None: all."""

    def missing(self) -> dict[str, str]:
        """Methods that cannot be run here, and why."""
        lacks = {method.name: method.lacks(self.site) for method in self.methods}
        return {name: why for name, why in lacks.items() if why is not None}

    def able(self) -> tuple[Method, ...]:
        """Methods that can."""
        return tuple(m for m in self.methods if m.lacks(self.site) is None)

    def pretrainings(self) -> tuple[Network, ...]:
        """Networks whose pretraining run is not finished, and that still have runs to do."""
        wanted = {run.method for run in self.left((*self.searches(), *self.runs()))}
        networks = [m for m in self.able() if isinstance(m, Network) and m.name in wanted]
        return tuple(m for m in networks if not m.pretrained(self.site))

    def searches(self) -> tuple[Run, ...]:
        """Runs by which rates of learning are chosen, where there is a choice."""
        return tuple(run for method in self.able() for run in searches(method, self.site.scale))

    def runs(self) -> tuple[Run, ...]:
        """All runs of the figures, the first seed of each before the second of any."""
        scale, stores = self.site.scale, tuple(self.site.stores)
        every = wanted(self.able(), self.protocols, scale, stores, self.site.out)
        return tuple(run for run in every if self.seeds is None or run.seed in self.seeds)

    def left(self, runs: Iterable[Run]) -> tuple[Run, ...]:
        """Those that have no outcome, or none to all that is asked now."""
        starts = {
            method.name: method.fingerprint(self.site)
            for method in self.able()
            if isinstance(method, Network) and method.pretrained(self.site)
        }
        return tuple(run for run in runs if not self._done(run, starts))

    def stages(self) -> Iterator[tuple[Job, ...]]:
        """What is to be done, in stages: each may need what the one before has left."""
        yield tuple(partial(pretrain, self.site, network) for network in self.pretrainings())
        yield self._jobs(self.searches())
        yield self._jobs(self.runs())

    def _jobs(self, runs: Sequence[Run]) -> tuple[Job, ...]:
        waiting = {network.name for network in self.pretrainings()}
        by_name = {method.name: method for method in self.able()}
        return tuple(
            partial(perform, self.site, by_name[run.method], run)
            for run in self.left(runs)
            if run.method not in waiting
        )

    def _done(self, run: Run, starts: Mapping[str, str | None]) -> bool:
        outcome = outcomes.read(self.site.out, run)
        if outcome is None:
            return False
        if run.method in starts and outcome.start != starts[run.method]:
            raise ValueError(
                f"{self.site.out / run.file} began with other weights than {run.method} has now: "
                "give another --out, or the same --work and --pretrained"
            )
        (method,) = (m for m in self.methods if m.name == run.method)
        return all(outcome.tested(test) for test in asked(method, run.lesson))


def searches(method: Method, scale: Scale) -> tuple[Run, ...]:
    """A method's runs at different rates of learning, of which validation users prefer one."""
    rates = [rate for rate in method.rates(scale.rates) if rate is not None]
    if len(rates) < 2 or RATE_LABELS not in scale.labels:
        return ()
    lesson = Lesson(POSITION, REGION, RATE_LABELS)
    return tuple(Run(method.name, lesson, scale.seeds[0], rate) for rate in rates)


def preferred(method: Method, scale: Scale, out: Path) -> float | None:
    """The rate with the lowest validation error; while none is known, the middle one."""
    found = [outcomes.read(out, run) for run in searches(method, scale)]
    known = {o.run.rate: o.validation for o in found if o is not None and o.validation is not None}
    rates = method.rates(scale.rates)
    return min(known, key=known.__getitem__) if known else rates[len(rates) // 2]


def wanted(
    methods: Sequence[Method],
    protocols: Sequence[Protocol],
    scale: Scale,
    stores: Sequence[str],
    out: Path,
) -> tuple[Run, ...]:
    """The runs that figures need, each once, seed by seed.

    Args:
        methods: to compare.
        protocols: figures.
        scale: how much of them.
        stores: names of those that are there.
        out: where results lie, for the rates of learning.
    """
    rates = {method.name: preferred(method, scale, out) for method in methods}
    points = [p for protocol in protocols for p in points_of(protocol, scale, stores)]
    runs = [
        Run(method.name, lesson, seed, rates[method.name])
        for seed in scale.seeds
        for point in points
        for method in methods
        if seed in method.seeds(scale.seeds)
        for lesson in (method.lesson(point.lesson),)
        if lesson is not None
    ]
    return tuple(dict.fromkeys(runs))


def points_of(protocol: Protocol, scale: Scale, stores: Sequence[str]) -> list[Point]:
    """Of a figure's points, those that a scale runs and that there is a store for."""
    chosen = []
    for split in protocol.splits:
        points = [
            p
            for p in protocol.at(split)
            if p.lesson.labels in scale.labels and p.lesson.users.store in stores
        ]
        if split in scale.splits:
            chosen += points if scale.points is None else _ends(points, scale.points)
    return chosen


def _ends(points: list[Point], count: int) -> list[Point]:
    """So many of the points, those at the ends first."""
    outward = sorted(range(len(points)), key=lambda n: min(n, len(points) - 1 - n))
    return [points[n] for n in sorted(outward[:count])]


def asked(method: Method, lesson: Lesson) -> tuple[Trial, ...]:
    """The tests that a method is put to after a lesson."""
    return tuple(test for test in trials_of(lesson) if method.hears(lesson, test))


Job = partial[str]
"""Gives one line for people."""


def perform(site: Site, method: Method, run: Run) -> str:
    """Does a run and keeps its outcome, or the one line that tells why there is none."""
    try:
        outcome = carry_out(site, method, run)
    except Exception as error:  # whatever a run dies of, the others go on
        outcomes.write_failure(site.out, run, f"{type(error).__name__}: {error}")
        return f"{run.file}: failed, {' '.join(str(error).split())[:200]}"
    outcomes.write(site.out, outcome)
    errors = ", ".join(f"{tested.error.mean():.2f}" for tested in outcome.tests)
    return f"{run.file}: {errors} {run.lesson.question.unit} in {outcome.seconds:.0f} s"


def carry_out(site: Site, method: Method, run: Run) -> Outcome:
    """Teaches a method, then puts every test to it."""
    begun = time.perf_counter()
    learned = method.learn(run, site)
    task, question = run.lesson.question.make_task(), run.lesson.question
    store = open_paths(site.store(run.lesson.users))
    position = store.dataset["user_position"].values[:, :2]
    labels = position[labelled_users(run, site)] if run.lesson.labels else None
    tests = []
    for test in asked(method, run.lesson):
        links = held_out_links(run, test, site, "test", method.most(site.scale))
        answers = ask(learned.answer, task, links, question.together)
        if not np.isfinite(answers.error).all():
            raise ValueError(f"{np.isnan(answers.error).sum()} answers are no numbers")
        away = None if labels is None else float(nearest(position[answers.user], labels).mean())
        tests.append(Tried.of(test, answers, away))
    return Outcome(
        run=run,
        labels=0 if labels is None else len(labels),
        tests=tuple(tests),
        validation=learned.validation,
        seconds=round(time.perf_counter() - begun, 1),
        cost=learned.cost,
        start=learned.start,
        made=provenance(store, run.seed, torch.device(site.device)),
    )


def pretrain(site: Site, network: Network) -> str:
    """Makes a pretraining run, or tells in one line why not."""
    begun = time.perf_counter()
    try:
        network.pretrain(site)
    except Exception as error:  # as above
        return f"pretraining of {network.name}: failed, {' '.join(str(error).split())[:200]}"
    return f"pretraining of {network.name}: {time.perf_counter() - begun:.0f} s"
