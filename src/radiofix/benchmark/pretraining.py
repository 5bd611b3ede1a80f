"""Does pretraining pay? The same network from scratch and pretrained, both with the same care.

The protocol, once for all: the learning rate of each method is searched at 1,000 labels; the number
of steps is the smallest whose doubling betters the validation error of the network from scratch by
less than 2 %, for each condition and number of labels from 1,000 on; both choices look at
validation users alone.
"""

from __future__ import annotations

import csv
import json
import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from radiofix.data.splits import squares
from radiofix.data.store import PathStore, open_paths
from radiofix.files import write_whole
from radiofix.training.checkpoints import RunFolder, provenance
from radiofix.training.evaluate import held_out
from radiofix.training.finetune import finetune
from radiofix.training.launch import single
from radiofix.training.localizing import fingerprint
from radiofix.training.logs import JUDGED
from radiofix.training.recipe import FinetuneRecipe, read_recipe

SCRATCH = "scratch"
RATES = (3e-5, 1e-4, 3e-4, 1e-3, 3e-3)
"""A ladder: the search ends where both neighbours of a rate do worse."""
RATE_LABELS = 1000
"""Labels at which rates are compared."""
FIRST_STEPS, MOST_STEPS = 600, 19_200
WORTH = 0.02
"""Share of the validation error that doubling the steps must save to be worth it."""
TEST_USERS = 4000
SEEDS = {10_000: (0,)}
"""Of a number of labels whose runs are long."""
OTHER_SEEDS = (0, 1, 2)
"""Of every other number of labels."""


@dataclass(frozen=True)
class Condition:
    """Where and how links are received."""

    name: str
    store: str
    """Which of the given stores."""
    changes: Mapping[str, Any] = field(default_factory=dict)
    """Of the fine-tuning recipe, dotted keys."""
    unit: str = "m"
    """Of its errors."""
    labels: tuple[int, ...] = (1000, 250, 0, 10_000)
    """Numbers of them that are asked for unless others are, the first of all methods first."""


def _task(name: str) -> dict[str, Any]:
    return {"class_path": f"radiofix.objectives.tasks.{name}Task"}


def _head(name: str, **arguments: Any) -> dict[str, Any]:
    return {"class_path": f"radiofix.models.heads.{name}Head", "init_args": arguments}


_REGION = {"split": "region"}
_FRAME = {"class_path": "radiofix.models.frame.FrameHead", "init_args": {"dim": 128}}
HIDDEN = {"class_path": "radiofix.training.users.WithoutSight"}
CONDITIONS = (
    Condition("region-clean", "o1", _REGION),
    Condition(
        "region-noisy",
        "o1",
        {
            **_REGION,
            "receiver.snr_db": 10.0,
            "receiver.pilots": {"every_antenna": 3, "every_subcarrier": 3},
        },
    ),
    Condition("region-hidden", "cross", {**_REGION, "among": HIDDEN}),
    Condition("random-clean", "o1", {"split": "random"}),
    Condition(
        "region-toa",
        "o1",
        {**_REGION, "task": _task("Toa"), "head": _head("ImpliedToa", estimator=_FRAME)},
        labels=(RATE_LABELS, 0),
    ),
    Condition(
        "region-aoa",
        "o1",
        {**_REGION, "task": _task("Aoa"), "head": _head("ImpliedAoa", estimator=_FRAME)},
        unit="°",
        labels=(RATE_LABELS, 0),
    ),
    Condition(
        "region-four",
        "o1",
        {
            **_REGION,
            "task": _task("FusedPosition"),
            "head": _head("Fusion", estimator=_FRAME),
            "stations": ["3", "4", "9", "10"],
            "fewest_stations": 1,
            "training.batch": 32,
            # One user of 32 who is far off is no divergence.
            "training.divergence": 60.0,
        },
        labels=(RATE_LABELS,),
    ),
)
"""Positions from one station first; then what else is asked of the same channels."""


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
    """Mean error, in the condition's unit; infinite where nothing was validated."""
    errors: tuple[float, ...]
    """Of each test user, in the condition's unit."""
    seconds: float
    held: float | None = None
    """Share of the test users inside their stated 90 % ellipses; None: not looked at."""
    sure: float | None = None
    """Share of the test users whose stated deviation is at most `SURE`."""
    far_though_sure: float | None = None
    """Share of these that is off by more than `FAR` all the same."""
    toa: float | None = None
    """Median error of the time of arrival that positions in line of sight imply [m]."""
    aoa: float | None = None
    """Of the angle of arrival [degrees]."""
    curve: tuple[tuple[int, float], ...] = ()
    """Mean error of the validation users after so many steps."""
    blend: float | None = None
    """Share of what was learnt that was kept; None: the weights of the best step were."""
    start: str | None = None
    """SHA-256 of the weights that it began with; None: from scratch."""
    square: tuple[int, ...] | None = None
    """Of each error, the square that its user stands in; None: test users stand anywhere."""
    made: Mapping[str, Any] = field(default_factory=dict)
    """On which store, with which versions, on what machine."""


