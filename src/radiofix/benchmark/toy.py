"""Small made-up towns, so that the bench can be tried where nothing was traced.

Streets and houses are those of the procedural cities; a link has the straight way, weak and longer
where a house is in it, and the ground's reflection. Numbers that come of it mean nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from radiofix.benchmark.lwlm.protocols import MAIN_STREET, STATIONS
from radiofix.data import schema
from radiofix.data.joining import join
from radiofix.data.splits import put_splits
from radiofix.data.store import StoreWriter, open_paths
from radiofix.scenes.city import city
from radiofix.scenes.scene import Scene
from radiofix.tracing.run import scene_map
from radiofix.types import SPEED_OF_LIGHT

Array = NDArray[Any]
CARRIER = 3.5e9
ROUND = 1.05
"""How much longer a way round a house is."""
WEAK = 0.1
"""Amplitude that is left of a way round a house."""
GROUND = -0.5
"""Reflection of the ground."""
USERS = 240
MAIN_STREETS = {"o1": 0, "cross": 5, "twelve": 6, "near-walls": 7, "far-walls": 8}
"""Stores of `bench lwlm` by their names, and the seeds of their towns."""
TOWNS = {"whole": 0, "munich": 1}
"""Those of `bench sigmap`."""
LEARNT = (3, 4)
"""Seeds of the towns to learn in."""


def write_main_streets(folder: Path) -> None:
    """Writes the stores of `bench lwlm` that are not there yet, each NAME.zarr."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, seed in MAIN_STREETS.items():
        _once(folder / f"{name}.zarr", seed, MAIN_STREET if name == "twelve" else STATIONS)


def write_stores(folder: Path) -> None:
    """Writes the stores of `bench sigmap` that are not there yet, each NAME.zarr."""
    folder.mkdir(parents=True, exist_ok=True)
    names = {"whole": STATIONS}
    for name, seed in TOWNS.items():
        _once(folder / f"{name}.zarr", seed, names.get(name, ("1", "2", "3", "4")))
    if not (folder / "cities.zarr").exists():
        towns = [folder / f"town-{seed}.zarr" for seed in LEARNT]
        for place, seed in zip(towns, LEARNT, strict=True):
            _once(place, seed, ("1", "2", "3", "4"))
        join([open_paths(place) for place in towns], folder / "cities.zarr")


def _once(place: Path, seed: int, names: Sequence[str]) -> None:
    if not place.exists():
        write_town(place, seed, names)


def write_town(place: Path, seed: int, names: Sequence[str], users: int = USERS) -> None:
    """Writes one town with a station of each name and so many users."""
    town = city(seed, blocks=(2, 2), stations=len(names), spacing=4.0)
    rows = np.sort(np.random.default_rng(seed).permutation(len(town.user_position))[:users])
    user = town.user_position[rows]
    stations = list(town.stations.values())
    station = np.stack([s.position.numpy() for s in stations])
    scene = {
        "user_position": user,
        "station_position": station,
        "station_orientation": np.stack([s.orientation.numpy() for s in stations]),
        "carrier_frequency": np.full(len(stations), CARRIER),
    }
    attributes = {
        "scenario": f"toy-{seed}",
        "tracer": "none: made up",
        "seed": seed,
        "licence": "Apache-2.0",
        "station_names": list(names),
    }
    with StoreWriter(place, attributes, len(user), len(stations)) as store:
        for name, values in _paths(town, user, station).items():
            variable = schema.PATH_VARIABLES[name]
            store.create(name, variable, {"path": values.shape[-1]})
            store.append(name, values.astype(variable.dtype))
        for name, variable in schema.SCENE_VARIABLES.items():
            store.put(name, variable, scene[name])
        put_splits(store, user, seed=seed)
        store.put_map(scene_map(town))


def _paths(town: Scene, user: Array, station: Array) -> dict[str, Array]:
    """(user, station, 2): the straight way or one round the houses, and the ground's."""
    away = user[:, None] - station
    blocked = _blocked(town, user, station)[..., None]
    mirrored = user[:, None] * [1, 1, -1] - station
    ways = np.stack([away, mirrored], 2)
    length = np.linalg.norm(ways, axis=-1) * np.where(blocked, ROUND, 1.0)
    wavelength = SPEED_OF_LIGHT / CARRIER
    gain = wavelength / (4 * np.pi * length) * np.exp(-2j * np.pi * length / wavelength)
    gain = gain * np.where(blocked, WEAK, 1.0) * [1.0, GROUND]
    return {
        "gain": gain,
        "delay": length / SPEED_OF_LIGHT,
        **_angles("station", ways),
        **_angles("user", -ways),
        "interactions": np.where(blocked, [1, 2], [0, 1]),
        "diffracted": np.broadcast_to(blocked, length.shape),
    }


def _angles(end: str, way: Array) -> dict[str, Array]:
    azimuth = np.arctan2(way[..., 1], way[..., 0])
    zenith = np.arccos(way[..., 2] / np.linalg.norm(way, axis=-1))
    return {f"{end}_azimuth": azimuth, f"{end}_zenith": zenith}


def _blocked(town: Scene, user: Array, station: Array) -> NDArray[np.bool_]:
    """(user, station): whether a house is in the straight way, in plan."""
    corners = [mesh.vertices[mesh.faces][..., :2] for mesh in town.meshes if mesh.building]
    roofs = shapely.polygons(np.concatenate(corners))
    houses = shapely.union_all(roofs[shapely.area(roofs) > 1e-6])
    shapely.prepare(houses)
    ends = np.broadcast_arrays(user[:, None, :2], station[None, :, :2])
    return np.asarray(shapely.intersects(houses, shapely.linestrings(np.stack(ends, -2))))
