"""Sionna RT's built-in cities, read from the files of the installed package, nothing traced."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from radiofix.scenes.footprints import station
from radiofix.scenes.outdoors import free_grid, ground_height
from radiofix.scenes.scene import Mesh, Scene

GROUND = frozenset({"ground", "plane", "terrain", "floor"})
"""What the cities call the mesh that everything stands on."""
OPENSTREETMAP = "Apache-2.0 (Sionna RT); building data (c) OpenStreetMap contributors, ODbL-1.0"


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a station of a built-in city hangs or stands."""

    x: float
    y: float
    height: float
    """Over the ground at that place [m]."""
    yaw: float
    """[deg]."""
    where: str


@dataclass(frozen=True, slots=True)
class BuiltinCity:
    """What is not in the package's files: the stations and the area of the users."""

    spots: tuple[Spot, ...]
    bounds: tuple[float, float, float, float]
    """Users: x from, y from, x to, y to [m]."""
    spacing: float
    """Between users [m], unless the caller says otherwise."""
    description: str
    licence: str = OPENSTREETMAP


CITIES = {
    "munich": BuiltinCity(
        (
            Spot(-7.1, 54.4, 10.0, 30.0, "facade, corner of the Neues Rathaus, looking north-east"),
            Spot(-7.8, 163.7, 22.0, -63.0, "roof edge, corner of the Arco-Palais, looking south"),
            Spot(109.6, 57.0, 12.0, 121.0, "facade, the house Dallmayr, looking north-west"),
            Spot(29.3, -126.2, 15.0, 25.0, "facade south of the Neues Rathaus, looking north-east"),
        ),
        (-250.0, -250.0, 250.0, 250.0),
        2.0,
        "Munich round the Frauenkirche: 1,188 buildings, flat ground",
    ),
    "etoile": BuiltinCity(
        (
            Spot(-128.9, 67.6, 12.0, 109.0, "facade, corner of the Arc de Triomphe, looking north"),
            Spot(4.3, 73.9, 20.0, -119.0, "roof edge, embassy of Kazakhstan, looking south-west"),
            Spot(-216.2, 140.5, 10.0, -8.0, "facade north-west of the Arc, looking east"),
            Spot(-129.6, -97.7, 18.0, 46.0, "roof edge south of the Arc, looking north-east"),
        ),
        (-300.0, -250.0, 300.0, 250.0),
        2.5,
        "Paris round the Arc de Triomphe: 280 buildings, wide avenues, flat ground",
    ),
    "florence": BuiltinCity(
        (
            Spot(0.5, -59.2, 10.0, 45.0, "roof edge of the Loggia del Bigallo, looking north-east"),
            Spot(103.5, -54.8, 12.0, -115.0, "facade of the cathedral, looking south-west"),
            Spot(-67.5, -210.7, 17.0, 134.0, "roof edge on the square south-west of the cathedral"),
            Spot(-67.4, 15.8, 6.0, -51.0, "facade, Torre dei Marignolli, looking south-east"),
        ),
        (-250.0, -250.0, 250.0, 250.0),
        2.0,
        "Florence round the cathedral: 1,319 buildings, narrow streets, flat ground",
    ),
    "san_francisco": BuiltinCity(
        (
            Spot(142.5, 93.2, 9.0, -166.0, "facade of an 11 m house, looking west"),
            Spot(66.7, 24.3, 7.0, 127.0, "roof edge of a 5 m house, looking north-west"),
            Spot(159.8, -122.0, 9.0, 54.0, "facade of a 12 m house, looking north-east"),
            Spot(5.5, -91.9, 14.0, 96.0, "roof edge of a 12 m house, looking north"),
        ),
        (-250.0, -250.0, 250.0, 250.0),
        2.0,
        "San Francisco, North Beach: 2,367 buildings on hills up to 104 m",
    ),
    "simple_street_canyon": BuiltinCity(
        (
            Spot(16.6, -8.0, 6.0, 45.0, "facade, corner of building_6, looking north-east"),
            Spot(-15.7, 9.0, 10.0, -135.0, "facade, corner of building_4, looking south-west"),
            Spot(-30.4, -8.0, 24.0, 45.0, "roof edge of building_1, looking north-east"),
            Spot(31.8, 9.8, 15.0, -135.0, "facade, corner of building_2, looking south-west"),
        ),
        (-92.0, -59.0, 91.0, 59.0),
        1.0,
        "six box houses along one street and two side streets",
        "Apache-2.0 (Sionna RT)",
    ),
}


