"""All runs of the protocols, each once: in what order, how many are left, how long they take."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
import torch

from radiofix.benchmark.metrics import nearest
from radiofix.benchmark.runs import outcomes
from radiofix.benchmark.runs.answers import ask
from radiofix.benchmark.runs.choosing import asked, rated, searches, wanted
from radiofix.benchmark.runs.claims import claim, of_results
from radiofix.benchmark.runs.keeping import is_kept, keep
from radiofix.benchmark.runs.learned import Method, held_out_links, labelled_users
from radiofix.benchmark.runs.networks import Network
from radiofix.benchmark.runs.outcomes import Outcome, Run, Tried
from radiofix.benchmark.runs.own import Own
from radiofix.benchmark.runs.preparing import Preparation
from radiofix.benchmark.runs.protocols import Protocol
from radiofix.benchmark.runs.site import Site
from radiofix.data.splits import squares
from radiofix.data.store import open_paths
from radiofix.training.checkpoints import provenance

CHANNELS = frozenset(
    [
        *("delay", "gain", "interactions", "diffracted"),
        *("station_azimuth", "station_zenith", "user_azimuth", "user_zenith"),
    ]
)
"""Of a store's arrays, what another processor traces a little differently."""


@dataclass(frozen=True)
class Bench:
    """What is to be run, and where."""

    site: Site
    methods: tuple[Method, ...]
    chosen: tuple[Protocol, ...] | None = None
    """Figures that are asked for; None: all."""
    seeds: tuple[int, ...] | None = None
    """Of the scale's, those that are run; None: all."""
    every_rate: bool = False
    """Whether what is learnt is learnt at the scale's other rates too, to be compared."""

    @property
    def protocols(self) -> tuple[Protocol, ...]:
        """Figures that are asked for."""
        return self.site.agenda.protocols if self.chosen is None else self.chosen

    def missing(self) -> dict[str, str]:
        """Methods that cannot be run here, or not on, and why."""
        lacks = {method.name: self._lacks(method) for method in self.methods}
        strange = {_called(*begins): why for begins, why in self.strange.items()}
        return {**{name: why for name, why in lacks.items() if why is not None}, **strange}

    def able(self) -> tuple[Method, ...]:
        """Methods that can."""
        return tuple(method for method in self.methods if self._lacks(method) is None)

    @cached_property
    def strange(self) -> dict[Origin, str]:
        """What methods begin with, where runs here began with other weights; and why."""
        by_name = {method.name: method for method in self.able()}
        runs: dict[Origin, list[Run]] = {}
        for run in dict.fromkeys((*self.searches(), *self.runs())):
            runs.setdefault(origin(by_name[run.method], run), []).append(run)
        # Of all that is there, not of what is asked for today: a folder is of one origin.
        done: dict[Origin, list[Outcome]] = {}
        for outcome in outcomes.every(self.site.out):
            if outcome.run.method in by_name:
                key = origin(by_name[outcome.run.method], outcome.run)
                done.setdefault(key, []).append(outcome)
        found = {
            key: self._estranged(by_name[key[0]], runs[key], done.get(key, ())) for key in runs
        }
        return {key: why for key, why in found.items() if why is not None}

    @cached_property
    def traces(self) -> dict[str, int]:
        """Runs that are done on another trace of a store: the same users, other roundings."""
        others = Counter(
            run.lesson.users.store
            for run in dict.fromkeys((*self.searches(), *self.runs()))
            for outcome in (outcomes.read(self.site.out, run),)
            if outcome is not None and traced_anew(outcome, self.site)
        )
        return dict(others)

    def pretrainings(self) -> tuple[Preparation, ...]:
        """What runs that are left begin with and that is not there yet, in order."""
        by_name = {method.name: method for method in self.able()}
        made: dict[str, Preparation] = {}
        for run in self.left((*self.searches(), *self.runs())):
            for preparation in preparations(by_name[run.method], run.seed):
                made.setdefault(preparation.name, preparation)
        return tuple(p for p in made.values() if not self._there(p))

    def searches(self) -> tuple[Run, ...]:
        """Runs by which rates of learning are chosen, where there is a choice and a label."""
        runs = self.runs()
        learning = {run.method for run in runs if run.lesson.labels}
        asked = {rated(method) for method in self.able() if method.name in learning}
        return tuple(
            run
            for method in self.able()
            if method.name in asked
            for run in searches(method, self.site)
        )

    def runs(self) -> tuple[Run, ...]:
        """All runs of the figures, the first seed of each before the second of any."""
        every = wanted(self.able(), self.protocols, self.site)
        asked = tuple(run for run in every if self.seeds is None or run.seed in self.seeds)
        if not self.every_rate:
            return asked
        rates = {method.name: method.rates(self.site.scale) for method in self.able()}
        others = {run: rates[run.method] if run.lesson.labels else () for run in asked}
        each = ((run, *(replace(run, rate=rate) for rate in others[run])) for run in asked)
        return tuple(dict.fromkeys(run for runs in each for run in runs))

    def left(self, runs: Iterable[Run]) -> tuple[Run, ...]:
        """Those that have no outcome, or none to all that is asked now."""
        by_name = {method.name: method for method in self.able()}
        return tuple(
            run
            for run in runs
            if origin(by_name[run.method], run) not in self.strange
            and not is_done(by_name[run.method], run, self.site)
        )

    def stages(self) -> Iterator[tuple[Job, ...]]:
        """What is to be done, in stages: each may need what the one before has left."""
        yield tuple(partial(prepare, self.site, preparation) for preparation in self.pretrainings())
        # What comes after them depends on what all of them say, another bench's too.
        yield self._jobs(self.searches(), wait=True)
        yield self._jobs(self.runs())

    def _lacks(self, method: Method) -> str | None:
        if self.seeds is None:
            return method.lacks(self.site)
        return method.lacks(replace(self.site, scale=replace(self.site.scale, seeds=self.seeds)))

    def _there(self, preparation: Preparation) -> bool:
        kept = not self.site.keeps or is_kept(self.site.kept(preparation.name))
        return kept and preparation.ready(self.site)

    def _jobs(self, runs: Sequence[Run], wait: bool = False) -> tuple[Job, ...]:
        by_name = {method.name: method for method in self.able()}
        return tuple(
            partial(perform, self.site, by_name[run.method], run, wait)
            for run in self.left(runs)
            if all(p.ready(self.site) for p in preparations(by_name[run.method], run.seed))
        )

    def _estranged(
        self, method: Method, runs: Sequence[Run], done: Sequence[Outcome]
    ) -> str | None:
        """Why a method that still has something to do must not go on here."""
        if not isinstance(method, Network) or all(is_done(method, r, self.site) for r in runs):
            return None
        reasons = (self._of_other_weights(method, outcome) for outcome in done)
        return next((why for why in reasons if why is not None), None)

    def _of_other_weights(self, method: Network, outcome: Outcome) -> str | None:
        run = outcome.run
        mend = "give another --out, or the same --work and --pretrained, or take it away"
        if not method.pretrained(self.site, run.seed):
            if outcome.start is None:
                return None
            return f"{run.file} began with weights that are not here: {mend}"
        if outcome.start == method.fingerprint(self.site, run.seed):
            return None
        return f"{run.file} began with other weights: {mend}"


