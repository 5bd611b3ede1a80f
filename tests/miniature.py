"""A small store whose every path is worked out by hand with mirror images.

A street lies along x. Its north side is a wall at y = 20 from x = -10 to 30; a tower stands in
the middle. Each of 60 users has up to four paths to each of two stations: line of sight, the
wall's reflection, the ground's, and the one off both. The tower and the wall's end take some.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray

from radiofix.data import schema
from radiofix.data.splits import random_split, region_split
from radiofix.data.store import Map, StoreWriter
from radiofix.types import SPEED_OF_LIGHT

USERS, STATIONS, PATHS = 60, 2, 4
CARRIER = 3.5e9
WALL_Y, WALL_X = 20.0, (-10.0, 30.0)
TOWER = (25.0, -2.0, 35.0, 8.0)
"""x from, y from, x to, y to [m]."""
WALL_LOSS, GROUND_LOSS = -0.6, -0.5
STATION_POSITION = np.array([[0.0, 0.0, 6.0], [60.0, 5.0, 6.0]])
STATION_ORIENTATION = np.array([[0.0, 0.0, 0.0], [np.pi, 0.0, 0.0]])

Array = NDArray[np.float64]


def user_position() -> Array:
    """(60, 3): ten columns of six users at 1.5 m, none of them in a building [m]."""
    x, y = np.meshgrid(np.linspace(4, 56, 10), [-18.0, -13.0, -8.0, -5.0, 12.0, 16.0])
    return np.stack([x.ravel(), y.ravel(), np.full(USERS, 1.5)], axis=-1)


def path_arrays() -> dict[str, NDArray[np.generic]]:
    """Every path variable of the schema, (user, station, path), strongest first."""
    user = np.broadcast_to(user_position()[:, None], (USERS, STATIONS, 3))
    station = np.broadcast_to(STATION_POSITION, (USERS, STATIONS, 3))
    wall_open, straight_open = _wall_is_open(user, station), _is_open(user, station)
    kinds = [
        (user, station, 1.0, 0, straight_open),
        (_wall(user), _wall(station), WALL_LOSS, 1, wall_open),
        (_ground(user), _ground(station), GROUND_LOSS, 1, straight_open),
        (_wall(_ground(user)), _wall(_ground(station)), WALL_LOSS * GROUND_LOSS, 2, wall_open),
    ]
    columns: dict[str, list[NDArray[np.generic]]] = {name: [] for name in schema.PATH_VARIABLES}
    for user_image, station_image, loss, bounces, there in kinds:
        away, back = user_image - station, station_image - user
        length = np.linalg.norm(away, axis=-1)
        wavelength = SPEED_OF_LIGHT / CARRIER
        gain = loss * wavelength / (4 * np.pi * length) * np.exp(-2j * np.pi * length / wavelength)
        columns["gain"].append(np.where(there, gain, 0))
        columns["delay"].append(np.where(there, length / SPEED_OF_LIGHT, 0))
        for end, ray in (("station", away), ("user", back)):
            azimuth, zenith = np.arctan2(ray[..., 1], ray[..., 0]), np.arccos(ray[..., 2] / length)
            columns[f"{end}_azimuth"].append(np.where(there, azimuth, 0))
            columns[f"{end}_zenith"].append(np.where(there, zenith, 0))
        columns["interactions"].append(np.where(there, bounces, -1))
        columns["diffracted"].append(np.zeros_like(there))
    stacked = {name: np.stack(column, axis=-1) for name, column in columns.items()}
    order = np.argsort(-np.abs(stacked["gain"]), axis=-1, kind="stable")
    return {
        name: np.take_along_axis(values, order, -1).astype(schema.PATH_VARIABLES[name].dtype)
        for name, values in stacked.items()
    }


def buildings() -> Map:
    """The wall's building (number 0) and the tower (1), as boxes, on a ground (-1)."""
    boxes = [(WALL_X[0], WALL_Y, WALL_X[1], WALL_Y + 5, 20.0), (*TOWER, 30.0)]
    vertices, faces = zip(*(_box(*corners) for corners in boxes), strict=True)
    ground = np.array([[-20, -30, 0], [80, -30, 0], [80, 30, 0], [-20, 30, 0]], dtype=float)
    face_rows = [faces[0], faces[1] + 8, np.array([[16, 17, 18], [16, 18, 19]])]
    building = np.repeat([0, 1, -1], [len(rows) for rows in face_rows])
    return Map(
        vertices=np.concatenate([*vertices, ground]),
        faces=np.concatenate(face_rows).astype(np.int32),
        face_building=building.astype(np.int32),
        face_material=(building < 0).astype(np.int32),
        materials=("concrete", "wet_ground"),
    )


