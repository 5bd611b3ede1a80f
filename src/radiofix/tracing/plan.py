"""What is to be traced, exactly: the same plan gives the same store."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiofix.scenes.scene import Scene

UNIT_USERS = 512
"""Users traced in one go: bounds the memory and is the grain of a resumed trace."""


@dataclass(frozen=True, slots=True)
class TracePlan:
    """Everything that decides what a trace finds."""

    scene: str
    """Name in the catalogue of scenes."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of that scene."""
    users: str = "20000"
    """A number to draw at random, "all", or rows of the user grid: "1-2700", "1,5,9-12"."""
    groups: tuple[int, ...] = (1,)
    """User grids to take the users from, where `users` names no rows."""
    stations: tuple[int, ...] | None = None
    """By number; None: the scene's default."""
    frequency: float = 3.5e9
    """Carrier [Hz]."""
    bounces: int = 3
    diffraction: bool = False
    paths: int = 8
    """Strongest paths kept a link."""
    rays: int = 10_000
    """Rays shot from each station to find candidates."""
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("bounces", 0), ("paths", 1), ("rays", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if "frequency" in self.arguments:
            raise ValueError(
                f"frequency={self.arguments['frequency']} is the trace's, not the scene's: give it "
                "as --frequency"
            )
        if not 1e8 <= self.frequency <= 1e12:
            raise ValueError(f"frequency must lie between 1e8 and 1e12 Hz, got {self.frequency:g}")
        if self.stations is not None and len(set(self.stations)) < len(self.stations):
            raise ValueError(f"stations names one twice: {','.join(map(str, self.stations))}")
        if self.stations is not None and not self.stations:
            raise ValueError("stations is empty: name at least one")

    def to_json(self) -> str:
        """The plan as text, the same for the same plan."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> TracePlan:
        """The plan that `to_json` wrote."""
        fields = json.loads(text)
        for name in ("groups", "stations"):
            fields[name] = None if fields[name] is None else tuple(fields[name])
        return cls(**fields)

    def station_numbers(self, scene: Scene) -> tuple[int, ...]:
        """The stations to trace, checked against the scene."""
        chosen = scene.default_stations if self.stations is None else self.stations
        for number in chosen:
            if number not in scene.stations:
                known = ", ".join(map(str, scene.stations))
                raise ValueError(f"{scene.name} has no station {number}: it has {known}")
        return tuple(chosen)

    def user_rows(self, scene: Scene) -> NDArray[np.int64]:
        """Indices into the scene's user places, in their order there."""
        if self.users.strip() == "all" or self.users.strip().isdigit():
            places = np.flatnonzero(np.isin(scene.user_group, self.groups))
            if not len(places):
                known = ", ".join(map(str, np.unique(scene.user_group)))
                raise ValueError(
                    f"{scene.name} has no users in groups={self.groups}: it has {known}"
                )
            if self.users.strip() == "all":
                return places
            count = int(self.users)
            if not 1 <= count <= len(places):
                raise ValueError(f"users must lie between 1 and {len(places)} here, got {count}")
            drawn = np.random.default_rng(self.seed).choice(places, count, replace=False)
            return np.sort(drawn)
        rows = parse_ranges(self.users)
        chosen = np.isin(scene.user_row, rows)
        absent = np.setdiff1d(rows, scene.user_row)
        if len(absent):
            raise ValueError(
                f"{scene.name} has no user row {absent[0]}: rows go from "
                f"{scene.user_row.min()} to {scene.user_row.max()}"
            )
        return np.flatnonzero(chosen)

    def units(self, users: int) -> Iterator[tuple[int, slice]]:
        """Number and rows of each unit of work."""
        for number, start in enumerate(range(0, users, UNIT_USERS)):
            yield number, slice(start, min(start + UNIT_USERS, users))


def parse_ranges(text: str) -> NDArray[np.int64]:
    """Numbers written as "1-2700" or "3,5,9-12"."""
    numbers: list[Sequence[int]] = []
    for part in text.removeprefix("rows:").split(","):
        ends = part.strip().split("-")
        if not (len(ends) in (1, 2) and all(end.strip().isdigit() for end in ends)):
            raise ValueError(f"users={text!r} is neither a number, 'all' nor rows like 1-2700")
        first, last = int(ends[0]), int(ends[-1])
        if first > last or last > 10_000_000:
            raise ValueError(f"users={text!r}: rows {part.strip()} do not go upward within reason")
        numbers.append(range(first, last + 1))
    return np.unique(np.concatenate([np.asarray(n, dtype=np.int64) for n in numbers]))
