"""Which users and stations of a store a run trains on, validates on, and never sees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from radiofix.data.store import PathStore

Rows = NDArray[np.int64]


def station_columns(store: PathStore, names: Sequence[str | int] | None) -> list[int]:
    """Columns of the stations with these names; None: all."""
    known = [station.name for station in store.stations]
    if names is None:
        return list(range(len(known)))
    missing = [str(name) for name in names if str(name) not in known]
    if missing or not names:
        raise ValueError(
            f"{store.path} has no station {', '.join(missing) or 'asked for'}: "
            f"it has {', '.join(known)}"
        )
    return [known.index(str(name)) for name in names]


def users_of(store: PathStore, split: str, parts: Sequence[str]) -> Rows:
    """Rows of all users in some parts of a split."""
    rows = np.concatenate([store.split(split, part) for part in parts] or [np.empty(0, np.int64)])
    if not len(rows):
        raise ValueError(f"split {split} has no user in {', '.join(parts) or 'no part'}")
    return np.sort(rows).astype(np.int64)


def without(store: PathStore, users: Rows, left_out: Mapping[str, Sequence[str]]) -> Rows:
    """The users that are not in those parts of those splits."""
    for split, parts in left_out.items():
        users = np.setdiff1d(users, users_of(store, split, parts))
    if not len(users):
        raise ValueError(f"leave_out={dict(left_out)} leaves nobody to train on")
    return users


def some(users: Rows, most: int | None, seed: int) -> Rows:
    """At most so many of the users, drawn by the seed; None: all."""
    return np.sort(np.random.default_rng(seed).permutation(users)[:most])


def expect_users(store: PathStore, users: int) -> None:
    """Refuses to go on with nobody."""
    if not users:
        raise ValueError(
            f"{store.path}: no link asked for is usable: choose other users or stations"
        )


class Among(Protocol):
    """Some of a store's users."""

    def __call__(self, store: PathStore, users: Rows, stations: Sequence[int]) -> Rows:
        """Those of the users (rows) that count, by their links to the stations (columns)."""
        ...


class Everybody:
    """All users."""

    def __call__(self, store: PathStore, users: Rows, stations: Sequence[int]) -> Rows:
        """The users as they are."""
        return users


class WithoutSight:
    """Users that see none of the stations, and are heard by one all the same."""

    def __call__(self, store: PathStore, users: Rows, stations: Sequence[int]) -> Rows:
        """Users with paths, none of them of no interactions."""
        if "interactions" not in store.dataset:
            raise ValueError(
                f"{store.path} is measured CSI, which does not tell who sees a station: "
                "leave among out"
            )
        interactions = store.dataset["interactions"].isel(user=users, station=list(stations))
        fewest = np.where(interactions.values < 0, np.inf, interactions.values).min((1, 2))
        chosen: Rows = users[(fewest > 0) & np.isfinite(fewest)]
        return chosen


@dataclass(frozen=True)
class Choice:
    """Users of one split of a store, by their links to some stations."""

    store: PathStore
    split: str
    stations: Sequence[int]
    among: Among

    def labelled(self, count: int, seed: int) -> Rows:
        """The first `count` of a permutation of the training users: fewer are a subset of more."""
        rows = self._part("train")
        if count > len(rows):
            raise ValueError(
                f"labels={count}, but split {self.split} of {self.store.path} has {len(rows)} "
                "labelled users to train on: ask for no more"
            )
        return some(rows, count, seed)

    def held_out(self, part: str, most: int, seed: int) -> Rows:
        """At most so many users of a part, drawn by the seed."""
        return some(self._part(part), most, seed)

    def _part(self, part: str) -> Rows:
        rows = users_of(self.store, self.split, (part,))
        chosen = self.among(self.store, rows[self.store.labelled[rows]], self.stations)
        if not len(chosen):
            raise ValueError(f"split {self.split} has no such user with a position in {part}")
        return chosen
