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
from radiofix.benchmark.lwlm import outcomes
from radiofix.benchmark.lwlm.learned import Method
from radiofix.benchmark.lwlm.limit import LIMIT
from radiofix.benchmark.lwlm.methods import methods
from radiofix.benchmark.lwlm.outcomes import Outcome, Run, Tried
from radiofix.benchmark.lwlm.paper import Printed, printed
from radiofix.benchmark.lwlm.protocols import Point, Protocol, named
from radiofix.benchmark.lwlm.running import preferred, wanted
from radiofix.benchmark.lwlm.scales import SCALES, Scale

Array = NDArray[np.float64]
ASKED = "bench.json"
"""In a folder of results: what was asked for."""
DRAWS = 300
"""For each interval."""
STATISTICS = {"mean": metrics.mean, "p50": metrics.median}
WORDS = {"mean": "mean", "p50": "50 %"}
"""Statistics as tables call them."""


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
    error: Array
    """Of all users and seeds."""
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
        left_out = {"error", "outcome"}
        own = {name: value for name, value in vars(self).items() if name not in left_out}
        honest = None if self.calibration is None else asdict(self.calibration)
        paper = None if self.paper is None else asdict(self.paper)
        told = {"summary": asdict(self.summary), "calibration": honest, "paper": paper}
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

    @property
    def name(self) -> str:
        """As the protocol's."""
        return self.protocol.name

    @property
    def curve(self) -> bool:
        """Whether it has an axis, not just a distribution."""
        return len(self.protocol.points) > 1

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
        known = [c for c in cells if c.paper is not None and c.paper.low == c.paper.high]
        marks = tuple((c.x, c.paper.low) for c in known if c.paper is not None)
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


def gather(out: Path, only: Sequence[str] | None = None) -> Report:
    """Reads a folder of results, as far as it goes.

    Args:
        out: of `radiofix bench lwlm`.
        only: names of figures; None: all.
    """
    if not (out / ASKED).is_file():
        raise ValueError(f"{out} holds no results of `radiofix bench lwlm`: no {ASKED} in it")
    asked = json.loads((out / ASKED).read_text())
    scale = SCALES[asked["scale"]]
    every = methods(asked["pretrained"])
    stores = tuple(name for name, there in asked["stores"].items() if there)
    done = {outcome.run: outcome for outcome in outcomes.every(out)}
    runs = wanted(every, named(only), scale, stores, out)
    looks = _looks(every)
    figures = tuple(
        Figure(protocol, _cells(protocol, every, scale, out, done), looks)
        for protocol in named(only)
    )
    return Report(
        asked=asked,
        figures=figures,
        done=tuple(done.values()),
        missing=Counter(run.method for run in runs if run not in done),
        failures=outcomes.failures(out),
    )


def _cells(
    protocol: Protocol,
    every: Sequence[Method],
    scale: Scale,
    out: Path,
    done: Mapping[Run, Outcome],
) -> tuple[Cell, ...]:
    cells = []
    for method in every:
        rate = preferred(method, scale, out)
        for point in protocol.every:
            lesson = method.lesson(point.lesson)
            if lesson is None or point.lesson.labels not in scale.labels:
                continue
            found = [o for o in done.values() if _is(o.run, Run(method.name, lesson, 0, rate))]
            if any(outcome.tested(point.test) for outcome in found):
                cells.append(_cell(protocol, point, method.name, found))
    limits = {(c.split, c.x): c.value for c in cells if c.method == LIMIT}
    return tuple(replace(cell, limit=limits.get((cell.split, cell.x))) for cell in cells)


def _is(run: Run, wanted_run: Run) -> bool:
    """Whether runs differ in their seeds alone."""
    same = run.method == wanted_run.method and run.lesson == wanted_run.lesson
    return same and run.rate == wanted_run.rate


def _cell(protocol: Protocol, point: Point, method: str, found: Sequence[Outcome]) -> Cell:
    pairs = [(o, o.tested(point.test)) for o in sorted(found, key=lambda o: o.run.seed)]
    known = [(outcome, tested) for outcome, tested in pairs if tested is not None]
    errors = [tested.error for _, tested in known]
    statistic = STATISTICS[protocol.statistic]
    first, tested = known[0]
    away = [t.nearest_label for _, t in known if t.nearest_label is not None]
    return Cell(
        figure=protocol.name,
        split=point.lesson.split,
        x=point.x,
        method=method,
        statistic=protocol.statistic,
        value=float(np.mean([statistic(error) for error in errors])),
        interval=metrics.interval(errors, statistic, DRAWS),
        summary=metrics.summary(np.concatenate(errors)),
        seeds=tuple(outcome.run.seed for outcome, _ in known),
        labels=first.labels,
        nearest_label=float(np.mean(away)) if away else None,
        milliseconds=float(np.median([t.milliseconds for _, t in known])),
        paper=printed(protocol.name, point.x, method),
        error=np.concatenate(errors),
        calibration=_calibration([t for _, t in known]),
        direction=None if tested.direction is None else float(np.median(tested.direction)),
        outcome=first,
    )


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
