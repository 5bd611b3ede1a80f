"""From the building meshes of a store to a map that can be relied on: checked, mended or refused.

What is mended is told in one warning, what is refused in one line: no map is silently misread.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import shapely
import torch
from numpy.typing import NDArray

from radiofix.models.map_sight import expect_sight
from radiofix.models.site_map import NEAR, SiteMap
from radiofix.types import Station

Array = NDArray[Any]
SLIVER = 1e-6
"""Area [m^2] below which a triangle seen from above is a wall."""
TOUCHING = 1e-3
"""Corners this close [m] are one; so deep may a station be inside a wall."""
FAR = 2_000.0
"""A station or user farther from every building than this [m] is of another frame."""
LOW, HIGH = 1.5, 500.0
"""Between these the usual building's height lies [m]: else the unit is wrong."""
UNITS = {"millimetres": 1e-3, "centimetres": 1e-2, "kilometres": 1e3}
"""What else maps are drawn in, in metres."""
DEGREES = 0.5
"""A site is less than this wide in degrees, and more than this in metres."""
INDOORS = 0.2
"""More users than this share inside buildings: the map and the users do not belong together."""
FEW = 0.01
"""More than this is worth a warning."""
ASKED = 4096
"""Users that are looked at."""


class Meshes(Protocol):
    """Building meshes as a store's group `map/` holds them."""

    @property
    def vertices(self) -> Array:
        """(vertex, 3) [m]."""

    @property
    def faces(self) -> Array:
        """(face, 3) rows of `vertices`."""

    @property
    def face_building(self) -> Array:
        """(face,) number of the building; -1: ground."""


class MappedStore(Protocol):
    """A store with a map, stations and users."""

    path: Path
    dataset: Any

    @property
    def map(self) -> Meshes | None:
        """The building meshes."""

    @property
    def stations(self) -> Sequence[Station]:
        """The stations."""


@dataclass(frozen=True, slots=True)
class _Building:
    """One building as it was drawn."""

    vertices: Array
    outline: Any
    """Polygons of shapely, seen from above."""
    closed: bool


