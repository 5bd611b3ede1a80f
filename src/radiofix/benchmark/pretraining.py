"""Does pretraining pay? The same network from scratch and pretrained, both with the same care.

The protocol, once for all: the learning rate of each method is searched at 1,000 labels; the number
of steps is the smallest whose doubling betters the validation error of the network from scratch by
less than 2 %, for each condition and number of labels; both choices look at validation users alone.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from radiofix.training.checkpoints import RunFolder, write_whole
from radiofix.training.evaluate import held_out_errors
from radiofix.training.finetune import finetune
from radiofix.training.launch import single
from radiofix.training.recipe import FinetuneRecipe, read_recipe

SCRATCH = "scratch"
RATES = (3e-4, 1e-3, 3e-3)
RATE_LABELS = 1000
"""Labels at which rates are compared."""
FIRST_STEPS, MOST_STEPS = 600, 19_200
WORTH = 0.02
"""Share of the validation error that doubling the steps must save to be worth it."""
TEST_USERS = 4000
SEEDS = {0: (0,), 250: (0, 1, 2), 1000: (0, 1, 2), 10_000: (0,)}
"""Of each number of labels."""


@dataclass(frozen=True)
class Condition:
    """Where and how links are received."""

    name: str
    store: str
    """Which of the given stores."""
    changes: Mapping[str, Any] = field(default_factory=dict)
    """Of the fine-tuning recipe, dotted keys."""


HIDDEN = {"class_path": "radiofix.training.users.WithoutSight"}
CONDITIONS = (
    Condition("region-clean", "o1", {"split": "region"}),
    Condition(
        "region-noisy",
        "o1",
        {
            "split": "region",
            "receiver.snr_db": 10.0,
            "receiver.pilots": {"every_antenna": 3, "every_subcarrier": 3},
        },
    ),
    Condition("region-hidden", "cross", {"split": "region", "among": HIDDEN}),
    Condition("random-clean", "o1", {"split": "random"}),
)


@dataclass(frozen=True)
class Run:
    """One network, trained once."""

    condition: str
    method: str
    labels: int
    seed: int
    rate: float
    steps: int

    @property
    def file(self) -> Path:
        """Where its result lies, below the folder of results."""
        name = f"{self.method}-{self.labels}-seed{self.seed}-rate{self.rate:g}-steps{self.steps}"
        return Path(self.condition) / f"{name}.json"


@dataclass(frozen=True)
class Result:
    """What a run ended with."""

    run: Run
    validation: float
    """Mean error [m]."""
    errors: tuple[float, ...]
    """Of each test user [m]."""
    seconds: float


@dataclass(frozen=True)
class Bench:
    """Runs of the protocol, each done once and kept as a file."""

    recipe: Mapping[str, Any]
    """Of fine-tuning, as plain values; the protocol fills in the rest."""
    stores: Mapping[str, str]
    pretrained: Mapping[str, str]
    """Folders of pretraining runs by the method's name."""
    out: Path
    may_train: bool = True
    """False: only what is there already counts."""
    tell: Callable[[Run, Result], None] = lambda run, result: None

    def do(self, run: Run) -> Result:
        """The result of a run, from its file or by training."""
        place = self.out / run.file
        if place.exists():
            return _read(place)
        if not self.may_train:
            raise MissingRun(run)
        result = self._train(run)
        place.parent.mkdir(parents=True, exist_ok=True)
        write_whole(place, json.dumps(_plain(result)).encode())
        self.tell(run, result)
        return result

    def _train(self, run: Run) -> Result:
        recipe = self._recipe(run)
        with tempfile.TemporaryDirectory() as folder:
            place = RunFolder(Path(folder) / "run")
            if run.steps:
                outcome = finetune(single(recipe.training), recipe, place)
                figures = outcome.figures
                validation, seconds = figures["validation_mean"], figures["seconds"]
            else:
                validation, seconds = float("nan"), 0.0
            errors = held_out_errors(recipe, place if run.steps else None, TEST_USERS)
        return Result(run, validation, tuple(np.round(errors, 3).tolist()), seconds)

    def _recipe(self, run: Run) -> FinetuneRecipe:
        condition = next(c for c in CONDITIONS if c.name == run.condition)
        content = json.loads(json.dumps(dict(self.recipe)))
        changes = {
            **condition.changes,
            "store": self.stores[condition.store],
            "labels": max(1, run.labels),
            "seed": run.seed,
            "training.rate": run.rate,
            "training.steps": max(1, run.steps),
            "training.warmup": min(100, run.steps // 4),
        }
        if run.method.split("+")[0] != SCRATCH:
            changes["from"] = self.pretrained[run.method]
        for key, value in changes.items():
            *way, last = key.split(".")
            part = content
            for step in way:
                part = part.setdefault(step, {})
            part[last] = value
        return read_recipe(FinetuneRecipe, content, str(run.file))


class MissingRun(ValueError):
    """A run that a table needs and that nobody has made yet."""

    def __init__(self, run: Run) -> None:
        super().__init__(f"{run.file} is missing: let `radiofix bench pretraining` make it")
        self.run = run


def best_rate(do: Callable[[Run], Result], method: str, condition: str) -> float:
    """The rate of the lowest validation error at 1,000 labels."""
    tried = {
        rate: do(Run(condition, method, RATE_LABELS, 0, rate, 2 * FIRST_STEPS)).validation
        for rate in RATES
    }
    return min(tried, key=lambda rate: tried[rate])


def enough_steps(do: Callable[[Run], Result], condition: str, labels: int, rate: float) -> int:
    """The smallest number of steps whose doubling is not worth it, from scratch."""
    steps = FIRST_STEPS
    before = do(Run(condition, SCRATCH, labels, 0, rate, steps)).validation
    while 2 * steps <= MOST_STEPS:
        after = do(Run(condition, SCRATCH, labels, 0, rate, 2 * steps)).validation
        if after > (1 - WORTH) * before:
            return steps
        steps, before = 2 * steps, after
    return steps


def protocol(
    do: Callable[[Run], Result],
    methods: Sequence[str],
    conditions: Sequence[str],
    labels: Sequence[int],
) -> Iterator[Result]:
    """Every run that the table needs, in the order in which they are worth having."""
    searched = CONDITIONS[0].name
    rates = {method: best_rate(do, method, searched) for method in (SCRATCH, *methods)}
    for condition in conditions:
        for count in labels:
            if count == 0:
                for method in methods:
                    yield do(Run(condition, method, 0, 0, rates[method], 0))
                continue
            steps = enough_steps(do, condition, count, rates[SCRATCH])
            for seed in SEEDS.get(count, (0, 1, 2)):
                for method in (SCRATCH, *methods):
                    yield do(Run(condition, method, count, seed, rates[method], steps))


def _plain(result: Result) -> dict[str, Any]:
    return {**asdict(result), "errors": list(result.errors)}


def _read(place: Path) -> Result:
    content = json.loads(place.read_text())
    return Result(
        run=Run(**content["run"]),
        validation=content["validation"],
        errors=tuple(content["errors"]),
        seconds=content["seconds"],
    )
