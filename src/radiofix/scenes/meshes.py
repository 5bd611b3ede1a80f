"""Solids from footprints: what every scene builds its houses with."""

from __future__ import annotations

import numpy as np
import shapely
from shapely.geometry import Polygon, box

from radiofix.scenes.scene import Mesh


def prism(name: str, footprint: Polygon, height: float, material: str, floor: float = 0.0) -> Mesh:
    """Extrudes a footprint [m] from `floor` up by `height` [m] into a closed solid."""
    if height <= 0:
        raise ValueError(f"height of {name} must be positive, got {height:g}")
    footprint = shapely.geometry.polygon.orient(shapely.remove_repeated_points(footprint))
    if footprint.is_empty or not footprint.is_valid:
        reason = shapely.is_valid_reason(footprint)
        raise ValueError(f"footprint of {name} is no simple polygon: {reason}")
    rings = [np.asarray(ring.coords)[:-1] for ring in (footprint.exterior, *footprint.interiors)]
    corners = np.concatenate(rings)
    count = len(corners)
    vertices = np.concatenate(
        [np.column_stack([corners, np.full(count, z)]) for z in (floor, floor + height)]
    )
    walls = []
    start = 0
    for ring in rings:
        here = start + np.arange(len(ring))
        following = start + np.roll(np.arange(len(ring)), -1)
        walls += [np.column_stack([here, following, following + count])]
        walls += [np.column_stack([here, following + count, here + count])]
        start += len(ring)
    cap = _triangles(footprint, corners)
    faces = np.concatenate([*walls, cap + count, cap[:, ::-1]])
    return Mesh(name, vertices, faces.astype(np.int64), material)


def ground(bounds: tuple[float, float, float, float], material: str = "concrete") -> Mesh:
    """A flat floor at height 0 over (x from, y from, x to, y to) [m]."""
    corners = np.asarray(box(*bounds).exterior.coords)[:4]
    corners = corners[::-1] if _signed_area(corners) < 0 else corners
    vertices = np.column_stack([corners, np.zeros(4)])
    return Mesh("ground", vertices, np.array([[0, 1, 2], [0, 2, 3]]), material, building=False)


def _signed_area(corners: np.ndarray) -> float:
    x, y = corners.T
    return float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y) / 2)


def _triangles(footprint: Polygon, corners: np.ndarray) -> np.ndarray:
    """Triangles that fill the footprint, counter-clockwise, as rows of `corners`."""
    row = {tuple(corner): i for i, corner in enumerate(corners)}
    faces = []
    for part in shapely.constrained_delaunay_triangles(footprint).geoms:
        triangle = np.asarray(part.exterior.coords)[:3]
        triangle = triangle[::-1] if _signed_area(triangle) < 0 else triangle
        faces.append([row[tuple(corner)] for corner in triangle])
    return np.asarray(faces, dtype=np.int64)
