"""Houses by their footprints, and the places on their facades where a station can hang."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
import torch
from numpy.typing import NDArray
from shapely.geometry import Polygon

from radiofix.scenes.meshes import prism
from radiofix.scenes.scene import FloatArray, IntArray, Mesh
from radiofix.types import Station

SLIVER = 1e-9
"""Length [m] below which an edge has no direction."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """One house: its outline from above, and from where to where it stands."""

    name: str
    outline: Polygon
    """Scene frame [m], with its courtyards as holes."""
    top: float
    """Height of the roof over the ground [m]."""
    material: str = "concrete"
    floor: float = 0.0
    """Height over the ground from which it stands [m]: a passage below it is free."""


@dataclass(frozen=True, slots=True)
class Spots:
    """Places in front of facades."""

    place: FloatArray
    """(spot, 2) [m]."""
    azimuth: FloatArray
    """(spot,) the way the facade looks [rad]."""
    house: IntArray
    """(spot,) row of the house that carries the spot."""

    def __len__(self) -> int:
        return len(self.place)

    def __getitem__(self, chosen: NDArray[Any]) -> Spots:
        return Spots(self.place[chosen], self.azimuth[chosen], self.house[chosen])


def beyond(area: Polygon) -> Footprint:
    """All that lies round an area, as one house: sight that ends at its edge counts no farther."""
    around = area.envelope.buffer(1000.0, join_style="mitre")
    return Footprint("beyond", around.difference(area), np.inf)


def solids(footprints: Sequence[Footprint]) -> tuple[Mesh, ...]:
    """The houses as closed meshes."""
    return tuple(prism(f.name, f.outline, f.top - f.floor, f.material, f.floor) for f in footprints)


def facade_spots(footprints: Sequence[Footprint], distance: float, longer: float) -> Spots:
    """Spots `distance` [m] in front of the middle of every outer wall `longer` than that [m]."""
    corner, following, house = _edges(footprints)
    along = following - corner
    length = np.linalg.norm(along, axis=-1)
    wide = length > max(longer, SLIVER)
    along = along[wide] / length[wide, None]
    outward = np.column_stack([along[:, 1], -along[:, 0]])
    place = (corner[wide] + following[wide]) / 2 + distance * outward
    return Spots(place, np.arctan2(outward[:, 1], outward[:, 0]), house[wide])


def corner_spots(footprints: Sequence[Footprint], distance: float) -> Spots:
    """Spots `distance` [m] off the outward corners of the houses, looking along the bisector."""
    corner, following, house = _edges(footprints)
    along = following - corner
    along = along / np.linalg.norm(along, axis=-1, keepdims=True).clip(SLIVER)
    # The edge that ends in a corner is the one before it on the same ring.
    start = np.searchsorted(house, house)
    count = np.bincount(house, minlength=len(footprints))[house]
    before = along[start + (np.arange(len(house)) - start - 1) % count]
    turn = before[:, 0] * along[:, 1] - before[:, 1] * along[:, 0]
    bisector = before - along
    length = np.linalg.norm(bisector, axis=-1)
    sharp = turn > 0.3  # nearly straight corners are facades
    bisector = bisector[sharp] / length[sharp, None]
    azimuth = np.arctan2(bisector[:, 1], bisector[:, 0])
    return Spots(corner[sharp] + distance * bisector, azimuth, house[sharp])


def free_of(spots: Spots, footprints: Sequence[Footprint], distance: float) -> Spots:
    """The spots that keep `distance` [m] from every house, their own included."""
    tree = shapely.STRtree([f.outline for f in footprints])
    near, _ = tree.query(shapely.points(spots.place), predicate="dwithin", distance=distance)
    free = np.ones(len(spots), dtype=bool)
    free[near] = False
    return spots[free]


def open_depth(
    spots: Spots, footprints: Sequence[Footprint], reach: float = 120.0, step: float = 5.0
) -> FloatArray:
    """How far one sees from each spot [m], on average over the half-plane in front of it.

    Sight is sampled every `step` [m] along 16 rays, up to `reach` [m]: houses are much wider.
    """
    fan = np.linspace(-np.pi / 2, np.pi / 2, 17)[:-1] + np.pi / 32
    azimuth = spots.azimuth[:, None] + fan
    ray = np.stack([np.cos(azimuth), np.sin(azimuth)], axis=-1)
    distance = np.arange(step, reach + step / 2, step)
    points = spots.place[:, None, None] + distance[:, None] * ray[:, :, None]
    tree = shapely.STRtree([f.outline for f in footprints])
    blocked = np.zeros(points.shape[:-1], dtype=bool)
    inside, _ = tree.query(shapely.points(points.reshape(-1, 2)), predicate="intersects")
    blocked.reshape(-1)[inside] = True
    seen = ~np.logical_or.accumulate(blocked, axis=-1)
    return np.asarray(seen.sum(-1).mean(-1) * step, dtype=np.float64)


def best_apart(place: FloatArray, score: FloatArray, count: int, apart: float) -> IntArray:
    """Rows of the `count` best places that keep `apart` [m], or less where there is no room."""
    order = np.argsort(-score, kind="stable")
    while True:
        chosen: list[int] = []
        nearest = np.full(len(place), np.inf)
        for _ in range(min(count, len(place))):
            left = order[nearest[order] >= apart]
            if not len(left):
                break
            chosen.append(int(left[0]))
            nearest = np.minimum(nearest, np.linalg.norm(place - place[left[0]], axis=-1))
            nearest[chosen] = -1.0
        if len(chosen) == min(count, len(place)):
            return np.asarray(chosen, dtype=np.int64)
        apart = apart / 2 if apart > 1e-3 else 0.0


def station(number: int, position: Sequence[float], yaw: float, frequency: float) -> Station:
    """A station at a place [m], looking level along a yaw [rad]."""
    return Station(
        torch.tensor(list(position), dtype=torch.float64),
        torch.tensor([float(yaw), 0.0, 0.0], dtype=torch.float64),
        frequency,
        str(number),
    )


def _edges(footprints: Sequence[Footprint]) -> tuple[FloatArray, FloatArray, IntArray]:
    """Corners (edge, 2), the corners that follow them counter-clockwise, and their houses."""
    rings = shapely.get_exterior_ring(shapely.orient_polygons([f.outline for f in footprints]))
    corner, house = shapely.get_coordinates(rings, return_index=True)
    closing = np.append(house[1:] != house[:-1], True)
    following = np.roll(corner, -1, axis=0)
    return corner[~closing], following[~closing], house[~closing].astype(np.int64)
