"""What the bench asks about, traced: O1, cities to learn in, and cities to come to."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from radiofix.benchmark.runs.lessons import CITIES, WHOLE
from radiofix.data.joining import join
from radiofix.data.store import open_paths
from radiofix.tracing.plan import TracePlan
from radiofix.tracing.run import trace

Tell = Callable[[str], None]
PATHS = 5
"""As many as the bench uses."""
LEARNT_FROM = 100
"""Seed of the first city to learn in."""
BUILTIN = ("munich", "etoile", "florence", "san_francisco")
KEPT = {"kept-1": 9001, "kept-2": 9002, "kept-3": 9003}
"""Seeds of procedural cities that nothing is ever learnt in."""


@dataclass(frozen=True)
class Sizes:
    """How much is traced."""

    whole: int
    """Users of O1."""
    cities: int
    """To learn in."""
    learnt: int
    """Users of each."""
    asked: int
    """Users of each new city."""
    split: tuple[int, int, int]
    """Of O1's random split: only a part of them is without line of sight."""


SIZES = {
    "laptop": Sizes(40_000, 96, 250, 4_000, (25_000, 2_000, 13_000)),
    "paper": Sizes(480_000, 200, 4_000, 20_000, (240_000, 20_000, 100_000)),
}


@dataclass(frozen=True)
class Wanted:
    """A store that is traced."""

    place: Path
    plan: TracePlan
    split: tuple[int, int, int] | None = None
    """Sizes of the random split; None: those of `radiofix trace`."""

    def trace(self) -> None:
        """Traces it, or goes on with it."""
        if self.split is None:
            trace(self.plan, self.place, resume=True)
        else:
            trace(self.plan, self.place, resume=True, split_sizes=self.split)


def fill(out: Path, scale: str, only: Sequence[str] | None, tell: Tell) -> list[Path]:
    """Traces the stores that are not there yet; those of the bench that then are.

    Args:
        out: folder of the stores, each NAME.zarr; cities to learn in lie in one of their own.
        scale: laptop or paper.
        only: names of stores; None: all.
        tell: what is being done.
    """
    if scale not in SIZES:
        raise ValueError(f"no stores of scale {scale}: there are those of {', '.join(SIZES)}")
    sizes = SIZES[scale]
    single = asked(out, sizes)
    names = [*single, CITIES.store]
    strange = sorted(set(only or ()) - set(names))
    if strange:
        raise ValueError(f"no store {', '.join(strange)}: there are {', '.join(names)}")
    chosen = names if only is None else [name for name in names if name in only]
    (out / CITIES.store).mkdir(parents=True, exist_ok=True)
    made = []
    for name in chosen:
        if name == CITIES.store:
            made.append(_joined(out, sizes, tell))
        else:
            made.append(_traced(single[name], tell))
    return made


def asked(out: Path, sizes: Sizes) -> dict[str, Wanted]:
    """O1 and the new cities, by their names."""
    o1 = TracePlan(
        "o1",
        users=str(sizes.whole),
        groups=(1, 2, 3),
        stations=(3, 4, 9, 10),
        diffraction=True,
        paths=PATHS,
    )
    found = {WHOLE.store: Wanted(out / f"{WHOLE.store}.zarr", o1, sizes.split)}
    scenes = {**{name: name for name in BUILTIN}, **{n: f"city:{s}" for n, s in KEPT.items()}}
    for name, scene in scenes.items():
        found[name] = Wanted(out / f"{name}.zarr", _plan(scene, sizes.asked))
    return found


def learnt(out: Path, sizes: Sizes) -> list[Wanted]:
    """The cities to learn in."""
    seeds = range(LEARNT_FROM, LEARNT_FROM + sizes.cities)
    folder = out / CITIES.store
    return [
        Wanted(folder / f"city-{seed}.zarr", _plan(f"city:{seed}", sizes.learnt)) for seed in seeds
    ]


def _plan(scene: str, users: int) -> TracePlan:
    return TracePlan(scene, users=str(users), diffraction=True, paths=PATHS)


def _traced(wanted: Wanted, tell: Tell) -> Path:
    if not wanted.place.exists():
        begun = time.monotonic()
        wanted.trace()
        tell(f"{wanted.place}: traced in {time.monotonic() - begun:.0f} s")
    return wanted.place


def _joined(out: Path, sizes: Sizes, tell: Tell) -> Path:
    place = out / f"{CITIES.store}.zarr"
    if not place.exists():
        parts = [_traced(wanted, tell) for wanted in learnt(out, sizes)]
        users = join([open_paths(part) for part in parts], place)
        tell(f"{place}: {users:,} users of {len(parts)} cities")
    return place
