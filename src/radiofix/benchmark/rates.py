"""Of a report: what was learnt at several rates of learning."""

from __future__ import annotations

from radiofix.benchmark.blocks import Block, Heading, Table, Text
from radiofix.benchmark.report import Report
from radiofix.benchmark.runs.lessons import Lesson
from radiofix.benchmark.runs.outcomes import Outcome
from radiofix.benchmark.runs.scales import RATE_LABELS

COMPARED = (
    "What was learnt at several rates of learning, all else the same. Figures are of the rate that "
    f"validation users of the region split prefer at {RATE_LABELS:,} labels. Of what is put to "
    "several tests the validation error alone is told."
)
HEAD = ("method", "learnt", "seed", "rate", "validation error", "test error, mean", "taken")


def rates(report: Report) -> list[Block]:
    """What methods learnt at each rate that they were taught at, where there were several."""
    taught: dict[tuple[str, Lesson, int], list[Outcome]] = {}
    for outcome in report.done:
        run = outcome.run
        if run.method in report.rates and run.rate is not None:
            taught.setdefault((run.method, run.lesson, run.seed), []).append(outcome)
    names = list(report.rates)

    def place(key: tuple[str, Lesson, int]) -> tuple[int, int, str, int]:
        method, lesson, seed = key
        return names.index(method), lesson.labels, lesson.name, seed

    rows = [
        _row(outcome, report.rates[outcome.run.method])
        for key in sorted(taught, key=place)
        if len(taught[key]) > 1
        for outcome in sorted(taught[key], key=lambda outcome: outcome.run.rate or 0.0)
    ]
    if not rows:
        return []
    heading = Heading("Rates of learning", anchor="rates")
    return [heading, Text(COMPARED), Table("By rate of learning", HEAD, rows)]


def _row(outcome: Outcome, preferred: float) -> list[str]:
    run, unit = outcome.run, outcome.run.lesson.question.unit
    validation = "" if outcome.validation is None else f"{outcome.validation:.2f} {unit}"
    alone = len(outcome.tests) == 1
    error = f"{outcome.tests[0].error.mean():.2f} {unit}" if alone else ""
    taken = "yes" if run.rate == preferred else ""
    return [run.method, run.lesson.name, str(run.seed), f"{run.rate:g}", validation, error, taken]
