"""What results say: each figure's numbers beside the paper's, and what is missing."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiofix.benchmark import metrics
from radiofix.benchmark.lwlm.limit import LIMIT
from radiofix.benchmark.runs import outcomes
from radiofix.benchmark.runs.learned import Method
from radiofix.benchmark.runs.outcomes import Outcome, Run, Tried
from radiofix.benchmark.runs.printed import Printed
from radiofix.benchmark.runs.protocols import REGION, Point, Protocol
from radiofix.benchmark.runs.running import preferred, wanted
from radiofix.benchmark.runs.site import Site
from radiofix.benchmark.runs.subject import Subject
from radiofix.benchmark.subjects import SUBJECTS

Array = NDArray[np.float64]
ASKED = "bench.json"
"""In a folder of results: what was asked for."""
DRAWS = 300
"""For each interval."""
STATISTICS = {"mean": metrics.mean, "p50": metrics.median}
FIRST = "lwlm"
"""The bench of results that do not name theirs."""


@dataclass(frozen=True)
class Cell:
    """One method at one point of a figure, over its seeds."""

    figure: str
    split: str
    x: float
    method: str
    statistic: str
    value: float
    """The figure's statistic: its mean over the seeds."""
    interval: tuple[float, float]
    """95 % of it when seeds and users are drawn again."""
    summary: metrics.Summary
    """Of all users and seeds together."""
    seeds: tuple[int, ...]
    labels: int
    nearest_label: float | None
    """Mean over the test users [m]."""
    milliseconds: float
    paper: Printed | None
    """Of the figure's statistic."""
    papers: tuple[Printed, ...]
    """Of others too."""
    error: Array
    """Of all users and seeds."""
    each: Mapping[int, Array]
    """Of all users, by the seed."""
    squares: Mapping[int, NDArray[np.int64]] | None
    """That they stand in, where test users have squares of their own."""
    calibration: metrics.Calibration | None
    direction: float | None
    """Median error of u, where an angle was asked for."""
    outcome: Outcome
    """Of the first seed."""
    limit: float | None = None
    """The statistic of what the channels allow at this point, where it was worked out."""

    @property
    def ratio(self) -> float | None:
        """The value over the limit's; None: there is none, or it is 0."""
        return self.value / self.limit if self.limit else None

    def plain(self) -> dict[str, Any]:
        """For JSON: numbers alone."""
        left_out = {"error", "outcome", "each", "squares"}
        own = {name: value for name, value in vars(self).items() if name not in left_out}
        honest = None if self.calibration is None else asdict(self.calibration)
        paper = None if self.paper is None else asdict(self.paper)
        papers = [asdict(one) for one in self.papers]
        told: dict[str, Any] = {
            "summary": asdict(self.summary),
            "calibration": honest,
            "paper": paper,
        }
        told["papers"] = papers
        return {**own, **told, "ratio": self.ratio}


@dataclass(frozen=True)
class Line:
    """One method in a picture."""

    name: str
    family: int
    member: int
    """Within the family."""
    x: Array
    y: Array
    low: Array | None = None
    high: Array | None = None
    marks: tuple[tuple[float, float], ...] = ()
    """What the paper prints, where it can be drawn."""


