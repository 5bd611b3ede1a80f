"""Small maps made of boxes, for the tests of what is told of a map."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import shapely
import torch

from models.soundings import random_sounding, replaced
from radiofix.data.store import Map
from radiofix.models.map_reading import read_meshes
from radiofix.models.site_map import SiteMap
from radiofix.scenes.meshes import ground, prism
from radiofix.types import Sounding

STREET = [
    (-60.0, 10.0, -5.0, 30.0, 12.0),
    (5.0, 10.0, 70.0, 25.0, 20.0),
    (-60.0, -30.0, 20.0, -10.0, 16.0),
    (30.0, -30.0, 70.0, -10.0, 9.0),
]
"""x from, y from, x to, y to, height [m]: four houses along a street that runs along x."""
STATIONS = np.array([[0.0, 9.0, 6.0], [25.0, -9.0, 5.0]])
ORIENTATIONS = np.array([[-math.pi / 2, 0.1, 0.0], [math.pi / 2, 0.0, 0.05]])
USERS = np.array([[x, y, 1.5] for x in (-40.0, 0.0, 40.0) for y in (-6.0, 0.0, 6.0)])


def box_meshes(boxes=STREET):
    """Meshes of a store out of boxes, on a ground."""
    solids = [prism(str(i), shapely.box(*b[:4]), b[4], "concrete") for i, b in enumerate(boxes)]
    floor = ground((-500, -500, 500, 500))
    starts = np.cumsum([0, *(len(s.vertices) for s in solids)])
    return Map(
        np.concatenate([*(s.vertices for s in solids), floor.vertices]),
        np.concatenate([m.faces + n for m, n in zip([*solids, floor], starts, strict=True)]),
        np.repeat([*range(len(solids)), -1], [*(len(s.faces) for s in solids), 2]),
        np.zeros(sum(len(s.faces) for s in solids) + 2, dtype=np.int32),
        ("concrete",),
    )


def street(boxes=STREET, stations=STATIONS) -> SiteMap:
    """The checked map of some boxes."""
    return read_meshes("street", box_meshes(boxes), stations, USERS)


def heard(poses=None, links: int = 6) -> Sounding:
    """Links to stations that stand and look as `poses` (station, 6) say, in turn."""
    pose = torch.from_numpy(np.hstack([STATIONS, ORIENTATIONS])) if poses is None else poses
    each = pose[torch.arange(links) % len(pose)]
    return replaced(
        random_sounding(links), station_position=each[:, :3], station_orientation=each[:, 3:]
    )


def turned(site_map: SiteMap, angle: float, by) -> SiteMap:
    """The whole scene turned about z, and moved."""
    move = torch.tensor(by, dtype=torch.float64)
    cos, sin = math.cos(angle), math.sin(angle)
    turn = torch.tensor([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]], dtype=torch.float64)
    return dataclasses.replace(
        site_map,
        vertices=site_map.vertices @ turn.T + move,
        walls=site_map.walls @ turn[:2, :2].T + move[:2],
        levels=site_map.levels + move[2],
        stations=site_map.stations @ turn.T + move,
    )


def turned_poses(poses, angle: float, by):
    """The stations of a scene that is turned about z, and moved."""
    move = torch.tensor(by, dtype=torch.float64)
    cos, sin = math.cos(angle), math.sin(angle)
    turn = torch.tensor([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]], dtype=torch.float64)
    orientation = poses[:, 3:] + torch.tensor([angle, 0, 0], dtype=torch.float64)
    return torch.cat([poses[:, :3] @ turn.T + move, orientation], -1)
