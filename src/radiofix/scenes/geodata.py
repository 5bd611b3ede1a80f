"""Building footprints out of OSM XML and GeoJSON files, in degrees as they stand there."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import shapely
from shapely.geometry import MultiPolygon, Polygon
from shapely.geometry import shape as geometry

LEVEL = 3.0
"""Height of a storey [m]."""
FOOT, INCH = 0.3048, 0.0254
"""[m]."""
HIGHEST = 1000.0
"""No building is higher [m]: a greater number is a slip of the mapper's."""
MATERIALS = {
    "brick": "brick",
    "brick_block": "brick",
    "concrete": "concrete",
    "glass": "glass",
    "mirror": "glass",
    "marble": "marble",
    "stone": "marble",
    "limestone": "marble",
    "metal": "metal",
    "steel": "metal",
    "timber_framing": "wood",
    "wood": "wood",
}
"""ITU materials for values of `building:material`; concrete for all others."""


@dataclass(frozen=True, slots=True)
class Building:
    """One footprint of a file."""

    name: str
    outline: Polygon
    """Longitude, latitude [deg]."""
    height: float | None
    """Of the roof over the ground [m]; None: the file does not say."""
    height_from: str
    """height, levels or default."""
    floor: float
    """Where it begins over the ground [m]."""
    material: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A building that cannot be used, and why."""

    name: str
    reason: str


Found = tuple[list[Building], list[Refused]]


def read_osm(file: Path) -> Found:
    """Buildings of an OSM XML file: closed ways and multipolygon relations tagged `building`."""
    try:
        root = ElementTree.parse(file).getroot()
    except ElementTree.ParseError as error:
        raise ValueError(f"{file} is no OSM XML: {error}") from error
    if root.tag != "osm":
        raise ValueError(f"{file} is no OSM XML: it begins with <{root.tag}>, not <osm>")
    nodes = {}
    for node in root.iter("node"):
        number = node.get("id")
        nodes[number] = _degrees(node.get("lon"), node.get("lat"), f"{file}: node {number}")
    ways = {way.get("id"): [nd.get("ref") for nd in way.iter("nd")] for way in root.iter("way")}
    buildings: list[Building] = []
    refused: list[Refused] = []
    used: set[str | None] = set()
    for relation in root.iter("relation"):
        tags = _tags(relation)
        if tags.get("type") != "multipolygon" or not _is_building(tags):
            continue
        name = f"relation/{relation.get('id')}"
        members = [m for m in relation.iter("member") if m.get("type") == "way"]
        rings: dict[bool, list[list[Any]]] = {True: [], False: []}
        for member in members:
            rings[member.get("role") != "inner"].append(ways.get(member.get("ref"), [None]))
        try:
            areas = _areas(rings[True], nodes) + _areas(rings[False], nodes)
        except ValueError as error:
            refused.append(Refused(name, str(error)))
            continue
        used |= {m.get("ref") for m in members if m.get("role") != "inner"}
        # Even-odd: what lies in a ring in a hole is built again.
        _add(name, reduce(shapely.symmetric_difference, areas, Polygon()), tags, buildings, refused)
    for way in root.iter("way"):
        tags = _tags(way)
        if not _is_building(tags) or way.get("id") in used:
            continue
        name = f"way/{way.get('id')}"
        corners = ways[way.get("id")]
        if len(corners) < 4 or corners[0] != corners[-1]:
            refused.append(Refused(name, "not closed"))
        elif not all(ref in nodes for ref in corners):
            refused.append(Refused(name, "some of its nodes are not in the file"))
        else:
            _add(name, Polygon([nodes[ref] for ref in corners]), tags, buildings, refused)
    return buildings, refused


def read_geojson(file: Path) -> Found:
    """Buildings of a GeoJSON file: its polygons, or those tagged `building` if any is."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{file} is no GeoJSON: {str(error).splitlines()[0]}") from error
    features = content.get("features") if isinstance(content, dict) else None
    if not isinstance(features, list) or content.get("type") != "FeatureCollection":
        raise ValueError(f"{file} is no GeoJSON FeatureCollection: wrap its features in one")
    frame = json.dumps(content.get("crs") or "CRS84")
    if not re.search(r"CRS84|EPSG:+4326", frame):
        raise ValueError(f"{file} is in {frame}: reproject it to longitude, latitude (EPSG:4326)")
    features = [feature for feature in features if isinstance(feature, dict)]
    tags = [_properties(feature) for feature in features]
    tagged = any("building" in each for each in tags)
    buildings: list[Building] = []
    refused: list[Refused] = []
    for number, (feature, properties) in enumerate(zip(features, tags, strict=True), start=1):
        shape = feature.get("geometry")
        kind = shape.get("type") if isinstance(shape, dict) else None
        if kind not in ("Polygon", "MultiPolygon") or (tagged and not _is_building(properties)):
            continue
        name = str(feature.get("id") or properties.get("@id") or f"feature/{number}")
        try:
            outline = geometry(shape)
        except Exception as error:  # shapely raises whatever the broken coordinates make it raise
            refused.append(Refused(name, f"geometry: {(str(error) or kind).splitlines()[0]}"))
            continue
        if not outline.is_empty:
            west, south, east, north = outline.bounds
            _degrees(west, south, f"{file}: {name}")
            _degrees(east, north, f"{file}: {name}")
        _add(name, outline, properties, buildings, refused)
    return buildings, refused