def read_map(store: MappedStore, heard: MappedStore | None = None) -> SiteMap:
    """The map of a store, held against the stations, users and links that it is told for.

    Args:
        store: with the map.
        heard: whose channels a model will see; None: the same store.

    Raises:
        ValueError: in one line, where there is none or it cannot be that of these stations.
    """
    meshes = store.map
    if meshes is None:
        raise ValueError(
            f"{store.path} has no map: trace a scene, or join the meshes of its buildings to it"
        )
    heard = store if heard is None else heard
    stations = np.stack([np.asarray(station.position) for station in heard.stations])
    users = np.asarray(heard.dataset["user_position"].values, dtype=np.float64)
    users = users[np.isfinite(users).all(1)]
    step = max(1, len(users) // ASKED)
    site_map = read_meshes(str(store.path), meshes, stations, users[::step])
    if "interactions" in heard.dataset:
        expect_sight(str(store.path), site_map, heard.dataset)
    return site_map


def read_meshes(name: str, meshes: Meshes, stations: Array, users: Array) -> SiteMap:
    """A map of meshes, held against stations (station, 3) and users (user, 3) [m].

    Args:
        name: by which messages call the map.
        meshes: of the buildings, and of the ground, which is left out.
        stations: that hear the users.
        users: some that are known to stand outdoors; may be none.
    """
    vertices = np.asarray(meshes.vertices, dtype=np.float64).reshape(-1, 3)
    faces = np.asarray(meshes.faces, dtype=np.int64).reshape(-1, 3)
    building = np.asarray(meshes.face_building)
    _expect_meshes(name, vertices, faces, building)
    chosen = building >= 0
    factor = _unit(name, vertices, faces[chosen], building[chosen], stations)
    drawn = _buildings(vertices * factor, faces[chosen], building[chosen])
    site_map = _mended(name, drawn, stations)
    shapes, levels = outlines(site_map)
    _expect_frame(name, shapes, levels, stations, users)
    _expect_outdoors(name, shapes, levels, stations, users)
    return site_map


def outlines(site_map: SiteMap) -> tuple[Array, Array]:
    """Each building seen from above: polygons of shapely, and from where to where it stands [m].

    Returns:
        (building,) outlines with their courtyards, and (building, 2) base and top.
    """
    order = np.argsort(site_map.wall_building.numpy(), kind="stable")
    owner = site_map.wall_building.numpy()[order]
    lines = shapely.linestrings(site_map.walls.numpy()[order])
    rings = shapely.multilinestrings(lines, indices=owner)
    levels = np.stack(
        [np.full(site_map.buildings, np.inf), np.full(site_map.buildings, -np.inf)], 1
    )
    np.minimum.at(levels[:, 0], owner, site_map.levels.numpy()[order, 0])
    np.maximum.at(levels[:, 1], owner, site_map.levels.numpy()[order, 1])
    return shapely.build_area(rings), levels


def _expect_meshes(name: str, vertices: Array, faces: Array, building: Array) -> None:
    if len(building) != len(faces):
        raise ValueError(f"{name}: map has {len(faces)} faces, but buildings for {len(building)}")
    if not (building >= 0).any():
        raise ValueError(f"{name}: map has no buildings, only ground: give one with buildings")
    if not np.isfinite(vertices).all():
        row = int(np.flatnonzero(~np.isfinite(vertices).all(1))[0])
        raise ValueError(f"{name}: map's vertex {row} is {vertices[row].tolist()}: must be finite")
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise ValueError(
            f"{name}: map's faces name vertices {faces.min()} to {faces.max()}, but there are "
            f"{len(vertices)}: write the mesh again"
        )


def _unit(name: str, vertices: Array, faces: Array, building: Array, stations: Array) -> float:
    """What the map's numbers are to be multiplied by to be metres."""
    number, owner = np.unique(building, return_inverse=True)
    low, high = np.full(len(number), np.inf), np.full(len(number), -np.inf)
    corner = vertices[faces]
    np.minimum.at(low, owner, corner[..., 2].min(1))
    np.maximum.at(high, owner, corner[..., 2].max(1))
    usual = float(np.median(high - low))
    across = np.ptp(corner[..., :2].reshape(-1, 2), axis=0).max()
    if LOW <= usual <= HIGH:
        if across < DEGREES:
            raise ValueError(
                f"{name}: map is {across:g} wide and its buildings {usual:g} high: these are "
                "degrees, project them to metres in the stations' frame"
            )
        return 1.0
    if usual < 1e-9:
        raise ValueError(f"{name}: map's buildings have no height: extrude their outlines")
    for unit, factor in UNITS.items():
        scaled = corner.reshape(-1, 3) * factor
        fits = LOW <= usual * factor <= HIGH
        if fits and (_outside(stations, scaled) < NEAR).all():
            warnings.warn(
                f"{name}: map is in {unit} (the usual building is {usual:g} high): "
                f"taken times {factor:g}",
                stacklevel=4,
            )
            return factor
    raise ValueError(
        f"{name}: the usual building of the map is {usual:g} m high: give the map in metres"
    )


def _outside(places: Array, corners: Array) -> Array:
    """How far places are outside the box of all corners, in plan [m]."""
    low, high = corners[:, :2].min(0), corners[:, :2].max(0)
    gap = np.maximum(np.maximum(low - places[:, :2], places[:, :2] - high), 0)
    return np.asarray(np.linalg.norm(gap, axis=-1))


def _buildings(vertices: Array, faces: Array, building: Array) -> list[_Building]:
    order = np.argsort(building, kind="stable")
    faces, building = faces[order], building[order]
    starts = np.flatnonzero(np.diff(building, prepend=-1))
    # Solids that touch share no corner: corners are one only within a building.
    owner = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(faces))))
    places = np.round(vertices[faces.reshape(-1)] / TOUCHING) * TOUCHING
    keyed = np.column_stack([np.repeat(owner, 3), places])
    corners, corner = np.unique(keyed, axis=0, return_inverse=True)
    closed = _closed(corner.reshape(-1, 3), owner, len(starts))
    triangles = shapely.polygons(vertices[faces][:, :, :2])
    flat = shapely.area(triangles) > SLIVER
    drawn = []
    for number, rows in enumerate(np.split(np.arange(len(faces)), starts[1:])):
        own = corners[corners[:, 0] == number, 1:]
        outline = shapely.union_all(triangles[rows[flat[rows]]])
        if outline.is_empty:
            # Walls without a roof: what they stand round.
            outline = shapely.convex_hull(shapely.multipoints(own[:, :2]))
        drawn.append(_Building(own, _plain(outline), bool(closed[number])))
    return drawn


def _closed(faces: Array, owner: Array, buildings: int) -> Array:
    """Which buildings have no open edge: every edge of a closed solid is one of two triangles."""
    first, second, third = faces.T
    distinct = (first != second) & (second != third) & (third != first)
    ends = np.stack([faces, np.roll(faces, -1, axis=1)], -1)[distinct].reshape(-1, 2)
    edges, times = np.unique(np.sort(ends, axis=1), axis=0, return_counts=True)
    # A corner belongs to one building, and so does an edge.
    of = np.zeros(faces.max() + 1, dtype=np.int64)
    of[faces.reshape(-1)] = np.repeat(owner, 3)
    closed = np.bincount(owner[distinct], minlength=buildings) > 0
    closed[of[edges[times != 2, 0]]] = False
    return closed


def _plain(outline: Any) -> Any:
    """An outline without corners that are none, its corners on a grid of a millimetre."""
    return shapely.set_precision(shapely.simplify(outline, 5 * TOUCHING), TOUCHING)