Origin = tuple[str, ...]
"""A method's name, and those of what its runs of a seed begin with."""


def _called(name: str, *begins: str) -> str:
    """An origin in a line; what is called as its method goes without saying."""
    others = [other for other in begins if other != name]
    return f"{name} after {', '.join(others)}" if others else name


def origin(method: Method, run: Run) -> Origin:
    """Of a run: all of one begin with the same weights."""
    return (run.method, *(preparation.name for preparation in preparations(method, run.seed)))


def is_done(method: Method, run: Run, site: Site) -> bool:
    """Whether a run has an outcome that answers all that is asked now."""
    outcome = outcomes.read(site.out, run)
    return outcome is not None and answers_all(method, outcome, site)


def traced_anew(outcome: Outcome, site: Site) -> bool:
    """Whether an outcome is of another trace of the store that is given: of the same users.

    Raises:
        ValueError: it is of other users.
    """
    store = site.store(outcome.run.lesson.users)
    mine: Mapping[str, str] = open_paths(store).attributes.get("sha256") or {}
    its: Mapping[str, str] = (outcome.made.get("store") or {}).get("sha256") or {}
    other = {name for name in mine.keys() & its.keys() if mine[name] != its[name]}
    moved = sorted(other - CHANNELS)
    if moved:
        raise ValueError(
            f"{site.out / outcome.run.file} is of another store than {store}, whose {moved[0]} "
            "differs: give another --out, or the store that it is of"
        )
    return bool(other)