def builtin(
    name: str,
    spacing: float | None = None,
    user_height: float = 1.5,
    clearance: float = 0.5,
    bounds: Sequence[float] | None = None,
    frequency: float = 3.5e9,
) -> Scene:
    """One of Sionna's built-in cities: 4 stations and users `spacing` [m] apart in the open."""
    if name not in CITIES:
        raise ValueError(f"no built-in city {name!r}: there are {', '.join(CITIES)}")
    city = CITIES[name]
    meshes = read_meshes(_folder(name) / f"{name}.xml")
    spacing = city.spacing if spacing is None else spacing
    area = city.bounds if bounds is None else bounds
    position, row = free_grid(area, spacing, user_height, meshes, clearance)
    floor = ground_height([(spot.x, spot.y) for spot in city.spots], meshes)
    stations = {
        i: station(i, (spot.x, spot.y, z + spot.height), np.radians(spot.yaw), frequency)
        for i, (spot, z) in enumerate(zip(city.spots, floor.tolist(), strict=True), start=1)
    }
    return Scene(
        name=name,
        meshes=meshes,
        stations=stations,
        default_stations=tuple(stations),
        user_position=position,
        user_group=np.ones(len(position), dtype=np.int8),
        user_row=row,
        assumptions={
            "stations": {str(i): spot.where for i, spot in enumerate(city.spots, start=1)},
            "user_height_m": user_height,
            "user_spacing_m": spacing,
            "user_bounds_m": list(area),
            "wall_clearance_m": clearance,
        },
        licence=city.licence,
    )


def read_meshes(file: Path) -> tuple[Mesh, ...]:
    """The meshes of a Mitsuba scene file as Sionna ships them, with their ITU materials."""
    root = ElementTree.parse(file).getroot()
    materials = {bsdf.get("id", ""): _value(bsdf, "type") for bsdf in root.iter("bsdf")}
    meshes = []
    for shape in root.iter("shape"):
        solid = file.parent / _value(shape, "filename")
        reference = shape.find("ref")
        if shape.get("type") != "ply" or shape.find("transform") is not None or reference is None:
            raise ValueError(f"{file}: {shape.get('id')} is no PLY mesh with a material")
        vertices, faces = read_ply(solid)
        material = materials[reference.get("id", "")]
        building = solid.stem.lower() not in GROUND
        # Sionna names the walls and the roof of a house alike but for what follows the last dash.
        house = solid.stem.rpartition("-")[0]
        meshes.append(Mesh(solid.stem, vertices, faces, material, building, house))
    return tuple(meshes)


def read_ply(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (vertex, 3) and triangles (face, 3) of a binary PLY file with float vertices."""
    content = file.read_bytes()
    end = content.find(b"end_header\n") + len(b"end_header\n")
    words = [line.split() for line in content[:end].decode("ascii", "replace").splitlines()]
    counts = {word[1]: int(word[2]) for word in words if word[:1] == ["element"]}
    *columns, corners = [word[1:] for word in words if word[:1] == ["property"]] or [[]]
    face = np.dtype([("corners", "u1"), ("vertex", "<i4", 3)])
    faces_from = end + 4 * len(columns) * counts.get("vertex", 0)
    known = (
        ["format", "binary_little_endian", "1.0"] in words
        and list(counts) == ["vertex", "face"]
        and [name for _, *name in columns[:3]] == [["x"], ["y"], ["z"]]
        and all(kind == "float" for kind, *_ in columns)
        and corners[:3] == ["list", "uchar", "int"]
        and len(content) == faces_from + face.itemsize * counts["face"]
    )
    if not known:
        raise ValueError(f"{file} is no binary PLY of triangles with float vertices: export it so")
    rows = np.frombuffer(content, "<f4", counts["vertex"] * len(columns), end)
    faces = np.frombuffer(content, face, counts["face"], faces_from)
    if (faces["corners"] != 3).any():
        raise ValueError(f"{file} has faces that are no triangles: triangulate it")
    vertices = rows.reshape(-1, len(columns))[:, :3].astype(np.float64)
    return vertices, faces["vertex"].astype(np.int64)


def _value(element: ElementTree.Element, name: str) -> str:
    found = element.find(f"string[@name='{name}']")
    if found is None:
        raise ValueError(f"{element.tag} {element.get('id')} of the scene file has no {name}")
    return found.get("value", "")


def _folder(name: str) -> Path:
    """Where the installed Sionna RT keeps a scene; found without importing it."""
    package = importlib.util.find_spec("sionna")
    for place in (package.submodule_search_locations or ()) if package else ():
        folder = Path(place) / "rt" / "scenes" / name
        if folder.is_dir():
            return folder
    raise ValueError(f"{name} comes with Sionna RT, which is missing: pip install radiofix[trace]")
