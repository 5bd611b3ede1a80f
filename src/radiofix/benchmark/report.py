"""What results say: each figure's numbers beside the paper's, and what is missing."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiofix.benchmark import metrics
from radiofix.benchmark.figures import Cell, Figure, printed_of
from radiofix.benchmark.lwlm.limit import LIMIT, SURVEY
from radiofix.benchmark.runs import outcomes
from radiofix.benchmark.runs.choosing import preferred, searches, wanted
from radiofix.benchmark.runs.learned import Method, with_own
from radiofix.benchmark.runs.outcomes import Outcome, Run, Tried
from radiofix.benchmark.runs.own import OwnRow
from radiofix.benchmark.runs.protocols import REGION, Point, Protocol
from radiofix.benchmark.runs.site import Site
from radiofix.benchmark.runs.subject import Subject
from radiofix.benchmark.subjects import SUBJECTS
from radiofix.training.recipe_files import own_folder

Array = NDArray[np.float64]
ASKED = "bench.json"
"""In a folder of results: what was asked for."""
DRAWS = 300
"""For each interval."""
STATISTICS = {"mean": metrics.mean, "p50": metrics.median}
FIRST = "lwlm"
"""The bench of results that do not name theirs."""


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
    unsearched: Mapping[str, float]
    """Rates of methods that are shown and have more to choose from than was tried, by method."""
    rates: Mapping[str, float]
    """That figures are of, by method, where it had several to choose from."""

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
            "unsearched": dict(self.unsearched),
            "rates": dict(self.rates),
        }


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
    more = OwnRow.parse(asked.get("own", {}))
    every = with_own(subject.methods(asked["pretrained"]), more)
    agenda = subject.agenda.admitting([row.name for row in more])
    stores = {name: "" for name, there in asked["stores"].items() if there}
    site = Site(subject.scale(asked["scale"]), stores, out, out, own_folder(), agenda)
    done = {outcome.run: outcome for outcome in outcomes.every(out)}
    protocols = agenda.named(only)
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
        unsearched=_unsearched(every, site, figures),
        rates=_rates(every, site),
    )


def _rates(every: Sequence[Method], site: Site) -> dict[str, float]:
    several = [method for method in every if len(method.rates(site.scale)) > 1]
    taken = {method.name: preferred(method, site) for method in several}
    return {name: rate for name, rate in taken.items() if rate is not None}


def _unsearched(every: Sequence[Method], site: Site, figures: Sequence[Figure]) -> dict[str, float]:
    """Methods that were taught at a rate which was not the best of several."""
    cells = [cell for figure in figures for cell in figure.cells]
    taught = {c.method: c.outcome.run.rate for c in cells if c.outcome.run.rate is not None}
    given_up = outcomes.failures(site.out)

    def tried(run: Run) -> bool:
        name = run.file.parent.name + "/" + run.file.stem
        return outcomes.read(site.out, run) is not None or name in given_up

    return {
        method.name: taught[method.name]
        for method in every
        if method.name in taught and not all(tried(run) for run in searches(method, site))
    }


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
            if site.scale.sparing:
                # And only those that the figure asks for: of a curve each point has the same.
                wanted = site.agenda.seeds(method.name, protocol, points[0].lesson, site.scale)
                seeds = [seed for seed in seeds if seed in wanted]
            if seeds:
                answers = {seed: [found[seed] for found in each] for seed in seeds}
                cells.append(_cell(protocol, points[0], method.name, answers, subject))
    least = {(c.method, c.split, c.x): c.value for c in cells if c.method in (LIMIT, SURVEY)}
    return tuple(
        replace(c, limit=least.get((LIMIT, c.split, c.x)), survey=least.get((SURVEY, c.split, c.x)))
        for c in cells
    )


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
    papers = printed_of(subject, protocol, split, point.x, method)
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
        summary=metrics.summary(np.concatenate(errors), protocol.unit),
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
            [t.square + metrics.APART * n for n, (_, t) in enumerate(given) if t.square is not None]
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