def write_miniature(path: Path, with_map: bool = True) -> Path:
    """Writes the traced store, in two blocks of users as a tracer would."""
    attributes = {
        "scenario": "miniature",
        "tracer": {"name": "images", "version": "1"},
        "seed": 0,
        "licence": "Apache-2.0",
        "station_names": ["west", "east"],
    }
    arrays, position = path_arrays(), user_position()
    with StoreWriter(path, attributes, USERS, STATIONS) as store:
        for name, variable in schema.PATH_VARIABLES.items():
            store.create(name, variable, {"path": PATHS})
            for block in np.split(arrays[name], [40]):
                store.append(name, block)
        _put_scene(store, position)
        split = schema.Variable(("user",), "int8", "1", "part of the user")
        store.put("split_random", split, random_split(USERS, 30, 10, 20))
        store.put("split_region", split, region_split(position, block=10.0, guard=3.0))
        if with_map:
            store.put_map(buildings())
    return path


def write_measured(path: Path, antennas: int = 8, subcarriers: int = 16) -> Path:
    """Writes a store of measured CSI at 20 MHz: the same paths, seen by arrays along y."""
    arrays = path_arrays()
    frequency = CARRIER + (np.arange(subcarriers) - subcarriers // 2) * 20e6 / subcarriers
    antenna = np.zeros((antennas, 3))
    antenna[:, 1] = (np.arange(antennas) - (antennas - 1) / 2) * SPEED_OF_LIGHT / CARRIER / 2
    across = np.sin(arrays["station_zenith"]) * np.sin(
        arrays["station_azimuth"] - STATION_ORIENTATION[:, :1]
    )
    steering = np.exp(2j * np.pi * across[..., None] * antenna[:, 1] * CARRIER / SPEED_OF_LIGHT)
    turn = np.exp(-2j * np.pi * arrays["delay"][..., None] * (frequency - CARRIER))
    csi = np.einsum("usp,uspa,uspk->usak", arrays["gain"], steering, turn)
    attributes = {"scenario": "miniature measured", "station_names": ["west", "east"]}
    with StoreWriter(path, attributes, USERS, STATIONS) as store:
        for name, values in (("csi", csi), ("frequency", frequency), ("antenna_position", antenna)):
            store.put(name, schema.CSI_VARIABLES[name], values)
        _put_scene(store, user_position())
    return path


def _put_scene(store: StoreWriter, position: Array) -> None:
    scene = {
        "user_position": position,
        "station_position": STATION_POSITION,
        "station_orientation": STATION_ORIENTATION,
        "carrier_frequency": np.full(STATIONS, CARRIER),
    }
    for name, values in scene.items():
        store.put(name, schema.SCENE_VARIABLES[name], values)


def _wall(point: Array) -> Array:
    return point * [1, -1, 1] + [0, 2 * WALL_Y, 0]


def _ground(point: Array) -> Array:
    return point * [1, 1, -1]


def _is_open(start: Array, end: Array) -> NDArray[np.bool_]:
    """Whether the tower, higher than all else, leaves the straight way in the plane free."""
    way = shapely.linestrings(np.stack([start[..., :2], end[..., :2]], axis=-2))
    return ~shapely.intersects(way, shapely.box(*TOWER))


def _wall_is_open(user: Array, station: Array) -> NDArray[np.bool_]:
    share = (WALL_Y - station[..., 1]) / (_wall(user)[..., 1] - station[..., 1])
    touch = station + share[..., None] * (_wall(user) - station)
    on_wall = (touch[..., 0] > WALL_X[0]) & (touch[..., 0] < WALL_X[1])
    return on_wall & _is_open(station, touch) & _is_open(touch, user)


def _box(
    west: float, south: float, east: float, north: float, top: float
) -> tuple[Array, NDArray[np.int64]]:
    corners = [(west, south), (east, south), (east, north), (west, north)]
    vertices = np.array([(x, y, z) for z in (0.0, top) for x, y in corners])
    sides = [[a, (a + 1) % 4, (a + 1) % 4 + 4] for a in range(4)]
    sides += [[a, (a + 1) % 4 + 4, a + 4] for a in range(4)]
    caps = [[0, 2, 1], [0, 3, 2], [4, 5, 6], [4, 6, 7]]
    return vertices, np.array(sides + caps)
