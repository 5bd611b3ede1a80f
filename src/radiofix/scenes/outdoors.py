"""Where people can stand: on the ground, with no roof overhead.

Real cities come as open shells (walls in one mesh, the roof in another, seldom a floor), so that
"inside a solid" has no answer. Whether some triangle of a building hangs over a place has one
for any mesh: a roof overhead is inside. It counts what stands under an arch as inside too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray

from radiofix.scenes.scene import FloatArray, Mesh

BLOCK = 65_536
"""Places looked up at once: bounds the memory."""
STEEPEST = 1e-3
"""Triangles whose normal points less than this upward are walls: they cover no place."""
MOST_PLACES = 20_000_000
"""A grid with more places than this is a slip of the spacing."""


@runtime_checkable
class BuildingMap(Protocol):
    """Meshes as a store's group `map/` holds them."""

    @property
    def vertices(self) -> NDArray[Any]:
        """(vertex, 3) [m]."""

    @property
    def faces(self) -> NDArray[Any]:
        """(face, 3) rows of `vertices`."""

    @property
    def face_building(self) -> NDArray[Any]:
        """(face,) number of the building; -1: ground."""


class Cover:
    """Triangles (triangle, 3, 3) [m] as seen from above, searchable by place."""

    def __init__(self, triangles: FloatArray) -> None:
        first, second = triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]
        normal = np.cross(first, second)
        flat = np.abs(normal[:, 2]) > STEEPEST * np.linalg.norm(normal, axis=-1)
        self._corner, self._first, self._second = triangles[flat, 0], first[flat], second[flat]
        self._plan_area = normal[flat, 2]
        self._outline = triangles[flat][:, :, :2]
        # Boxes are found as fast as triangles are, and built ten times as fast.
        low, high = self._outline.min(1), self._outline.max(1)
        self._tree = shapely.STRtree(shapely.box(low[:, 0], low[:, 1], high[:, 0], high[:, 1]))

    def highest(self, places: FloatArray) -> FloatArray:
        """Height [m] of the highest triangle over each place (place, 2 or more); -inf: none."""
        height = np.full(len(places), -np.inf)
        for start, points in _blocks(places):
            place, triangle = self._tree.query(points)
            place += start
            offset = places[place, :2] - self._corner[triangle, :2]
            a, b, area = self._first[triangle], self._second[triangle], self._plan_area[triangle]
            u = (offset[:, 0] * b[:, 1] - offset[:, 1] * b[:, 0]) / area
            v = (a[:, 0] * offset[:, 1] - a[:, 1] * offset[:, 0]) / area
            # A hair of tolerance, so that no place slips between two triangles that share an edge.
            over = (u >= -1e-9) & (v >= -1e-9) & (u + v <= 1 + 1e-9)
            z = self._corner[triangle, 2] + u * a[:, 2] + v * b[:, 2]
            np.maximum.at(height, place[over], z[over])
        return height

    def within(self, places: FloatArray, distance: float) -> NDArray[np.bool_]:
        """Whether any triangle comes within `distance` [m] of a place, seen from above."""
        near = np.zeros(len(places), dtype=bool)
        tree = shapely.STRtree(shapely.polygons(self._outline))
        for start, points in _blocks(places):
            place, _ = tree.query(points, predicate="dwithin", distance=distance)
            near[start + place] = True
        return near


def building_triangles(buildings: Sequence[Mesh] | BuildingMap) -> FloatArray:
    """Triangles (triangle, 3, 3) [m] of all that is building."""
    if isinstance(buildings, Sequence):
        return _triangles([mesh for mesh in buildings if mesh.building])
    chosen = np.asarray(buildings.faces)[np.asarray(buildings.face_building) >= 0]
    return np.asarray(np.asarray(buildings.vertices)[chosen.reshape(-1, 3)], dtype=np.float64)


def inside_buildings(
    points: ArrayLike, buildings: Sequence[Mesh] | BuildingMap
) -> NDArray[np.bool_]:
    """Which points (point, 3) [m] have some part of a building straight above them."""
    points = np.asarray(points, dtype=np.float64).reshape(-1, 3)
    return Cover(building_triangles(buildings)).highest(points) > points[:, 2] + 1e-6


def ground_height(places: ArrayLike, meshes: Sequence[Mesh]) -> FloatArray:
    """Height [m] of the ground at places (place, 2 or more); NaN where there is none."""
    places = np.asarray(places, dtype=np.float64)
    height = Cover(_triangles([mesh for mesh in meshes if not mesh.building])).highest(places)
    return np.where(np.isfinite(height), height, np.nan)


def free_grid(
    bounds: Sequence[float],
    spacing: float,
    height: float,
    meshes: Sequence[Mesh],
    clearance: float = 0.5,
) -> tuple[FloatArray, NDArray[np.int32]]:
    """Outdoor places (place, 3) of a grid over (x from, y from, x to, y to) and their rows.

    Points stand `height` [m] over the ground meshes and `clearance` [m] from any building; rows
    count the lines of the grid in y from 1 and keep their numbers where places are missing.
    """
    if len(bounds) != 4:
        raise ValueError(f"bounds must be x from, y from, x to, y to, got {bounds}")
    x_from, y_from, x_to, y_to = map(float, bounds)
    if not (np.isfinite([x_from, y_from, x_to, y_to]).all() and x_from < x_to and y_from < y_to):
        raise ValueError(f"bounds must be x from, y from, x to, y to, got {bounds}")
    if not (np.isfinite(spacing) and spacing > 0):
        raise ValueError(f"spacing must be positive, got {spacing:g}")
    across, along = (x_to - x_from) / spacing, (y_to - y_from) / spacing
    many = (across + 1) * (along + 1)
    if many > MOST_PLACES:
        raise ValueError(f"spacing={spacing:g} makes {many:.3g} places: use a wider one")
    columns, lines = int(across + 1e-9) + 1, int(along + 1e-9) + 1
    y, x = np.meshgrid(
        y_from + spacing * np.arange(lines), x_from + spacing * np.arange(columns), indexing="ij"
    )
    places = np.column_stack([x.ravel(), y.ravel()])
    rows = np.repeat(np.arange(1, lines + 1, dtype=np.int32), columns)
    free = ~Cover(building_triangles(meshes)).within(places, clearance)
    places, rows = places[free], rows[free]
    floor = ground_height(places, meshes)
    if all(mesh.building for mesh in meshes):
        floor = np.zeros(len(places))
    standing = np.isfinite(floor)
    if not standing.any():
        raise ValueError(f"no free place within {bounds} at spacing={spacing:g}: widen them")
    return np.column_stack([places, floor + height])[standing], rows[standing]


def _triangles(meshes: Sequence[Mesh]) -> FloatArray:
    parts = [mesh.vertices[mesh.faces] for mesh in meshes]
    return np.concatenate(parts) if parts else np.empty((0, 3, 3))


def _blocks(places: FloatArray) -> Iterator[tuple[int, NDArray[Any]]]:
    for start in range(0, len(places), BLOCK):
        yield start, shapely.points(places[start : start + BLOCK, :2])