def _mended(name: str, drawn: Sequence[_Building], stations: Array) -> SiteMap:
    """All buildings with an outline; one that is not closed becomes its outline, raised."""
    solid = [b for b in drawn if shapely.area(b.outline) > 1e3 * SLIVER]
    if not solid:
        raise ValueError(f"{name}: no building of the map has an area from above: give solids")
    if len(solid) < len(drawn):
        warnings.warn(
            f"{name}: {len(drawn) - len(solid)} of the map's {len(drawn)} buildings have no area "
            "from above: left out",
            stacklevel=4,
        )
    opened = sum(not b.closed for b in solid)
    if opened:
        warnings.warn(
            f"{name}: {opened} of the map's {len(solid)} buildings are not closed: each is taken "
            "as its outline, raised from its lowest to its highest point",
            stacklevel=4,
        )
    walls, levels, owner, corners, corner_owner = [], [], [], [], []
    for number, one in enumerate(solid):
        reach = np.array([one.vertices[:, 2].min(), one.vertices[:, 2].max()])
        edges = _edges(one.outline)
        walls.append(edges)
        levels.append(np.broadcast_to(reach, (len(edges), 2)))
        owner.append(np.full(len(edges), number))
        own = one.vertices if one.closed else _raised(edges[:, 0], reach)
        corners.append(own)
        corner_owner.append(np.full(len(own), number))
    return SiteMap(
        torch.from_numpy(np.concatenate(corners)),
        torch.from_numpy(np.concatenate(corner_owner)),
        torch.from_numpy(np.concatenate(walls)),
        torch.from_numpy(np.concatenate(levels)),
        torch.from_numpy(np.concatenate(owner)),
        torch.from_numpy(np.array(stations, dtype=np.float64)),
    )


def _edges(outline: Any) -> Array:
    """Edges (edge, 2, 2) of polygons, the inside to the left: courtyards run the other way."""
    parts = shapely.get_parts(outline)
    rings = shapely.get_rings(shapely.orient_polygons(parts[shapely.area(parts) > SLIVER]))
    points, ring = shapely.get_coordinates(rings, return_index=True)
    same = ring[1:] == ring[:-1]
    return np.stack([points[:-1][same], points[1:][same]], 1)


def _raised(plan: Array, reach: Array) -> Array:
    """Corners (corner, 3) of an outline at two heights."""
    return np.concatenate([np.column_stack([plan, np.full(len(plan), z)]) for z in reach])


def _expect_frame(name: str, shapes: Array, levels: Array, stations: Array, users: Array) -> None:
    tree = shapely.STRtree(shapes)
    away = _distance(tree, shapes, stations)
    worst = int(np.argmax(away))
    if away[worst] > FAR:
        raise ValueError(
            f"{name}: station {worst} stands {away[worst]:,.0f} m from the nearest building of the "
            "map: give map and stations in one frame, in metres"
        )
    if (away > NEAR).all():
        raise ValueError(
            f"{name}: no station has a building of the map within {NEAR:g} m: give map and "
            "stations in one frame, in metres"
        )
    low, high = float(levels[:, 0].min()), float(levels[:, 1].max())
    odd = (stations[:, 2] < low - 50) | (stations[:, 2] > high + NEAR)
    if odd.any():
        row = int(np.flatnonzero(odd)[0])
        raise ValueError(
            f"{name}: station {row} is at a height of {stations[row, 2]:g} m, the map's buildings "
            f"stand from {low:g} to {high:g} m: count heights from one level"
        )
    lost = _distance(tree, shapes, users) > FAR if len(users) else np.zeros(0, dtype=bool)
    if lost.any():
        raise ValueError(
            f"{name}: {lost.mean():.0%} of the users stand over {FAR:,.0f} m from every building "
            "of the map: give map and users in one frame, in metres"
        )


def _distance(tree: shapely.STRtree, shapes: Array, places: Array) -> Array:
    points = shapely.points(places[:, :2])
    return np.asarray(shapely.distance(points, shapes[tree.nearest(points)]))


def _expect_outdoors(
    name: str, shapes: Array, levels: Array, stations: Array, users: Array
) -> None:
    tree = shapely.STRtree(shapely.buffer(shapes, -TOUCHING))
    row, house = indoors(tree, levels[:, 1], stations)
    if len(row):
        place = ", ".join(f"{v:.1f}" for v in stations[row[0]])
        raise ValueError(
            f"{name}: station {row[0]} at ({place}) stands inside building {house[0]} of the map, "
            f"which is {levels[house[0], 1]:.1f} m high: correct its position, or the map"
        )
    if len(users):
        share = len(np.unique(indoors(tree, levels[:, 1], users)[0])) / len(users)
        if share > INDOORS:
            raise ValueError(
                f"{name}: {share:.0%} of the users would stand inside buildings of the map: it is "
                "of another frame, or mirrored, or of another place"
            )
        if share > FEW:
            warnings.warn(
                f"{name}: {share:.1%} of the users stand inside buildings of the map: it is taken "
                "as it is",
                stacklevel=4,
            )


def indoors(tree: shapely.STRtree, top: Array, places: Array) -> tuple[Array, Array]:
    """Which places (place, 3) are inside which outlines of a tree, below their `top` [m].

    As elsewhere, what is straight below a roof is inside, be it under an arch.
    """
    place, house = tree.query(shapely.points(places[:, :2]), predicate="intersects")
    below = places[place, 2] < top[house] - TOUCHING
    return place[below], house[below]
