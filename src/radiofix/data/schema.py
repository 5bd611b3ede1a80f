"""The schema of a store on disk: names, dimensions, types and units of every variable."""

from __future__ import annotations

from dataclasses import dataclass

VERSION = 1
"""Version of this schema, written into every store and checked when one is opened."""

SPLIT_CODES = {"unused": 0, "train": 1, "validation": 2, "test": 3}
"""What the numbers of a `split_*` variable mean (also in its CF `flag_meanings`)."""


CHECKSUMS = ("sha256", "attributes_sha256", "radiofix_schema")
"""Attributes that belong to one store alone, written anew with each."""


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable of a store."""

    dimensions: tuple[str, ...]
    dtype: str
    unit: str
    meaning: str


PATH = ("user", "station", "path")

PATH_VARIABLES = {
    "gain": Variable(
        PATH, "complex64", "1", "linear amplitude, carrier phase included; 0: no path"
    ),
    "delay": Variable(PATH, "float32", "s", "absolute propagation delay; 0 where no path"),
    "station_azimuth": Variable(PATH, "float32", "rad", "azimuth at the station, scene frame"),
    "station_zenith": Variable(PATH, "float32", "rad", "zenith angle at the station"),
    "user_azimuth": Variable(PATH, "float32", "rad", "azimuth at the user, scene frame"),
    "user_zenith": Variable(PATH, "float32", "rad", "zenith angle at the user"),
    "interactions": Variable(PATH, "int8", "1", "0: line of sight; n: bounces; -1: no path"),
    "diffracted": Variable(PATH, "bool", "1", "the path bends round an edge"),
}
"""What a traced scenario has for each link and path, strongest path first."""

CSI_VARIABLES = {
    "csi": Variable(("user", "station", "antenna", "subcarrier"), "complex64", "1", "measured CSI"),
    "frequency": Variable(("subcarrier",), "float64", "Hz", "absolute subcarrier frequency"),
    "antenna_position": Variable(("antenna", "axis"), "float64", "m", "in the station's frame"),
}
"""What a measured scenario has in place of the paths."""

SCENE_VARIABLES = {
    "user_position": Variable(
        ("user", "axis"),
        "float64",
        "m",
        "scene frame: x east, y north, z up; NaN where it was not measured",
    ),
    "station_position": Variable(("station", "axis"), "float64", "m", "scene frame"),
    "station_orientation": Variable(("station", "angle"), "float64", "rad", "yaw, pitch, roll"),
    "carrier_frequency": Variable(("station",), "float64", "Hz", "carrier of the station"),
}
"""What every store has."""

OPTIONAL_VARIABLES = {
    "time": Variable(("user",), "float64", "s", "time of the snapshot"),
    "track": Variable(("user",), "int32", "1", "snapshots of one moving user share a track"),
    "row": Variable(("user",), "int32", "1", "row of the user's grid, from 1, where it has one"),
    "clock_offset": Variable(("user", "station"), "float64", "s", "user's clock minus station's"),
}
"""Known, but not required; a reader ignores what it does not know."""

MAP_VARIABLES = {
    "vertices": Variable(("vertex", "axis"), "float64", "m", "corners of the building meshes"),
    "faces": Variable(("face", "corner"), "int32", "1", "triangles, as rows of vertices"),
    "face_building": Variable(("face",), "int32", "1", "building of a triangle; -1: ground"),
    "face_material": Variable(("face",), "int32", "1", "row of the attribute `materials`"),
}
"""The group `map/`: the meshes that the paths were traced in."""
