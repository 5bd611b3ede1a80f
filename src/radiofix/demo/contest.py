"""The same labelled points for everybody: who finds the other phones, and how far off."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from radiofix.classic.nomp import Nomp
from radiofix.classic.omp import Omp
from radiofix.data.store import PathStore, open_paths
from radiofix.demo.finders import joined, learnt, looked_up, multilaterated
from radiofix.demo.links import Links, held_out, labelled
from radiofix.models import pretrained
from radiofix.models.fusing import Fused
from radiofix.training.recipe import FinetuneRecipe, load_recipe

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
Tell = Callable[[str], None]

HERE = Path(__file__).parent
STORE = HERE / "o1"
"""Made by `radiofix pack o1-20k.zarr --users 2000 --user-angles --out o1` from the store that
`radiofix trace o1 --users 20000 --out o1-20k.zarr` makes: 4 stations, 8 paths a link."""
RECIPE = HERE / "recipe.yaml"
NANO = "radiofix-nano"
FEWEST = 20
"""Labelled points: with fewer there is nothing to check with."""


@dataclass(frozen=True)
class Entry:
    """One method, and where it says the phones are."""

    key: str
    name: str
    needs: str
    """What it was given, in words."""
    position: Floats
    """(user, 3) [m]."""
    seconds: float
    """Learning and locating together."""


@dataclass(frozen=True)
class Contest:
    """All methods on the same channels of the same phones."""

    store: PathStore
    learnt: Rows
    """Rows of the labelled points that were learnt from."""
    checked: Rows
    """Rows of those kept aside: how many neighbours are asked, how large ellipses are."""
    links: Links
    """Of the phones to be found, four to a phone."""
    entries: tuple[Entry, ...]
    """Ours first."""
    fused: Fused
    """Ours, with covariances."""
    recipe: FinetuneRecipe

    def error(self, entry: Entry) -> Floats:
        """How far off each phone is on the ground, (user,) [m]: everybody knows its height."""
        away: Floats = np.linalg.norm((entry.position - self.links.truth)[:, :2], axis=1)
        return away

    @property
    def labels(self) -> int:
        """Labelled points in all."""
        return len(self.learnt) + len(self.checked)


def hold(
    labels: int = 200,
    seed: int = 0,
    steps: int | None = None,
    phones: int | None = None,
    tell: Tell = lambda line: None,
    quiet: bool = True,
) -> Contest:
    """Lets every method learn from the same labelled points, and find the same phones.

    Args:
        labels: points whose place is known; a fifth of them is kept aside for checking.
        seed: which points, and the order of learning.
        steps: of the optimizer, for both networks; None: the recipe's.
        phones: to be found, at most; None: all of the stretches without labelled points.
        tell: is given a line before each piece of work.
        quiet: no progress bar.
    """
    store = open_paths(STORE)
    recipe = _recipe(store, labels, seed, steps)
    known = labelled(recipe, store)
    aside = held_out(recipe, store, "validation", recipe.validation_users)
    links = held_out(recipe, store, "test", phones or store.users)
    entries: list[Entry] = []

    def enter(key: str, name: str, needs: str, find: Callable[[], Floats]) -> None:
        tell(name)
        begun = time.monotonic()
        position = find()
        entries.append(Entry(key, name, needs, position, time.monotonic() - begun))

    ours: list[Fused] = []

    def fine_tuned() -> Floats:
        ours.append(joined(learnt(recipe, NANO, quiet), links))
        return ours[0].position

    given = f"{labels} labels"
    enter("ours", f"{NANO}, fine-tuned", f"pretraining, {given}", fine_tuned)
    enter(
        "scratch",
        "the same network from scratch",
        given,
        lambda: joined(learnt(recipe, None, quiet), links).position,
    )
    enter("knn", "nearest channels (kNN)", given, lambda: looked_up(known, aside, links, seed))
    height = float(np.median(known.truth[:, 2]))
    enter("nomp", "geometry (NOMP)", "no labels", lambda: multilaterated(Nomp(), links, height))
    enter("omp", "geometry (OMP)", "no labels", lambda: multilaterated(Omp(), links, height))
    enter(
        "zero",
        f"{NANO} as it comes",
        "pretraining, no labels",
        lambda: joined(pretrained.load(NANO), links).position,
    )
    return Contest(store, known.users, aside.users, links, tuple(entries), ours[0], recipe)


def _recipe(store: PathStore, labels: int, seed: int, steps: int | None) -> FinetuneRecipe:
    recipe = load_recipe(FinetuneRecipe, RECIPE)
    most = len(store.split(recipe.split, "train"))
    if not FEWEST <= labels <= most:
        raise ValueError(f"labels must be from {FEWEST} to {most:,}, got {labels}")
    aside = min(labels // 5, len(store.split(recipe.split, "validation")))
    training = recipe.training
    if steps is not None:
        training = replace(training, steps=steps, warmup=steps // 10, validate_every=steps)
    return replace(
        recipe,
        store=str(store.path),
        labels=labels - aside,
        validation_users=aside,
        seed=seed,
        training=training,
    )
