"""The O1 scenario of DeepMIMO, rebuilt from its published dimensions.

Two streets and one intersection, 32 box buildings, 18 stations at 6 m. The published text leaves
some of it open; what is assumed here is recorded in the scene's `assumptions`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from shapely.geometry import box

from radiofix.scenes.meshes import ground, prism
from radiofix.scenes.scene import FloatArray, Mesh, Scene
from radiofix.types import Station

ODD_X, EVEN_X = 235.504, 287.504
"""Where the odd and even stations of the main street stand [m]."""
MAIN_Y = (389.504, 489.504, 589.504, 651.504, 751.504, 851.504)
"""Stations 1, 3, ..., 11 (and 2, 4, ..., 12) along the main street [m]."""
SOUTH_Y, NORTH_Y = 594.504, 646.504
CROSS_X = (75.504, 225.504, 375.504)
"""Stations 13, 15, 17 (and 14, 16, 18) along the cross street [m]."""
STATION_HEIGHT, USER_HEIGHT = 6.0, 2.0
DEPTH, FRONT = 30.0, 60.0
"""Buildings: 30 m deep and 60 m wide on the main street, 60 by 60 on the cross street [m]."""


def o1(
    frequency: float = 3.5e9,
    wall_distance: float = 2.504,
    heights_seed: int = 0,
    station_yaw: Mapping[int, float] | Mapping[str, float] | None = None,
) -> Scene:
    """Builds O1: walls `wall_distance` [m] behind the stations, heights from a seed.

    `station_yaw` [rad] turns stations by number, which JSON has as text; the others face their
    street.
    """
    if not 0.5 <= wall_distance <= 5.0:
        raise ValueError(f"wall_distance must lie between 0.5 and 5 m, got {wall_distance:g}")
    if heights_seed < 0:
        raise ValueError(f"heights_seed must not be negative, got {heights_seed}")
    stations = _stations(frequency, {str(k): v for k, v in (station_yaw or {}).items()})
    position, group, row = _users()
    return Scene(
        name="o1",
        meshes=_meshes(wall_distance, heights_seed),
        stations=stations,
        default_stations=(3, 4, 9, 10),
        user_position=position,
        user_group=group,
        user_row=row,
        assumptions={
            "wall_distance_m": wall_distance,
            "heights_m": f"15 to 45, uniform, seed {heights_seed}",
            "material": "concrete",
            "cross_street_stations_x_m": list(CROSS_X),
            "station_yaw_rad": {str(k): float(s.orientation[0]) for k, s in stations.items()},
            "user_grids": "UG1 rows 1-2751, UG2 rows 2752-3852, UG3 rows 3853-5203 (0.1 m apart)",
        },
    )


def _stations(frequency: float, yaw: dict[str, float]) -> dict[int, Station]:
    places: dict[int, tuple[float, float, float]] = {}
    for i, y in enumerate(MAIN_Y):
        places[2 * i + 1] = (ODD_X, y, 0.0)
        places[2 * i + 2] = (EVEN_X, y, np.pi)
    for i, x in enumerate(CROSS_X):
        places[2 * i + 13] = (x, SOUTH_Y, np.pi / 2)
        places[2 * i + 14] = (x, NORTH_Y, -np.pi / 2)
    unknown = [number for number in yaw if number not in map(str, places)]
    if unknown:
        raise ValueError(f"station_yaw names station {unknown[0]}: o1 has stations 1 to 18")
    return {
        number: Station(
            torch.tensor([x, y, STATION_HEIGHT], dtype=torch.float64),
            torch.tensor([yaw.get(str(number), faces), 0.0, 0.0], dtype=torch.float64),
            frequency,
            str(number),
        )
        for number, (x, y, faces) in sorted(places.items())
    }


def _users() -> tuple[FloatArray, np.ndarray, np.ndarray]:
    """UG1 to UG3 row by row; rows are numbered through the scenario, from 1."""
    across1, along1 = 242.423 + 0.2 * np.arange(181), 297.171 + 0.2 * np.arange(2751)
    across2, along2 = 602.504 + 0.2 * np.arange(181), 12.504 + 0.2 * np.arange(1101)
    across3, along3 = 602.504 + 0.1 * np.arange(361), 291.004 + 0.1 * np.arange(1351)
    y1, x1 = np.meshgrid(along1, across1, indexing="ij")
    x2, y2 = np.meshgrid(along2, across2, indexing="ij")
    x3, y3 = np.meshgrid(along3, across3, indexing="ij")
    x = np.concatenate([x1.ravel(), x2.ravel(), x3.ravel()])
    y = np.concatenate([y1.ravel(), y2.ravel(), y3.ravel()])
    position = np.column_stack([x, y, np.full(len(x), USER_HEIGHT)])
    sizes = (x1.size, x2.size, x3.size)
    group = np.repeat(np.array([1, 2, 3], dtype=np.int8), sizes)
    rows = [
        np.repeat(np.arange(len(a)), len(b))
        for a, b in ((along1, across1), (along2, across2), (along3, across3))
    ]
    row = np.concatenate([rows[0] + 1, rows[1] + 2752, rows[2] + 3853]).astype(np.int32)
    return position, group, row


def _meshes(wall_distance: float, seed: int) -> tuple[Mesh, ...]:
    west, east = ODD_X - wall_distance, EVEN_X + wall_distance
    south, north = SOUTH_Y - wall_distance, NORTH_Y + wall_distance
    footprints = []
    for x in (west - DEPTH, east):
        footprints += [
            box(x, south - FRONT * (i + 1), x + DEPTH, south - FRONT * i) for i in range(5)
        ]
        footprints += [
            box(x, north + FRONT * i, x + DEPTH, north + FRONT * (i + 1)) for i in range(4)
        ]
    for y in (south - FRONT, north):
        corners = [west - DEPTH - FRONT * (i + 1) for i in range(4)]
        corners += [east + DEPTH + FRONT * i for i in range(3)]
        footprints += [box(x, y, x + FRONT, y + FRONT) for x in corners]
    heights = np.random.default_rng(seed).uniform(15.0, 45.0, len(footprints))
    houses = [
        prism(f"building-{i}", footprint, float(height), "concrete")
        for i, (footprint, height) in enumerate(zip(footprints, heights, strict=True))
    ]
    return (ground((-60.0, 260.0, 540.0, 920.0)), *houses)