def metres(text: object) -> float | None:
    """A length [m] as people write it (12, "12 m", "12,5m", "40 ft", "40'6"); None if it is none.

    A comma before three digits may mean thousands or thousandths, and is not guessed.
    """
    words = re.sub(r",(?=\d{1,2}(?!\d))", ".", str(text).strip().lower())
    feet = re.fullmatch(r"(\d+(?:\.\d+)?)\s*'(?:\s*(\d+(?:\.\d+)?)\s*(?:\"|'')?)?", words)
    plain = re.fullmatch(r"(\d+(?:\.\d*)?)\s*(m|meters?|metres?|ft|feet|foot)?\.?", words)
    if feet:
        value = float(feet.group(1)) * FOOT + float(feet.group(2) or 0) * INCH
    elif plain:
        value = float(plain.group(1)) * (FOOT if (plain.group(2) or "m").startswith("f") else 1.0)
    else:
        return None
    return value if 0 <= value <= HIGHEST else None


def _add(
    name: str,
    outlines: Any,
    tags: Mapping[str, Any],
    buildings: list[Building],
    refused: list[Refused],
) -> None:
    """Sorts the polygons of one building under buildings or refused."""
    height, height_from = _height(tags)
    lowest_level = metres(tags.get("building:min_level")) or 0.0
    floor = metres(tags.get("min_height")) or LEVEL * lowest_level
    material = MATERIALS.get(str(tags.get("building:material", "")).lower(), "concrete")
    parts = list(outlines.geoms) if isinstance(outlines, MultiPolygon) else [outlines]
    for number, part in enumerate(parts, start=1):
        own = name if len(parts) == 1 else f"{name}-{number}"
        part = shapely.force_2d(part)
        if part.is_empty or not isinstance(part, Polygon):
            refused.append(Refused(own, "no area"))
        elif not part.is_valid:
            refused.append(Refused(own, f"outline: {shapely.is_valid_reason(part)}"))
        else:
            buildings.append(Building(own, part, height, height_from, floor, material))


def _height(tags: Mapping[str, Any]) -> tuple[float | None, str]:
    height = metres(tags.get("height")) or metres(tags.get("building:height"))
    if height:
        return height, "height"
    levels = metres(tags.get("building:levels")) or metres(tags.get("levels"))
    if levels:
        return min(LEVEL * levels, HIGHEST), "levels"
    return None, "default"


def _areas(ways: list[list[Any]], nodes: Mapping[Any, tuple[float, float]]) -> list[Polygon]:
    """Polygons of a relation's ways, which may each be only a stretch of a ring."""
    if not all(ref in nodes for way in ways for ref in way):
        raise ValueError("some of its ways or nodes are not in the file")
    lines = [shapely.LineString([nodes[ref] for ref in way]) for way in ways if len(way) > 1]
    polygons, cuts, dangles, invalid = shapely.polygonize_full(lines)
    left_over = len(cuts.geoms) + len(dangles.geoms) + len(invalid.geoms)
    if ways and (left_over or not len(polygons.geoms)):
        raise ValueError("its ways do not close into rings")
    return [Polygon(polygon.exterior) for polygon in polygons.geoms]


def _tags(element: ElementTree.Element) -> dict[str, str]:
    return {tag.get("k", ""): tag.get("v", "") for tag in element.findall("tag")}


def _properties(feature: Mapping[str, Any]) -> dict[str, Any]:
    """What a feature says of itself; exports of Overpass keep the tags one level down."""
    properties = feature.get("properties")
    properties = dict(properties) if isinstance(properties, dict) else {}
    tags = properties.pop("tags", None)
    return {**properties, **(tags if isinstance(tags, dict) else {})}


def _is_building(tags: Mapping[str, Any]) -> bool:
    return tags.get("building") not in (None, False, "", "no")


def _degrees(longitude: Any, latitude: Any, where: str) -> tuple[float, float]:
    try:
        place = float(longitude), float(latitude)
    except (TypeError, ValueError):
        raise ValueError(f"{where} has no position: lon={longitude!r}, lat={latitude!r}") from None
    if not (np.isfinite(place).all() and abs(place[0]) <= 180 and abs(place[1]) <= 90):
        raise ValueError(f"{where} is at {place}, which is no longitude, latitude: reproject it")
    return place
