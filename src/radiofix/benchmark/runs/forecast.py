"""How long runs will take: by those like them that are done, before that by what was measured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from radiofix.benchmark.runs.choosing import asked
from radiofix.benchmark.runs.learned import Method
from radiofix.benchmark.runs.networks import Network
from radiofix.benchmark.runs.outcomes import Outcome, Run, every
from radiofix.benchmark.runs.preparing import Preparation
from radiofix.benchmark.runs.protocols import Agenda, Protocol
from radiofix.benchmark.runs.running import Bench
from radiofix.benchmark.runs.scales import Pace, Scale

MANY = 3
"""Stations that a user hears of four, about, where none is named."""


class Forecast:
    """Seconds of runs on one process of one core."""

    def __init__(
        self,
        scale: Scale,
        methods: Sequence[Method],
        agenda: Agenda,
        done: Iterable[Outcome] = (),
    ) -> None:
        self._scale, self._agenda = scale, agenda
        self._methods = {method.name: method for method in methods}
        self._alike: dict[tuple[str, str, int], list[float]] = {}
        ratios = []
        for outcome in done:
            self._alike.setdefault(_kind(outcome.run), []).append(outcome.seconds)
            measured = self._measured(outcome.run)
            if measured:
                ratios.append(outcome.seconds / measured)
        # This machine against the one that was measured on.
        self._ratio = median(ratios) if ratios else 1.0

    def seconds(self, run: Run) -> float | None:
        """Of a run; None: nothing like it was ever timed."""
        alike = self._alike.get(_kind(run))
        if alike:
            return median(alike)
        measured = self._measured(run)
        if measured is not None:
            return measured * self._ratio
        others = [s for (method, *_), each in self._alike.items() for s in each]
        own = [s for (m, *_), each in self._alike.items() for s in each if m == run.method]
        return median(own or others) if others else None

    def preparation(self, preparation: Preparation) -> float | None:
        """Of what runs begin with; None: it was never timed."""
        pace = self._scale.pace.get(preparation.name, self._scale.pace.get(preparation.family))
        seconds = None if pace is None else preparation.seconds(pace, self._scale)
        return None if seconds is None else seconds * self._ratio

    def _pace(self, method: Method) -> Pace | None:
        return self._scale.pace.get(method.name, self._scale.pace.get(method.family))

    def _measured(self, run: Run) -> float | None:
        method, scale = self._methods.get(run.method), self._scale
        pace = None if method is None else self._pace(method)
        if method is None or pace is None:
            return None
        lesson = run.lesson
        stations = len(lesson.stations) or MANY
        # Fused users keep one to all of their stations while a network learns.
        trained = (stations + 1) / 2 if lesson.question.together else stations
        anew = isinstance(method, Network) and method.anew
        settings = {**scale.finetuning, **scale.few_for(lesson.labels, anew)}
        steps, batch = settings["steps"], settings["batch"]
        seen = steps * min(batch, scale.labels.get(lesson.labels, 0)) * trained
        tests = asked(method, lesson, self._agenda)
        heard = sum(len(test.stations) or MANY for test in tests)
        looks = steps / settings["validate_every"]
        answered = min(method.most(scale), scale.test_users) * heard
        answered += looks * scale.validation_users * stations * bool(pace.link)
        total: float = pace.start + seen * pace.link + answered * pace.fix
        return total


@dataclass(frozen=True)
class Step:
    """One run of a plan."""

    name: str
    figure: str
    """The first that needs it."""
    minutes: float | None
    hours: float
    """Until it is done, with everything before it."""

    def __str__(self) -> str:
        """One line for people."""
        minutes = "     ?" if self.minutes is None else f"{self.minutes:6.1f}"
        return f"{minutes} min, after {self.hours:5.2f} h: {self.figure}: {self.name}"


def forecast(bench: Bench) -> Forecast:
    """By what a bench has done so far."""
    site = bench.site
    return Forecast(site.scale, bench.methods, site.agenda, every(site.out))


def plan(bench: Bench, processes: int) -> tuple[Step, ...]:
    """All that is left, in the order in which it is done."""
    known = forecast(bench)
    todo = [
        (f"pretraining of {first.name}", "before all", known.preparation(first))
        for first in bench.pretrainings()
    ]
    searches = bench.searches()
    runs = bench.left(dict.fromkeys((*searches, *bench.runs())))
    todo += [
        (
            f"{run.file.parent.name}/{run.file.stem}",
            "rates of learning" if run in searches else _figure(bench, run),
            known.seconds(run),
        )
        for run in runs
    ]
    steps, total = [], 0.0
    for name, figure, seconds in todo:
        total += (seconds or 0.0) / processes
        steps.append(Step(name, figure, None if seconds is None else seconds / 60, total / 3600))
    return tuple(steps)


def _figure(bench: Bench, run: Run) -> str:
    (method,) = (m for m in bench.methods if m.name == run.method)
    return next(
        p.name
        for p in bench.protocols
        if p.compares(method.name) and run.lesson in _lessons(method, p)
    )


def _lessons(method: Method, protocol: Protocol) -> set[object]:
    return {method.lesson(point.lesson) for point in protocol.every}


def _kind(run: Run) -> tuple[str, str, int]:
    return run.method, run.lesson.question.name, len(run.lesson.stations)