@dataclass(frozen=True)
class Panel:
    """One split of a figure."""

    title: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Figure:
    """All cells of a protocol."""

    protocol: Protocol
    cells: tuple[Cell, ...]
    looks: Mapping[str, tuple[int, int]]
    """Family and place in it, by the method's name."""
    subject: Subject

    @property
    def name(self) -> str:
        """As the protocol's."""
        return self.protocol.name

    @property
    def curve(self) -> bool:
        """Whether it has an axis, not just a distribution."""
        return len({point.x for point in self.protocol.points}) > 1

    def at(self, split: str) -> tuple[Cell, ...]:
        """The cells of one split, method by method."""
        return tuple(cell for cell in self.cells if cell.split == split)

    @cached_property
    def xs(self) -> tuple[float, ...]:
        """Places on the axis where there is anything."""
        return tuple(sorted({cell.x for cell in self.cells}))

    def of(self, split: str, method: str) -> tuple[Cell, ...]:
        """A method's cells along the axis."""
        return tuple(sorted((c for c in self.at(split) if c.method == method), key=lambda c: c.x))

    def methods(self, split: str) -> tuple[str, ...]:
        """In the order of all methods."""
        there = {cell.method for cell in self.at(split)}
        return tuple(name for name in self.looks if name in there)

    def printed(self, split: str, method: str) -> dict[float, tuple[Printed, ...]]:
        """What the paper says of a method along the axis, whether we have run it or not."""
        if not self.protocol.compares(method):
            return {}
        each = {x: _printed(self.subject, self.protocol, split, x, method) for x in self.xs}
        return {x: told for x, told in each.items() if told}

    def stated(self, split: str, method: str) -> dict[float, Printed]:
        """Of it the figure's own statistic."""
        wanted = self.protocol.statistic
        each = self.printed(split, method).items()
        return {x: paper for x, told in each for paper in told if paper.statistic == wanted}

    @property
    def panels(self) -> tuple[Panel, ...]:
        """What is to be drawn."""
        line = self._curve if self.curve else self._distribution
        return tuple(
            Panel(
                f"split {split}",
                tuple(line(name, self.of(split, name)) for name in self.methods(split)),
            )
            for split in self.protocol.splits
            if self.at(split)
        )

    def _curve(self, name: str, cells: Sequence[Cell]) -> Line:
        value, low, high = (
            np.array(v)
            for v in ([c.value for c in cells], *zip(*(c.interval for c in cells), strict=True))
        )
        marks = tuple(
            (x, paper.low)
            for x, paper in self.stated(cells[0].split, name).items()
            if paper.low == paper.high
        )
        return Line(
            name, *self.looks[name], np.array([c.x for c in cells]), value, low, high, marks
        )

    def _distribution(self, name: str, cells: Sequence[Cell]) -> Line:
        (cell,) = cells
        error, share = metrics.distribution(cell.error)
        paper = cell.paper
        drawn = paper is not None and paper.statistic == "p50" and paper.low == paper.high
        marks = ((paper.low, 0.5),) if drawn and paper is not None else ()
        return Line(name, *self.looks[name], error, share, marks=marks)


@dataclass(frozen=True)
class Report:
    """All that a folder of results holds."""

    subject: Subject
    asked: Mapping[str, Any]
    figures: tuple[Figure, ...]
    done: tuple[Outcome, ...]
    missing: Mapping[str, int]
    """Runs that are wanted and not there, by method."""
    failures: Mapping[str, str]

    @property
    def state(self) -> str:
        """How much there is, in one line."""
        left = sum(self.missing.values())
        return f"{len(self.done)} runs are done, {left} are missing, {len(self.failures)} failed"

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        cells = [cell.plain() for figure in self.figures for cell in figure.cells]
        return {
            "asked": dict(self.asked),
            "cells": cells,
            "missing": dict(self.missing),
            "failures": dict(self.failures),
        }


APART = 1_000_000
"""More squares than a store has."""


def gather(out: Path, only: Sequence[str] | None = None) -> Report:
    """Reads a folder of results, as far as it goes.

    Args:
        out: of `radiofix bench lwlm` or `sigmap`.
        only: names of figures; None: all.
    """
    if not (out / ASKED).is_file():
        raise ValueError(
            f"{out} holds no results of `radiofix bench lwlm` or `sigmap`: no {ASKED} in it"
        )
    asked = json.loads((out / ASKED).read_text())
    subject = SUBJECTS[asked.get("bench", FIRST)]
    every = subject.methods(asked["pretrained"])
    stores = {name: "" for name, there in asked["stores"].items() if there}
    site = Site(subject.scale(asked["scale"]), stores, out, out, Path("recipes"), subject.agenda)
    done = {outcome.run: outcome for outcome in outcomes.every(out)}
    protocols = subject.agenda.named(only)
    runs = wanted(every, protocols, site)
    looks = _looks(every)
    figures = tuple(
        Figure(protocol, _cells(protocol, every, site, subject, done), looks, subject)
        for protocol in protocols
    )
    return Report(
        subject=subject,
        asked=asked,
        figures=figures,
        done=tuple(done.values()),
        missing=Counter(run.method for run in runs if run not in done),
        failures=outcomes.failures(out),
    )


def _cells(
    protocol: Protocol,
    every: Sequence[Method],
    site: Site,
    subject: Subject,
    done: Mapping[Run, Outcome],
) -> tuple[Cell, ...]:
    cells = []
    places = _places(protocol, site)
    for method in every:
        if not protocol.compares(method.name):
            continue
        rate = preferred(method, site)
        for points in places:
            each = [_found(method, point, rate, done) for point in points]
            # Only seeds that have answered everything: all methods are asked about the same users.
            seeds = sorted(set.intersection(*(set(found) for found in each)))
            if seeds:
                answers = {seed: [found[seed] for found in each] for seed in seeds}
                cells.append(_cell(protocol, points[0], method.name, answers, subject))
    limits = {(c.split, c.x): c.value for c in cells if c.method == LIMIT}
    return tuple(replace(cell, limit=limits.get((cell.split, cell.x))) for cell in cells)


