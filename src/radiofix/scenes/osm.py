"""Scenes from a local file of building footprints: OSM XML or GeoJSON."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import ArrayLike
from shapely.geometry import Polygon

from radiofix.scenes.footprints import (
    Footprint,
    best_apart,
    beyond,
    corner_spots,
    free_of,
    open_depth,
    solids,
    station,
)
from radiofix.scenes.geodata import Building, Refused, read_geojson, read_osm
from radiofix.scenes.meshes import ground
from radiofix.scenes.outdoors import free_grid, inside_buildings
from radiofix.scenes.scene import FloatArray, Mesh, Scene
from radiofix.types import Station

log = logging.getLogger(__name__)

EQUATOR_RADIUS, ECCENTRICITY_SQUARED = 6_378_137.0, 6.694_379_990_141e-3
"""WGS 84 [m]."""
WIDEST = 50_000.0
"""Farther than this from the origin [m] a tangent plane is no map any more."""
MOST_USERS = 50_000
"""Places the grid has at most where no spacing is given."""
MOST_CORNERS = 1000
"""Corners whose sight is measured, evenly through the file: enough to find open ones."""
NAMED = 20
"""So many skipped buildings are recorded by name."""
OPENSTREETMAP = "ODbL-1.0, (c) OpenStreetMap contributors"
READERS = {".osm": read_osm, ".xml": read_osm, ".geojson": read_geojson, ".json": read_geojson}


def osm(
    file: str | Path,
    stations: Sequence[Sequence[float]] | None = None,
    station_count: int = 4,
    station_height: float = 6.0,
    spacing: float | None = None,
    user_height: float = 1.5,
    margin: float = 20.0,
    default_height: float = 10.0,
    origin: Sequence[float] | None = None,
    frequency: float = 3.5e9,
    sha256: str | None = None,
) -> Scene:
    """Builds a scene from a file of footprints with `height` or `building:levels` (3 m each).

    `stations` are (x, y, z) or (x, y, z, yaw) in metres and radians round `origin` (latitude,
    longitude; the centre of the buildings by default); without them `station_count` stations
    hang `station_height` [m] high off the most open corners. Users stand `spacing` [m] apart, up
    to `margin` [m] round the buildings. The ground is taken to be flat. A file whose content has
    not the `sha256` that is given is refused.
    """
    file = Path(file)
    kind = file.suffix.lower()
    if kind not in READERS:
        raise ValueError(f"{file} is neither .osm, .xml, .geojson nor .json: rename or convert it")
    if not file.is_file():
        raise ValueError(f"{file} is no file: name an OSM XML or GeoJSON file")
    if default_height <= 0:
        raise ValueError(f"default_height must be positive, got {default_height:g}")
    if margin < 0:
        raise ValueError(f"margin must not be negative, got {margin:g}")
    with file.open("rb") as content:
        found_sha256 = hashlib.file_digest(content, "sha256").hexdigest()
    if sha256 not in (None, found_sha256):
        raise ValueError(f"{file} has sha256={found_sha256}, not {sha256}: bring the file back")
    found, refused = READERS[kind](file)
    centre = _origin(origin, found, file)
    footprints, faulty = _footprints(found, centre, default_height)
    refused = [*refused, *faulty]
    if not footprints:
        first = f", e.g. {refused[0].name}: {refused[0].reason}" if refused else ""
        raise ValueError(f"{file} has no usable building footprint{first}")
    if refused:
        example = f"{refused[0].name}: {refused[0].reason}"
        log.warning("%s: %d buildings skipped, e.g. %s", file, len(refused), example)
    edges = shapely.total_bounds([f.outline for f in footprints])
    x_from, y_from, x_to, y_to = (float(v) for v in edges + margin * np.array([-1, -1, 1, 1]))
    if spacing is None:
        # Half metres, so that the same place traced again gives round numbers.
        spacing = max(1.0, np.ceil(2 * np.sqrt((x_to - x_from) * (y_to - y_from) / MOST_USERS)) / 2)
    meshes = (ground((x_from - 20, y_from - 20, x_to + 20, y_to + 20)), *solids(footprints))
    users, row = free_grid((x_from, y_from, x_to, y_to), float(spacing), user_height, meshes)
    if stations is None:
        area = shapely.box(x_from, y_from, x_to, y_to)
        placed = _placed(footprints, area, station_count, station_height, frequency)
    else:
        placed = _given(stations, users, meshes, frequency)
    heights = Counter(building.height_from for building in found)
    return Scene(
        name=f"osm-{file.stem}",
        meshes=meshes,
        stations=placed,
        default_stations=tuple(placed)[:4],
        user_position=users,
        user_group=np.ones(len(users), dtype=np.int8),
        user_row=row,
        assumptions={
            "file": file.name,
            "buildings": len(footprints),
            "height_from": dict(heights),
            "default_height_m": default_height,
            "default_height_used": heights["default"],
            "skipped": len(refused),
            "skipped_because": {r.name: r.reason for r in refused[:NAMED]},
            "ground": "flat, at 0 m",
            "stations": "given" if stations is not None else "off the most open facade corners",
            "user_height_m": user_height,
            "user_spacing_m": float(spacing),
        },
        origin=(centre[0], centre[1], 0.0),
        licence=OPENSTREETMAP if READERS[kind] is read_osm else f"unknown: that of {file.name}",
        file_sha256=found_sha256,
    )


def local(latitude: ArrayLike, longitude: ArrayLike, origin: Sequence[float]) -> FloatArray:
    """East and north (place, 2) [m] in the plane that touches WGS 84 at the origin [deg]."""
    place, centre = _earth(latitude, longitude), _earth(origin[0], origin[1])
    phi, lam = np.radians(origin[0]), np.radians(origin[1])
    east = np.array([-np.sin(lam), np.cos(lam), 0.0])
    north = np.array([-np.sin(phi) * np.cos(lam), -np.sin(phi) * np.sin(lam), np.cos(phi)])
    return np.asarray((place - centre) @ np.column_stack([east, north]), dtype=np.float64)


def _earth(latitude: ArrayLike, longitude: ArrayLike) -> FloatArray:
    """Earth-centred coordinates (..., 3) [m] of places on the ellipsoid."""
    phi, lam = np.radians(latitude), np.radians(longitude)
    normal = EQUATOR_RADIUS / np.sqrt(1 - ECCENTRICITY_SQUARED * np.sin(phi) ** 2)
    x, y = normal * np.cos(phi) * np.cos(lam), normal * np.cos(phi) * np.sin(lam)
    return np.stack([x, y, normal * (1 - ECCENTRICITY_SQUARED) * np.sin(phi)], axis=-1)


def _origin(
    origin: Sequence[float] | None, buildings: Sequence[Building], file: Path
) -> tuple[float, float]:
    if origin is not None:
        if len(origin) != 2 or not (abs(origin[0]) <= 90 and abs(origin[1]) <= 180):
            raise ValueError(f"origin must be latitude, longitude in degrees, got {tuple(origin)}")
        return float(origin[0]), float(origin[1])
    if not buildings:
        return 0.0, 0.0
    west, south, east, north = shapely.total_bounds([b.outline for b in buildings])
    if east - west > 180:
        raise ValueError(f"{file} spans {east - west:.0f} degrees of longitude: cut out one place")
    return float(south + north) / 2, float(west + east) / 2


def _footprints(
    buildings: Sequence[Building], origin: tuple[float, float], default_height: float
) -> tuple[list[Footprint], list[Refused]]:
    footprints, refused = [], []
    for b in buildings:
        outline = shapely.transform(b.outline, lambda c: local(c[:, 1], c[:, 0], origin))
        outline = shapely.remove_repeated_points(outline, 0.01)
        top = default_height if b.height is None else b.height
        if not outline.is_valid or outline.area < 1.0:
            why = shapely.is_valid_reason(outline) if not outline.is_valid else "under 1 m2"
            refused.append(Refused(b.name, f"outline: {why}"))
        elif not abs(np.asarray(outline.bounds)).max() < WIDEST:
            refused.append(Refused(b.name, "more than 50 km from the origin"))
        elif b.floor >= top:
            refused.append(Refused(b.name, f"starts at {b.floor:g} m and ends at {top:g} m"))
        else:
            footprints.append(Footprint(b.name, outline, top, b.material, b.floor))
    return footprints, refused


def _placed(
    footprints: Sequence[Footprint], area: Polygon, count: int, height: float, frequency: float
) -> dict[int, Station]:
    if count < 1:
        raise ValueError(f"station_count must be at least 1, got {count}")
    if height <= 0:
        raise ValueError(f"station_height must be positive, got {height:g}")
    spots = free_of(corner_spots(footprints, 0.8), footprints, 0.5)
    if len(spots) < count:
        raise ValueError(f"station_count={count} but {len(spots)} corners are free: give stations")
    spots = spots[np.arange(0, len(spots), -(-len(spots) // MOST_CORNERS))]
    depth = open_depth(spots, [*footprints, beyond(area)])
    spots = spots[best_apart(spots.place, depth, count, apart=60.0)]
    places = zip(spots.place.tolist(), spots.azimuth.tolist(), strict=True)
    return {
        i: station(i, (*place, height), yaw, frequency)
        for i, (place, yaw) in enumerate(places, start=1)
    }


def _given(
    stations: Sequence[Sequence[float]], users: FloatArray, meshes: Sequence[Mesh], frequency: float
) -> dict[int, Station]:
    """The caller's stations; where no yaw is given they look toward the middle of the users."""
    placed = {}
    middle = users.mean(0)
    for number, values in enumerate(stations, start=1):
        if len(values) not in (3, 4) or not np.isfinite(values).all():
            raise ValueError(f"station {number} must be x, y, z(, yaw), got {list(values)}")
        toward = middle[:2] - values[:2]
        yaw = values[3] if len(values) == 4 else float(np.arctan2(toward[1], toward[0]))
        placed[number] = station(number, values[:3], yaw, frequency)
    if not placed:
        raise ValueError("stations is empty: give at least one position")
    inside = inside_buildings([s.position.numpy() for s in placed.values()], meshes)
    if inside.any():
        number = int(np.flatnonzero(inside)[0]) + 1
        at = placed[number].position.tolist()
        raise ValueError(f"station {number} at {at} is inside a building: move it or raise it")
    return placed
