"""The stations that hear, and where their scene lies on the earth, from a store or a short file."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from radiofix.data.store import PathStore, open_paths
from radiofix.serving.geodesy import Origin, origin_of
from radiofix.types import Station

ORIENTATIONS = ("orientation", "orientation_degrees")
GEOGRAPHIC = ("latitude", "longitude", "height")
STATION_KEYS = ("name", "carrier_frequency", "position", *GEOGRAPHIC, *ORIENTATIONS)
ORIGIN_KEYS = ("latitude", "longitude", "height", "heading_of_x")
SITE_KEYS = ("origin", "stations")


@dataclass(frozen=True, slots=True)
class Site:
    """Stations in the order of the CSI's, and the origin of their frame where there is one."""

    stations: tuple[Station, ...]
    origin: Origin | None = None

    @property
    def position(self) -> Tensor:
        """(station, 3) [m]."""
        return torch.stack([s.position.double() for s in self.stations])

    @property
    def carrier_frequency(self) -> Tensor:
        """(station,) [Hz]."""
        return torch.tensor([s.carrier_frequency for s in self.stations], dtype=torch.float64)


def site_of(store: PathStore) -> Site:
    """The stations and the origin of a store."""
    return Site(store.stations, origin_of(store.attributes))


def read_site(path: Path) -> Site:
    """Stations from a store, or from a JSON or YAML file as docs/locating.md describes it."""
    if path.is_dir():
        return site_of(open_paths(path))
    content = _parsed(path)
    if isinstance(content, Sequence) and not isinstance(content, str):
        content = {"stations": content}
    site = _mapping(path, "the file", content, SITE_KEYS)
    rows = site.get("stations")
    if not isinstance(rows, Sequence) or isinstance(rows, str) or not rows:
        raise ValueError(f"{path} names no station: list them under stations")
    origin = None
    if "origin" in site:
        given = _mapping(path, "origin", site["origin"], ORIGIN_KEYS)
        if missing := [key for key in ORIGIN_KEYS[:2] if key not in given]:
            raise ValueError(f"{path}: origin lacks {missing[0]} [deg]: give it")
        numbers = {key: _number(path, f"origin {key}", value) for key, value in given.items()}
        try:
            origin = Origin(**numbers)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
    return Site(tuple(_station(path, i, row, origin) for i, row in enumerate(rows)), origin)


def _parsed(path: Path) -> Any:
    try:
        text = path.read_text()
        return json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(
            f"{path} cannot be read as stations, give a store, JSON or YAML: {reason}"
        ) from error


def _station(path: Path, number: int, row: Any, origin: Origin | None) -> Station:
    what = f"station {number}"
    given = _mapping(path, what, row, STATION_KEYS)
    if "carrier_frequency" not in given:
        raise ValueError(f"{path}: {what} lacks carrier_frequency [Hz]: give it")
    turns = [key for key in ORIENTATIONS if key in given]
    if len(turns) != 1:
        raise ValueError(
            f"{path}: {what} needs either orientation [rad] or orientation_degrees: "
            "yaw, pitch, roll, or the yaw alone"
        )
    orientation = _orientation(path, f"{what} {turns[0]}", given[turns[0]])
    if turns[0] == "orientation_degrees":
        orientation = [math.radians(angle) for angle in orientation]
    carrier = _number(path, f"{what} carrier_frequency", given["carrier_frequency"])
    if carrier <= 0:
        raise ValueError(f"{path}: {what} carrier_frequency must be positive, got {carrier:g}")
    return Station(
        torch.tensor(_position(path, what, given, origin), dtype=torch.float64),
        torch.tensor(orientation, dtype=torch.float64),
        carrier,
        str(given.get("name", number)),
    )


def _orientation(path: Path, what: str, value: Any) -> list[float]:
    if isinstance(value, int | float | str):
        return [_number(path, what, value), 0.0, 0.0]
    return _three(path, what, value)


def _position(
    path: Path, what: str, given: Mapping[str, Any], origin: Origin | None
) -> list[float]:
    geographic = [key for key in GEOGRAPHIC if key in given]
    if "position" in given:
        if geographic:
            raise ValueError(f"{path}: {what} has position and {geographic[0]}: leave one out")
        return _three(path, f"{what} position", given["position"])
    if missing := [key for key in GEOGRAPHIC if key not in given]:
        lacking = "position [m]" if len(missing) == len(GEOGRAPHIC) else missing[0]
        raise ValueError(f"{path}: {what} lacks {lacking}: give it")
    if origin is None:
        raise ValueError(f"{path}: {what} is given by latitude: give the origin of the frame too")
    numbers = [_number(path, f"{what} {key}", given[key]) for key in GEOGRAPHIC]
    place: list[float] = origin.local(*numbers).tolist()
    return place


def _mapping(path: Path, what: str, value: Any, known: Sequence[str]) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{path}: {what} must have the keys {', '.join(known)}, got {value!r:.60}")
    if unknown := [key for key in value if key not in known]:
        raise ValueError(f"{path}: {what} has {unknown[0]!r}, which is none of {', '.join(known)}")
    return value


def _three(path: Path, what: str, value: Any) -> list[float]:
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 3:
        raise ValueError(f"{path}: {what} must be three numbers, got {value!r:.60}")
    return [_number(path, what, part) for part in value]


def _number(path: Path, what: str, value: Any) -> float:
    # YAML reads 3.5e9 as text, since it has no sign in its exponent.
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{path}: {what} must be a number, got {value!r:.60}")
    return number
