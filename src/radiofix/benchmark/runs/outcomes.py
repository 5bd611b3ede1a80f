"""Runs and what they end with, each in a file of its own."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiofix.benchmark.runs.answers import Answers
from radiofix.benchmark.runs.lessons import Lesson, Trial
from radiofix.files import write_whole

Array = NDArray[np.float64]
RUNS = "runs"
FAILED = ".failed"


@dataclass(frozen=True)
class Run:
    """One method, taught one lesson once."""

    method: str
    lesson: Lesson
    seed: int
    rate: float | None = None
    """Of learning; None: nothing is learnt by steps."""

    @property
    def file(self) -> Path:
        """Where its outcome lies, below the folder of results."""
        rate = "" if self.rate is None else f"-rate{self.rate:g}"
        return Path(RUNS) / self.lesson.name / f"{self.method}-seed{self.seed}{rate}.json"


@dataclass(frozen=True)
class Tried:
    """The answers to one test."""

    test: Trial
    error: Array
    """Of each user, in the question's unit."""
    milliseconds: float
    nearest_label: float | None
    """Mean distance of the test users from the nearest labelled one; None: no label [m]."""
    squared: Array | None = None
    radius: Array | None = None
    direction: Array | None = None
    square: NDArray[np.int64] | None = None
    """Of each user, the square of the plane that it stands in, as the region split has them; where
    several stations are asked one by one, the station: its links err alike, and see one map."""

    @staticmethod
    def of(
        test: Trial, answers: Answers, nearest_label: float | None, square: NDArray[np.int64]
    ) -> Tried:
        """Answers, and the squares of those whose they were."""
        return Tried(
            test,
            answers.error,
            answers.milliseconds,
            nearest_label,
            answers.squared,
            answers.radius,
            answers.direction,
            square,
        )


@dataclass(frozen=True)
class Cost:
    """What a network weighs."""

    parameters: int
    flops: int
    """Multiplications and additions of one user's links, forward."""
    learnt: int | None = None
    """Of the parameters, those that fine-tuning may change; None: nobody counted them."""


@dataclass(frozen=True)
class Outcome:
    """What a run ended with."""

    run: Run
    labels: int
    """Users whose labels were used."""
    tests: tuple[Tried, ...]
    validation: float | None
    """Mean error of validation users; None: nobody asked."""
    seconds: float
    cost: Cost | None = None
    start: str | None = None
    """SHA-256 of the weights that it began with; None: from scratch."""
    made: Mapping[str, Any] = field(default_factory=dict)
    """On which store, with which versions, on what machine."""
    memory: float | None = None
    """Most that its process had held until its end, of other runs too [GB]."""

    def tested(self, test: Trial) -> Tried | None:
        """The answers to a test, if it was put."""
        return next((t for t in self.tests if t.test == test), None)


def write(out: Path, outcome: Outcome) -> Path:
    """Puts an outcome in its place, whole or not at all; a failure told there is forgotten."""
    place = out / outcome.run.file
    place.parent.mkdir(parents=True, exist_ok=True)
    write_whole(place, json.dumps(_plain(outcome)) + "\n")
    place.with_suffix(FAILED).unlink(missing_ok=True)
    return place


def write_failure(out: Path, run: Run, reason: str) -> None:
    """Puts one line where the outcome would be, without the ways on one machine."""
    place = (out / run.file).with_suffix(FAILED)
    place.parent.mkdir(parents=True, exist_ok=True)
    line = re.sub(r"(?<!\S)/\S*/", "", " ".join(reason.split()))
    write_whole(place, line[:500] + "\n")


def read(out: Path, run: Run) -> Outcome | None:
    """The outcome of a run, if it is there."""
    place = out / run.file
    return _looked_up(place) if place.is_file() else None


def _looked_up(place: Path) -> Outcome:
    now = place.stat()
    return _read(place, (now.st_mtime_ns, now.st_size, now.st_ino))


# A plan looks at each several times, and all of a folder are tens of megabytes.
@lru_cache(maxsize=4_096)
def _read(place: Path, _written: tuple[int, int, int]) -> Outcome:
    return _parse(json.loads(place.read_text()))


def every(out: Path) -> Iterator[Outcome]:
    """All outcomes in a folder of results."""
    for place in sorted((out / RUNS).glob("*/*.json")):
        yield _looked_up(place)


def failures(out: Path) -> dict[str, str]:
    """Runs that failed, and the one line that tells why."""
    places = sorted((out / RUNS).glob(f"*/*{FAILED}"))
    return {f"{p.parent.name}/{p.stem}": p.read_text().strip() for p in places}


def _plain(outcome: Outcome) -> dict[str, Any]:
    run = {**asdict(outcome.run), "lesson": outcome.run.lesson.plain()}
    tests = [
        {
            **{name: _listed(value) for name, value in vars(tested).items()},
            "test": tested.test.plain(),
        }
        for tested in outcome.tests
    ]
    cost = None if outcome.cost is None else asdict(outcome.cost)
    return {**vars(outcome), "run": run, "tests": tests, "cost": cost}


def _listed(value: Any) -> Any:
    """Four decimals of metres or degrees are more than anybody needs."""
    return np.round(value, 4).tolist() if isinstance(value, np.ndarray) else value


def _parse(content: dict[str, Any]) -> Outcome:
    run = {**content["run"], "lesson": Lesson.parse(content["run"]["lesson"])}
    tests = tuple(_tested(tested) for tested in content["tests"])
    cost = None if content["cost"] is None else Cost(**content["cost"])
    return Outcome(**{**content, "run": Run(**run), "tests": tests, "cost": cost})


def _tested(content: dict[str, Any]) -> Tried:
    read: dict[str, Any] = {
        name: np.array(value) if isinstance(value, list) else value
        for name, value in content.items()
    }
    return Tried(**{**read, "test": Trial.parse(content["test"])})
