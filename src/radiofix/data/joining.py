"""Several scenes in one store: beside each other in one frame, too far apart to hear another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiofix.data import schema
from radiofix.data.splits import SPLIT
from radiofix.data.store import (
    CHUNK_USERS,
    Map,
    PathStore,
    StoreError,
    StoreWriter,
    expect_new,
    reading,
)

Array = NDArray[Any]
APART = 10_000.0
"""Between the edges of neighbouring scenes [m]."""
EMPTY = {"interactions": -1}
"""What stands where a user is not heard; all else is 0 there."""
KEPT = ("time", "track", "row", "clock_offset")
"""Optional variables that are kept where every store has them."""
ORIGIN = ("scenario", "tracer", "plan", "seed", "licence", "assumptions", "radiofix_version")
"""What a store says of itself that the joined one repeats of it."""


@dataclass(frozen=True, slots=True)
class _Part:
    """One store, and where it goes."""

    store: PathStore
    shift: Array
    """(3,) by which its scene is moved [m]."""
    first_user: int
    first_station: int

    @property
    def users(self) -> slice:
        """Rows of the joined store."""
        return slice(self.first_user, self.first_user + self.store.users)

    @property
    def stations(self) -> slice:
        """Columns of the joined store."""
        return slice(self.first_station, self.first_station + _stations(self.store))


def join(stores: Sequence[PathStore], out: Path, apart: float = APART) -> int:
    """Writes the users, stations and maps of several stores as one scene.

    The first keeps its frame, each further one is moved east. Users hear the stations of their own
    scene alone. Every user keeps its part of every split.

    Args:
        stores: of paths, two or more.
        out: the store to be.
        apart: between the edges of neighbours [m].

    Returns:
        How many users there are.
    """
    _expect_joinable(stores, apart)
    expect_new(out)
    maps = [_read_map(store) for store in stores]
    parts = _placed(stores, maps, apart)
    users = sum(store.users for store in stores)
    stations = sum(_stations(store) for store in stores)
    with StoreWriter(out, _attributes(parts), users, stations) as writer:
        _write_paths(writer, parts, stations)
        _write_scene(writer, parts)
        _write_optional(writer, parts, stations)
        _write_splits(writer, parts)
        joined = [(p, m) for p, m in zip(parts, maps, strict=True) if m is not None]
        if joined:
            writer.put_map(_joined_map(joined))
    return users


def _expect_joinable(stores: Sequence[PathStore], apart: float) -> None:
    if len(stores) < 2:
        raise StoreError(f"{len(stores)} store is nothing to join: name two or more")
    if not (np.isfinite(apart) and apart > 0):
        raise StoreError(f"apart={apart:g} m must be positive")
    known: set[Path] = set()
    for store in stores:
        if store.measured:
            raise StoreError(f"{store.path} holds measured CSI, no paths: it cannot be joined")
        if store.path.resolve() in known:
            raise StoreError(f"{store.path} is named twice: its users would train and test")
        known.add(store.path.resolve())
    mapped = [store.map is not None for store in stores]
    if any(mapped) and not all(mapped):
        bare = stores[mapped.index(False)].path
        raise StoreError(f"{bare} has no map, others have one: join stores with maps, or without")


def _stations(store: PathStore) -> int:
    return len(store.stations)


def _read_map(store: PathStore) -> Map | None:
    with reading(store.path):
        return store.map


def _placed(
    stores: Sequence[PathStore], maps: Sequence[Map | None], apart: float
) -> tuple[_Part, ...]:
    parts: list[_Part] = []
    edge = 0.0
    for store, scene_map in zip(stores, maps, strict=True):
        with reading(store.path):
            places = [store.dataset[f"{end}_position"].values for end in ("user", "station")]
        corners = [] if scene_map is None else [scene_map.vertices]
        east = np.concatenate([p[:, 0] for p in (*places, *corners)])
        shift = np.zeros(3)
        if parts:
            # Whole metres: positions lose no digit that they had.
            shift[0] = np.ceil(edge + apart - east.min())
        edge = float(east.max() + shift[0])
        last = parts[-1] if parts else None
        parts.append(
            _Part(
                store,
                shift,
                last.users.stop if last else 0,
                last.stations.stop if last else 0,
            )
        )
    return tuple(parts)


def _attributes(parts: Sequence[_Part]) -> dict[str, Any]:
    """Names and licences of all, and of each where it came from and where it went."""
    licences = [str(p.store.attributes.get("licence", "unknown")) for p in parts]
    names = [
        f"{p.store.attributes.get('scenario', p.store.path.stem)}:{station.name}"
        for p in parts
        for station in p.store.stations
    ]
    return {
        "scenario": "joined",
        "licence": " AND ".join(dict.fromkeys(licences)),
        "station_names": names,
        "joined_from": [
            {
                "store": part.store.path.name,
                **{k: v for k, v in part.store.attributes.items() if k in ORIGIN},
                "sha256": part.store.attributes.get("sha256"),
                "shift_m": part.shift.tolist(),
                "users": [part.users.start, part.users.stop],
                "stations": [part.stations.start, part.stations.stop],
            }
            for part in parts
        ],
    }


def _write_paths(writer: StoreWriter, parts: Sequence[_Part], stations: int) -> None:
    paths = max(int(part.store.dataset.sizes["path"]) for part in parts)
    for name, variable in schema.PATH_VARIABLES.items():
        writer.create(name, variable, {"path": paths})
        for part in parts:
            source = part.store.dataset[name]
            for start in range(0, part.store.users, CHUNK_USERS):
                with reading(part.store.path):
                    chunk = source.isel(user=slice(start, start + CHUNK_USERS)).values
                block = np.full(
                    (len(chunk), stations, paths), EMPTY.get(name, 0), dtype=variable.dtype
                )
                block[:, part.stations, : chunk.shape[2]] = chunk
                writer.append(name, block)


def _write_scene(writer: StoreWriter, parts: Sequence[_Part]) -> None:
    for name, variable in schema.SCENE_VARIABLES.items():
        values = [_values(part, name) for part in parts]
        if name.endswith("_position"):
            values = [v + part.shift for v, part in zip(values, parts, strict=True)]
        writer.put(name, variable, np.concatenate(values))


def _write_optional(writer: StoreWriter, parts: Sequence[_Part], stations: int) -> None:
    for name in KEPT:
        if not all(name in part.store.dataset for part in parts):
            continue
        variable = schema.OPTIONAL_VARIABLES[name]
        values = [_values(part, name) for part in parts]
        if name == "track":
            values = _apart(values)
        if "station" in variable.dimensions:
            values = [_spread(v, part, stations) for v, part in zip(values, parts, strict=True)]
        writer.put(name, variable, np.concatenate(values))


def _apart(tracks: Sequence[Array]) -> list[Array]:
    """Tracks of different stores under different numbers; a negative one is none."""
    numbered, first = [], 0
    for track in tracks:
        numbered.append(np.where(track >= 0, track + first, track))
        first += int(track.max(initial=-1)) + 1
    return numbered


def _spread(values: Array, part: _Part, stations: int) -> Array:
    wide = np.zeros((len(values), stations), dtype=values.dtype)
    wide[:, part.stations] = values
    return wide


def _write_splits(writer: StoreWriter, parts: Sequence[_Part]) -> None:
    """Every split that any store has; users of a store without it are unused."""
    each = [[str(v) for v in p.store.dataset if str(v).startswith("split_")] for p in parts]
    for name in dict.fromkeys(name for names in each for name in names):
        codes, extra = [], {}
        for part in parts:
            if name in part.store.dataset:
                codes.append(_values(part, name))
                extra = dict(part.store.dataset[name].attrs)
            else:
                codes.append(np.full(part.store.users, schema.SPLIT_CODES["unused"]))
        told: Mapping[str, Any] = {
            k: v for k, v in extra.items() if k not in ("units", "long_name")
        }
        writer.put(name, SPLIT, np.concatenate(codes).astype(SPLIT.dtype), **told)


def _values(part: _Part, name: str) -> Array:
    with reading(part.store.path):
        values: Array = part.store.dataset[name].values
    return values


def _joined_map(joined: Sequence[tuple[_Part, Map]]) -> Map:
    materials = tuple(dict.fromkeys(m for _, one in joined for m in one.materials))
    vertices, faces, building, material = [], [], [], []
    first_vertex = first_building = 0
    for part, one in joined:
        vertices.append(one.vertices + part.shift)
        faces.append(one.faces + first_vertex)
        building.append(np.where(one.face_building >= 0, one.face_building + first_building, -1))
        row = np.array([materials.index(m) for m in one.materials], dtype=np.int64)
        material.append(row[one.face_material])
        first_vertex += len(one.vertices)
        first_building += int(one.face_building.max(initial=-1)) + 1
    return Map(
        np.concatenate(vertices),
        np.concatenate(faces),
        np.concatenate(building),
        np.concatenate(material),
        materials,
    )