def answers_all(method: Method, outcome: Outcome, site: Site) -> bool:
    """Whether an outcome is of the method as it is, and answers all that is asked now."""
    if isinstance(method, Own) and outcome.start != method.source:
        return False
    tests = asked(method, outcome.run.lesson, site.agenda)
    return all(outcome.tested(test) for test in tests)


def preparations(method: Method, seed: int) -> tuple[Preparation, ...]:
    """What a method's runs of a seed begin with."""
    return method.preparations(seed) if isinstance(method, Network) else ()


Job = partial[str]
"""Gives one line for people."""


def perform(site: Site, method: Method, run: Run, wait: bool = False) -> str:
    """Does a run and keeps its outcome, or the one line that tells why there is none.

    Args:
        site: where.
        method: whose run it is.
        run: to be done.
        wait: whether to wait for another bench that is at it.
    """
    with claim(site, of_results(site, run.file), wait) as mine:
        if not mine:
            return f"{run.file}: another bench is at it"
        known = outcomes.read(site.out, run)
        if known is not None and answers_all(method, known, site):
            return f"{run.file}: another bench has done it"
        return _perform(site, method, run)


def _perform(site: Site, method: Method, run: Run) -> str:
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
    square = squares(position)
    labels = position[labelled_users(run, site)] if run.lesson.labels else None
    tests = []
    for test in asked(method, run.lesson, site.agenda):
        links = held_out_links(run, test, site, "test", method.most(site.scale))
        answers = ask(learned.answer, task, links, question.together)
        if not np.isfinite(answers.error).all():
            raise ValueError(f"{np.isnan(answers.error).sum()} answers are no numbers")
        away = None if labels is None else float(nearest(position[answers.user], labels).mean())
        one_by_one = not question.together and len(test.stations) != 1
        alike = answers.station if one_by_one else square[answers.user]
        tests.append(Tried.of(test, answers, away, alike))
    return Outcome(
        run=run,
        labels=0 if labels is None else len(labels),
        tests=tuple(tests),
        validation=learned.validation,
        seconds=round(time.perf_counter() - begun, 1),
        cost=learned.cost,
        start=learned.start,
        made=provenance(store, run.seed, torch.device(site.device)),
        memory=held(),
    )


def held() -> float | None:
    """Most memory that this process has held so far [GB]; None: the system does not tell."""
    try:
        import resource
    except ImportError:
        return None
    # Linux counts in KiB, macOS in bytes.
    unit = 1.0 if sys.platform == "darwin" else 1024.0
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9, 2)


def prepare(site: Site, preparation: Preparation) -> str:
    """Makes what runs begin with, and keeps it if that is wished; or tells in a line why not."""
    begun = time.perf_counter()
    try:
        with claim(site, preparation.name, wait=True):
            if not preparation.ready(site):
                preparation.make(site)
            if site.keeps and not is_kept(site.kept(preparation.name)):
                keep(site.prepared(preparation.name), site.kept(preparation.name))
    except Exception as error:  # as above
        why = " ".join(str(error).split())[:200]
        return f"pretraining of {preparation.name}: failed, {why}"
    return f"pretraining of {preparation.name}: {time.perf_counter() - begun:.0f} s"