def _places(protocol: Protocol, site: Site) -> list[list[Point]]:
    """Points whose users count together."""
    together: dict[tuple[str, float], list[Point]] = {}
    for point in protocol.every:
        lesson = point.lesson
        if lesson.labels in site.scale.labels and lesson.users.store in site.stores:
            together.setdefault((lesson.split, point.x), []).append(point)
    return list(together.values())


def _found(
    method: Method, point: Point, rate: float | None, done: Mapping[Run, Outcome]
) -> dict[int, tuple[Outcome, Tried]]:
    """A method's answers at a point, by the seed."""
    lesson = method.lesson(point.lesson)
    if lesson is None:
        return {}
    rate = rate if lesson.labels else None
    found = {}
    for outcome in done.values():
        if outcome.run == Run(method.name, lesson, outcome.run.seed, rate):
            tested = outcome.tested(point.test)
            if tested is not None:
                found[outcome.run.seed] = (outcome, tested)
    return found


def _cell(
    protocol: Protocol,
    point: Point,
    method: str,
    answers: Mapping[int, Sequence[tuple[Outcome, Tried]]],
    subject: Subject,
) -> Cell:
    each = {s: np.concatenate([tested.error for _, tested in a]) for s, a in answers.items()}
    tests = [tested for given in answers.values() for _, tested in given]
    errors = list(each.values())
    statistic = STATISTICS[protocol.statistic]
    first = next(iter(answers.values()))[0][0]
    away = [t.nearest_label for t in tests if t.nearest_label is not None]
    split = point.lesson.split
    squares = _squares(split, answers)
    papers = _printed(subject, protocol, split, point.x, method)
    directions = [t.direction for t in tests if t.direction is not None]
    return Cell(
        figure=protocol.name,
        split=split,
        x=point.x,
        method=method,
        statistic=protocol.statistic,
        value=float(np.mean([statistic(error) for error in errors])),
        interval=metrics.interval(
            errors, statistic, DRAWS, squares=None if squares is None else list(squares.values())
        ),
        summary=metrics.summary(np.concatenate(errors)),
        seeds=tuple(answers),
        labels=first.labels,
        nearest_label=float(np.mean(away)) if away else None,
        milliseconds=float(np.median([t.milliseconds for t in tests])),
        paper=next((p for p in papers if p.statistic == protocol.statistic), None),
        papers=papers,
        error=np.concatenate(errors),
        each=each,
        squares=squares,
        # What several stations say together has no covariance; each one's own is not asked for.
        calibration=None if point.lesson.question.together else _calibration(tests),
        direction=float(np.median(np.concatenate(directions))) if directions else None,
        outcome=first,
    )


def _printed(
    subject: Subject, protocol: Protocol, split: str, x: float, method: str
) -> tuple[Printed, ...]:
    return subject.printed(protocol.name, x, method) if protocol.printed_of(split) else ()


def _squares(
    split: str, answers: Mapping[int, Sequence[tuple[Outcome, Tried]]]
) -> dict[int, NDArray[np.int64]] | None:
    """Of each seed's errors, where test users stand in squares of their own."""
    tried = [tested for given in answers.values() for _, tested in given]
    if split != REGION or any(tested.square is None for tested in tried):
        return None
    # Of several stores whose users count together, no square is another's.
    return {
        seed: np.concatenate(
            [t.square + APART * n for n, (_, t) in enumerate(given) if t.square is not None]
        )
        for seed, given in answers.items()
    }


def _calibration(tests: Sequence[Tried]) -> metrics.Calibration | None:
    stated = [(t.squared, t.radius) for t in tests if t.squared is not None]
    if not stated:
        return None
    squared, radius = (np.concatenate(values) for values in zip(*stated, strict=True))
    return metrics.calibration(squared, radius)


def _looks(every: Sequence[Method]) -> dict[str, tuple[int, int]]:
    families = list(dict.fromkeys(method.family for method in every))
    seen: Counter[str] = Counter()
    looks = {}
    for method in every:
        looks[method.name] = (families.index(method.family), seen[method.family])
        seen[method.family] += 1
    return looks
