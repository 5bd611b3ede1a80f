"""`/v1/map`: what stands around the stations, as outlines with heights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import Polygon

from radiofix.data.store import Map, PathStore
from radiofix.serving.columns import Style
from radiofix.serving.sites import Site, site_of

Floats = NDArray[np.float64]
FLAT = 1e-6
"""Triangles that cover less of the plane are walls [m^2]."""
GRID = 1e-3
"""Corners nearer than this are one: it closes the cracks between triangles [m]."""


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """What a viewer is shown beside the fixes."""

    site: Site | None = None
    buildings: Map | None = None
    users: Floats | None = None
    """(2, 2) south-west and north-east corner of where users are to be expected [m]."""
    about: str | None = None
    """One line on where the fixes come from, where that is to be said."""

    @classmethod
    def of(cls, store: PathStore, about: str | None = None) -> Scene:
        """The stations, the buildings and the extent of a store."""
        places = store.dataset["user_position"].values[store.labelled, :2]
        extent = np.stack([places.min(0), places.max(0)]) if len(places) else None
        return cls(site_of(store), store.map, extent, about)


def map_told(scene: Scene) -> dict[str, Any]:
    """A `MapAnswer`: GeoJSON in the scene's own metres."""
    features = [] if scene.buildings is None else _features(scene.buildings)
    return {
        "type": "FeatureCollection",
        "frame": Style().frame,
        "extent": None if scene.users is None else scene.users.round(2).ravel().tolist(),
        "about": scene.about,
        "features": features,
    }


def footprints(vertices: Floats, faces: NDArray[np.integer[Any]]) -> list[Polygon]:
    """What a mesh (vertex, 3) covers of the plane [m]."""
    corners = np.asarray(vertices, dtype=np.float64)[np.asarray(faces), :2]
    sides = corners[:, 1:] - corners[:, :1]
    area = np.abs(sides[:, 0, 0] * sides[:, 1, 1] - sides[:, 0, 1] * sides[:, 1, 0]) / 2
    covered = shapely.union_all(shapely.polygons(corners[area > FLAT]), grid_size=GRID)
    parts = shapely.get_parts(shapely.orient_polygons(covered))
    return [part for part in parts if isinstance(part, Polygon)]


def _features(buildings: Map) -> list[dict[str, Any]]:
    features = []
    for number in np.unique(buildings.face_building[buildings.face_building >= 0]):
        faces = buildings.faces[buildings.face_building == number]
        heights = buildings.vertices[faces.ravel(), 2]
        for part in footprints(buildings.vertices, faces):
            rings = [part.exterior, *part.interiors]
            features.append(
                {
                    "type": "Feature",
                    "geometry": {
                        "type": "Polygon",
                        "coordinates": [np.asarray(r.coords).round(2).tolist() for r in rings],
                    },
                    "properties": {
                        "building": int(number),
                        "base": round(float(heights.min()), 2),
                        "top": round(float(heights.max()), 2),
                    },
                }
            )
    return features
