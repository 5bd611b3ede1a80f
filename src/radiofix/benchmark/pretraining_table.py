"""The results of `bench pretraining` as tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from radiofix.benchmark.contrasts import contrast
from radiofix.benchmark.metrics import interval
from radiofix.benchmark.pretraining import CONDITIONS, SCRATCH, Result, Run
from radiofix.training.evaluate import FAR, SURE


@dataclass(frozen=True)
class Row:
    """One method at one number of labels, over its seeds."""

    condition: str
    method: str
    labels: int
    seeds: int
    rate: float
    steps: int
    unit: str
    """Of its errors."""
    mean: float
    """Of the error over users and seeds."""
    interval: tuple[float, float]
    """95 % of means when seeds and users (on the split region squares of them) are drawn again."""
    median: float
    p90: float
    far: float | None
    """Share of users off by more than `FAR`: put on the wrong side, or down the street."""
    held: float | None
    """Share of users inside their stated 90 % ellipses, over the seeds that say it."""
    sure: float | None
    """Share of users whose stated deviation is at most `SURE`."""
    far_though_sure: float | None
    """Share of these that is off by more than `FAR` all the same."""
    toa: float | None
    """Median error of implied times of arrival, over the seeds that say it [m]."""
    aoa: float | None
    """Of implied angles of arrival [degrees]."""
    validation: float
    """Mean error of the validation users, over seeds."""


def rows(results: Iterable[Result], draws: int = 1000) -> list[Row]:
    """The table: results that differ by their seeds alone together, in order."""
    return [_row(run, same, draws) for run, same in _together(results).items()]


def _together(results: Iterable[Result]) -> dict[Run, list[Result]]:
    together: dict[Run, list[Result]] = {}
    for result in results:
        together.setdefault(replace(result.run, seed=0), []).append(result)
    return together


def _row(run: Run, same: Sequence[Result], draws: int) -> Row:
    errors = [np.asarray(result.errors) for result in same]
    together = np.concatenate(errors)
    known = [np.asarray(result.square) for result in same if result.square is not None]
    squares = known if len(known) == len(same) else None
    unit = next((c.unit for c in CONDITIONS if c.name == run.condition), "m")
    return Row(
        condition=run.condition,
        method=run.method,
        labels=run.labels,
        seeds=len(errors),
        rate=run.rate,
        steps=run.steps,
        unit=unit,
        mean=float(np.mean([e.mean() for e in errors])),
        interval=interval(errors, draws=draws, squares=squares),
        median=float(np.median(together)),
        p90=float(np.quantile(together, 0.9)),
        far=float((together > FAR).mean()) if unit == "m" else None,
        held=_mean(result.held for result in same),
        sure=_mean(result.sure for result in same),
        far_though_sure=_mean(result.far_though_sure for result in same),
        toa=_mean(result.toa for result in same),
        aoa=_mean(result.aoa for result in same),
        validation=float(np.mean([result.validation for result in same])),
    )


def _mean(told: Iterable[float | None]) -> float | None:
    known = [value for value in told if value is not None]
    return float(np.mean(known)) if known else None


def markdown(table: Sequence[Row]) -> str:
    """The table for people."""
    lines = [
        f"| condition | labels | method | mean | 95 % | median | 90 % | over {FAR:g} m | held "
        f"| stated within {SURE:g} m | of these over {FAR:g} m "
        "| ToA [m] | AoA [°] | seeds | rate | steps |",
        "|---" * 16 + "|",
    ]
    lines += [
        f"| {r.condition} | {r.labels:,} | {r.method} | {r.mean:.2f} {r.unit} | "
        f"{r.interval[0]:.2f} to {r.interval[1]:.2f} | {r.median:.2f} | {r.p90:.2f} | "
        f"{_told(r.far, '.2%')} | {_told(r.held, '.1%')} | "
        f"{_told(r.sure, '.1%')} | {_told(r.far_though_sure, '.2%')} | "
        f"{_told(r.toa, '.2f')} | {_told(r.aoa, '.2f')} | "
        f"{r.seeds} | {r.rate:g} | {r.steps:,} |"
        for r in table
    ]
    return "\n".join(lines) + "\n"


def settled(table: Sequence[Row]) -> list[Row]:
    """Of each method at each number of labels the setting with the most seeds.

    Of settings with equally many it is the one with the most steps, then the one with the lowest
    validation error.
    """
    best: dict[tuple[str, int, str], Row] = {}
    for row in table:
        key = (row.condition, row.labels, row.method)
        other = best.get(key)
        if other is None or _trust(row) < _trust(other):
            best[key] = row
    return list(best.values())


def _trust(row: Row) -> tuple[float, ...]:
    return (-row.seeds, -row.steps, row.validation)


def compared(results: Iterable[Result]) -> str:
    """Methods side by side, in few columns, and what each saves beside from scratch."""
    together = _together(results)
    table = settled([_row(run, same, draws=1000) for run, same in together.items()])
    known = {(r.condition, r.labels, r.method): together[_run(r)] for r in table}
    lines = [
        f"| condition | labels | method | mean | 95 % | median | 90 % | over {FAR:g} m | seeds "
        "| nearer than from scratch by |",
        "|---" * 10 + "|",
    ]
    lines += [
        f"| {r.condition} | {r.labels:,} | {r.method} | {r.mean:.2f} {r.unit} | "
        f"{r.interval[0]:.2f} to {r.interval[1]:.2f} | {r.median:.2f} | {r.p90:.2f} | "
        f"{_told(r.far, '.2%')} | {r.seeds} | {_saved(r, known)} |"
        for r in table
    ]
    return "\n".join(lines) + "\n"


def _run(row: Row) -> Run:
    return Run(row.condition, row.method, row.labels, 0, row.rate, row.steps)


def _saved(row: Row, known: Mapping[tuple[str, int, str], Sequence[Result]]) -> str:
    """Of the same test users and seeds."""
    scratch = known.get((row.condition, row.labels, SCRATCH))
    if scratch is None or row.method == SCRATCH:
        return ""
    mine, other = known[row.condition, row.labels, row.method], scratch
    errors, others = ({r.run.seed: np.asarray(r.errors) for r in one} for one in (mine, other))
    squares = {r.run.seed: np.asarray(r.square) for r in mine if r.square is not None}
    away = contrast(errors, others, squares if len(squares) == len(mine) else None)
    if away is None:
        return ""
    return f"{away.mean:.2f} [{away.interval[0]:.2f}, {away.interval[1]:.2f}]"


def _told(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
