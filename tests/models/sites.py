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
from radiofix.physics.arrays import ula
from radiofix.physics.channel import Channel
from radiofix.scenes.meshes import ground, prism
from radiofix.types import SPEED_OF_LIGHT, Paths, Sounding

STREET = [
    (-60.0, 10.0, -5.0, 30.0, 12.0),
    (5.0, 10.0, 70.0, 25.0, 20.0),
    (-60.0, -30.0, 20.0, -10.0, 16.0),
    (30.0, -30.0, 70.0, -10.0, 9.0),
]
"""x from, y from, x to, y to, height [m]: four houses along a street that runs along x."""
STATIONS = np.array([[0.0, 9.0, 6.0], [25.0, -9.0, 5.0]])
ORIENTATIONS = np.array([[-math.pi / 2, 0.1, 0.0], [math.pi / 2, 0.0, 0.05]])
HEIGHT = 1.5
"""Of users [m]."""
SOUTH = -10.0
"""Where the southern houses' fronts are [m]."""
ECHOING = np.array([[12.0, 4.0, HEIGHT], [16.0, -3.0, HEIGHT], [-25.0, 2.0, HEIGHT]])
"""Users whose image in the southern front the northern station sees."""
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


def reflected(users=ECHOING, direct=False) -> Sounding:
    """Links to the northern station that hear each user in the southern front alone."""
    station = torch.tensor(STATIONS[0])
    seeming = torch.tensor(users)
    if not direct:
        seeming = torch.stack([seeming[:, 0], 2 * SOUTH - seeming[:, 1], seeming[:, 2]], 1)
    away = seeming - station
    distance = away.norm(dim=-1)
    links = len(users)
    one = torch.ones(links, 1)
    paths = Paths(
        gain=1e-4 * one.to(torch.complex64),
        delay=(distance / SPEED_OF_LIGHT)[:, None].float(),
        station_azimuth=torch.atan2(away[:, 1], away[:, 0])[:, None].float(),
        station_zenith=torch.acos(away[:, 2] / distance)[:, None].float(),
        user_azimuth=0 * one,
        user_zenith=0 * one,
        interactions=one.to(torch.int8),
        diffracted=torch.zeros(links, 1, dtype=torch.bool),
        user_position=torch.tensor(users),
        station_position=station.expand(links, 3),
        station_orientation=torch.tensor([[-math.pi / 2, 0.0, 0.0]]).expand(links, 3).double(),
        carrier_frequency=torch.full((links,), 3.5e9, dtype=torch.float64),
        user=torch.arange(links),
        station=torch.zeros(links, dtype=torch.long),
    )
    return Channel(50e6, 64, ula(32)).sound(paths)