@dataclass(frozen=True)
class Bench:
    """Runs of the protocol, each done once and kept as a file."""

    recipe: Mapping[str, Any]
    """Of fine-tuning, as plain values; the protocol fills in the rest."""
    stores: Mapping[str, str]
    pretrained: Mapping[str, str]
    """Folders of pretraining runs by the method's name, or, where a method has one of its own for
    a store, by METHOD@STORE."""
    out: Path
    tell: Callable[[Run, Result], None] = lambda run, result: None

    def do(self, run: Run) -> Result:
        """The result of a run, from its file or by training."""
        place = self.out / run.file
        if place.exists():
            return self._expect_same_start(_read(place))
        result = self._train(run)
        place.parent.mkdir(parents=True, exist_ok=True)
        write_whole(place, json.dumps(_plain(result)) + "\n")
        self.tell(run, result)
        return result

    def _train(self, run: Run) -> Result:
        recipe = self._recipe(run)
        assert recipe.store is not None
        store = open_paths(recipe.store)
        made = provenance(store, run.seed, torch.device("cpu"))
        with tempfile.TemporaryDirectory() as folder:
            place = RunFolder(Path(folder) / "run")
            if run.steps:
                outcome = finetune(single(recipe.training), recipe, place)
                figures = outcome.figures
                validation, seconds = figures["validation_mean"], figures["seconds"]
                curve, blend = _curve(place), figures.get("blend")
            else:
                validation, seconds, curve, blend = math.inf, 0.0, (), None
            seen = held_out(recipe, place if run.steps else None, TEST_USERS)
        told = tuple(np.round(seen.errors, 3).tolist())
        return Result(
            run=run,
            validation=validation,
            errors=told,
            seconds=seconds,
            held=seen.honesty.get("held_at_90"),
            sure=seen.honesty.get("sure"),
            far_though_sure=seen.honesty.get("far_though_sure"),
            toa=seen.implied.get("toa_median"),
            aoa=seen.implied.get("aoa_median"),
            curve=curve,
            blend=blend,
            start=self._start(run),
            square=squares_of(store, recipe.split, seen.user.numpy()),
            made=made,
        )

    def _from(self, run: Run) -> str:
        """The pretraining run that a method begins with in a condition."""
        own = f"{run.method}@{_condition(run).store}"
        return self.pretrained.get(own) or self.pretrained[run.method]

    def _start(self, run: Run) -> str | None:
        return None if run.method == SCRATCH else fingerprint(self._from(run))

    def _expect_same_start(self, result: Result) -> Result:
        if result.start != self._start(result.run):
            raise ValueError(
                f"{self.out / result.run.file} began with other weights than "
                f"{self._from(result.run)}: give the method another name, or another --out"
            )
        return result

    def _recipe(self, run: Run) -> FinetuneRecipe:
        condition = _condition(run)
        content = json.loads(json.dumps(dict(self.recipe)))
        changes = {
            **condition.changes,
            "store": self.stores[condition.store],
            "labels": max(1, run.labels),
            "seed": run.seed,
            "training.rate": run.rate,
            "training.steps": max(1, run.steps),
            "training.warmup": min(100, run.steps // 4),
            "training.validate_every": max(1, run.steps // 8),
        }
        if run.method != SCRATCH:
            changes["from"] = self._from(run)
        for key, value in changes.items():
            *way, last = key.split(".")
            part = content
            for step in way:
                part = part.setdefault(step, {})
            part[last] = value
        return read_recipe(FinetuneRecipe, content, str(run.file))


def squares_of(store: PathStore, split: str, user: NDArray[np.int64]) -> tuple[int, ...] | None:
    """The squares that users (rows of a store) stand in, where whole squares are held out."""
    if split != _REGION["split"]:
        return None
    return tuple(squares(store.dataset["user_position"].values)[user].tolist())


def _curve(folder: RunFolder) -> tuple[tuple[int, float], ...]:
    with (folder.path / JUDGED).open(newline="") as table:
        return tuple((int(row["step"]), float(row["mean"])) for row in csv.DictReader(table))


def _condition(run: Run) -> Condition:
    return next(c for c in CONDITIONS if c.name == run.condition)


def best_rate(do: Callable[[Run], Result], method: str, condition: str) -> float:
    """The rate of the lowest validation error at 1,000 labels, found by climbing down a ladder."""

    def validation(rung: int) -> float:
        run = Run(condition, method, RATE_LABELS, 0, RATES[rung], 2 * FIRST_STEPS)
        return do(run).validation

    lowest = len(RATES) // 2
    while True:
        around = range(max(0, lowest - 1), min(len(RATES), lowest + 2))
        best = min(around, key=validation)
        if best == lowest:
            return RATES[lowest]
        lowest = best


def enough_steps(do: Callable[[Run], Result], condition: str, labels: int, rate: float) -> int:
    """The smallest number of steps whose doubling is not worth it, from scratch.

    Below 1,000 labels it is the number for these: with few, one run's validation error says more
    about its seed than about its steps.
    """
    steps, labels = FIRST_STEPS, max(labels, RATE_LABELS)
    before = do(Run(condition, SCRATCH, labels, 0, rate, steps)).validation
    while 2 * steps <= MOST_STEPS:
        after = do(Run(condition, SCRATCH, labels, 0, rate, 2 * steps)).validation
        if after > (1 - WORTH) * before:
            return steps
        steps, before = 2 * steps, after
    return steps


def protocol(
    do: Callable[[Run], Result], methods: Sequence[str], condition: str, labels: int
) -> list[Result]:
    """Every run that one cell of the table needs, from scratch first, seed by seed."""
    searched = CONDITIONS[0].name
    rates = {method: best_rate(do, method, searched) for method in (SCRATCH, *methods)}
    if labels == 0:
        return [do(Run(condition, method, 0, 0, rates[method], 0)) for method in methods]
    steps = enough_steps(do, condition, labels, rates[SCRATCH])
    return [
        do(Run(condition, method, labels, seed, rates[method], steps))
        for seed in SEEDS.get(labels, OTHER_SEEDS)
        for method in (SCRATCH, *methods)
    ]


def every(out: Path) -> list[Result]:
    """All results that are there, of the protocol or on the way to it."""
    found = [_read(place) for place in out.glob("*/*.json")]
    runs = {result.run: result for result in found}
    order = sorted(runs, key=lambda r: (r.condition, r.labels, r.method, r.rate, r.steps, r.seed))
    return [runs[run] for run in order]


def _plain(result: Result) -> dict[str, Any]:
    known = result.validation if math.isfinite(result.validation) else None
    return {**asdict(result), "validation": known, "errors": list(result.errors)}


def _read(place: Path) -> Result:
    content = json.loads(place.read_text())
    return Result(
        run=Run(**content["run"]),
        validation=math.inf if content["validation"] is None else content["validation"],
        errors=tuple(content["errors"]),
        seconds=content["seconds"],
        held=content.get("held"),
        sure=content.get("sure"),
        far_though_sure=content.get("far_though_sure"),
        toa=content.get("toa"),
        aoa=content.get("aoa"),
        curve=tuple((step, mean) for step, mean in content.get("curve", ())),
        blend=content.get("blend"),
        start=content.get("start"),
        square=None if content.get("square") is None else tuple(content["square"]),
        made=content.get("made", {}),
    )
