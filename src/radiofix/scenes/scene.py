"""A scene: buildings as meshes, stations, and the places where users may stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiofix.types import Station

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Mesh:
    """One solid of a scene, or one surface of it."""

    name: str
    vertices: FloatArray
    """(vertex, 3) [m]."""
    faces: IntArray
    """(face, 3) rows of `vertices`."""
    material: str
    """An ITU material by Sionna's name, e.g. "concrete"."""
    building: bool = True
    """False: ground, or what no user can be inside of."""
    part_of: str = ""
    """The building that this mesh and others make up; empty: it is one by itself."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What the world looks like, before any ray is traced."""

    name: str
    meshes: tuple[Mesh, ...]
    stations: Mapping[int, Station]
    """By the number that people call a station by."""
    default_stations: tuple[int, ...]
    user_position: FloatArray
    """(user, 3): every place where a user may stand, in row order [m]."""
    user_group: NDArray[np.int8]
    """(user,) number of the user grid (o1: UG1 to UG3); 1 where there is only one."""
    user_row: NDArray[np.int32]
    """(user,) row within its grid, from 1."""
    assumptions: Mapping[str, Any] = field(default_factory=dict)
    """What was assumed, as the store will record it."""
    origin: tuple[float, float, float] | None = None
    """Latitude [deg], longitude [deg] and height [m] of (0, 0, 0), where known."""
    licence: str = "Apache-2.0"
    file_sha256: str | None = None
    """Of the user's file that it was read from; its builder takes it as `sha256`, to hold it to."""
