"""Where a scene's metres lie on the earth: WGS 84 and the plane that touches it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

EQUATOR_RADIUS = 6_378_137.0
"""Of WGS 84 [m]."""
FLATTENING = 1 / 298.257223563
ECCENTRICITY_SQUARED = FLATTENING * (2 - FLATTENING)
EAST = 90.0
"""Heading of a scene's x axis where nothing else is said [deg]."""
ATTRIBUTES = {
    "latitude": "origin_latitude",
    "longitude": "origin_longitude",
    "height": "origin_height",
    "heading_of_x": "heading_of_x",
}
"""What a store calls the parts of its origin."""


@dataclass(frozen=True, slots=True)
class Origin:
    """The place on WGS 84 where a scene's frame has its zero, and the way its x axis points."""

    latitude: float
    """[deg]."""
    longitude: float
    """[deg]."""
    height: float = 0.0
    """Above the ellipsoid [m]."""
    heading_of_x: float = EAST
    """Clockwise from north [deg]: 90 where x is east and y north."""

    def __post_init__(self) -> None:
        for name, most in (("latitude", 90.0), ("longitude", 180.0)):
            if not abs(getattr(self, name)) <= most:
                raise ValueError(
                    f"{name} must lie between -{most:g} and {most:g} degrees, "
                    f"got {getattr(self, name):g}"
                )
        for name in ("height", "heading_of_x"):
            if not math.isfinite(getattr(self, name)):
                raise ValueError(f"{name} of the origin must be a number: mend it")

    def geographic(self, position: ArrayLike) -> NDArray[np.float64]:
        """Latitude, longitude [deg] and height [m] of places (..., 3) of the scene [m]."""
        centre = _earth_centred(self.latitude, self.longitude, self.height)
        places = np.asarray(position, dtype=np.float64)
        return _geodetic(centre + places @ self._axes())

    def local(self, latitude: ArrayLike, longitude: ArrayLike, height: ArrayLike) -> Any:
        """Places (..., 3) of the scene [m] from latitude, longitude [deg] and height [m]."""
        centre = _earth_centred(self.latitude, self.longitude, self.height)
        return (_earth_centred(latitude, longitude, height) - centre) @ self._axes().T

    def _axes(self) -> NDArray[np.float64]:
        """The scene's x, y and z as rows of earth-centred unit vectors."""
        phi, lam = math.radians(self.latitude), math.radians(self.longitude)
        heading = math.radians(self.heading_of_x)
        east = np.array([-math.sin(lam), math.cos(lam), 0.0])
        up = np.array(
            [
                math.cos(phi) * math.cos(lam),
                math.cos(phi) * math.sin(lam),
                math.sin(phi),
            ]
        )
        north = np.cross(up, east)
        x = math.sin(heading) * east + math.cos(heading) * north
        return np.stack([x, np.cross(up, x), up])


def origin_of(attributes: Mapping[str, Any]) -> Origin | None:
    """The origin in a store's attributes; None where it has none."""
    if not {"origin_latitude", "origin_longitude"} <= attributes.keys():
        return None
    known = {ours: float(attributes[a]) for ours, a in ATTRIBUTES.items() if a in attributes}
    return Origin(**known)


def _earth_centred(
    latitude: ArrayLike, longitude: ArrayLike, height: ArrayLike
) -> NDArray[np.float64]:
    phi, lam = np.radians(latitude), np.radians(longitude)
    above = np.asarray(height, dtype=np.float64)
    normal = EQUATOR_RADIUS / np.sqrt(1 - ECCENTRICITY_SQUARED * np.sin(phi) ** 2)
    level = (normal + above) * np.cos(phi)
    upright = (normal * (1 - ECCENTRICITY_SQUARED) + above) * np.sin(phi)
    return np.stack([level * np.cos(lam), level * np.sin(lam), upright], axis=-1)


def _geodetic(place: NDArray[np.float64]) -> NDArray[np.float64]:
    x, y, z = np.moveaxis(place, -1, 0)
    level = np.hypot(x, y)
    # Bowring's formula by the reduced latitude: two rounds are exact to nanometres near the ground.
    polar = EQUATOR_RADIUS * (1 - FLATTENING)
    second = ECCENTRICITY_SQUARED / (1 - ECCENTRICITY_SQUARED)
    reduced = np.arctan2(z, (1 - FLATTENING) * level)
    phi = reduced
    for _ in range(2):
        phi = np.arctan2(
            z + second * polar * np.sin(reduced) ** 3,
            level - ECCENTRICITY_SQUARED * EQUATOR_RADIUS * np.cos(reduced) ** 3,
        )
        reduced = np.arctan2((1 - FLATTENING) * np.sin(phi), np.cos(phi))
    root = np.sqrt(1 - ECCENTRICITY_SQUARED * np.sin(phi) ** 2)
    height = level * np.cos(phi) + z * np.sin(phi) - EQUATOR_RADIUS * root
    return np.stack([np.degrees(phi), np.degrees(np.arctan2(y, x)), height], axis=-1)
