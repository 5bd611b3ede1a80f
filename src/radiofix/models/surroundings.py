"""What a station has around it, in its own frame: walls, and the sky-line that it sees.

The frame stands in the station, level, its x axis where the station looks. Moving or turning a
scene with its stations changes nothing of what is told here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from radiofix.models.site_map import SiteMap, nearest_point

RAYS = 8
"""Looks in each sector of the sky-line."""
METRES, UP = 100.0, 20.0
"""Lengths in plan and heights of 1 for a network [m]."""
WALL_FEATURES, SECTOR_FEATURES, STATION_FEATURES = 16, 6, 6


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Of one station, or of several in rows, as bounded numbers."""

    walls: Float[Tensor, "*station wall 16"]
    """Nearest first, those in sight before all others."""
    present: Bool[Tensor, "*station wall"]
    """Where there is a wall at all."""
    sectors: Float[Tensor, "*station sector 6"]
    """From broadside, counter-clockwise."""
    station: Float[Tensor, "*station 6"]
    """How it tilts, and what it stands above."""


@dataclass(frozen=True, slots=True)
class Looks:
    """What lies in level directions from a station."""

    distance: Float[Tensor, " ray"]
    """To the nearest wall in plan, infinite where there is none [m]."""
    wall: Int[Tensor, " ray"]
    """Which wall that is; -1: none."""
    skyline: Float[Tensor, " ray"]
    """Tangent of the highest elevation at which any wall ends; 0 where there is none."""


def surroundings(
    near: SiteMap, pose: Float[Tensor, "6"], radius: float, most: int, sectors: int
) -> Surroundings:
    """What a station has around it.

    Args:
        near: the part of the map within the radius.
        pose: of the station: position [m], yaw, pitch, roll [rad].
        radius: beyond which nothing is seen [m].
        most: walls that are told.
        sectors: of the sky-line.
    """
    walls, levels = in_frame(near, pose)
    looks = look_around(walls, levels, sectors * RAYS, radius)
    seen = torch.bincount(looks.wall[looks.wall >= 0], minlength=len(walls))
    share = seen / len(looks.wall)
    away = nearest_point(walls).norm(dim=-1)
    order = (away + radius * (share == 0)).argsort(stable=True)
    order = order[away[order] <= radius][:most]
    told = _wall_features(walls[order], levels[order], share[order])
    missing = most - len(order)
    base = levels[:, 0].min() if len(levels) else levels.new_zeros(())
    pitch, roll = pose[4], pose[5]
    tilt = torch.stack([pitch.sin(), pitch.cos(), roll.sin(), roll.cos(), base / UP])
    crowd = torch.tensor([math.log10(1 + len(walls))], dtype=tilt.dtype)
    return Surroundings(
        torch.cat([told, told.new_zeros(missing, WALL_FEATURES)]).float(),
        torch.arange(most) < len(order),
        _sector_features(looks, levels, sectors, radius).float(),
        torch.cat([tilt, crowd]).float(),
    )


def in_frame(
    near: SiteMap, pose: Float[Tensor, "6"]
) -> tuple[Float[Tensor, "wall 2 2"], Float[Tensor, "wall 2"]]:
    """Walls and their levels in the station's own frame, level, x where it looks [m]."""
    cos, sin = pose[3].cos(), pose[3].sin()
    turn = torch.stack([torch.stack([cos, -sin]), torch.stack([sin, cos])])
    return (near.walls - pose[:2]) @ turn, near.levels - pose[2]


def look_around(
    walls: Float[Tensor, "wall 2 2"], levels: Float[Tensor, "wall 2"], rays: int, radius: float
) -> Looks:
    """Looks from the origin in `rays` even directions, half a step off broadside."""
    angle = 2 * math.pi * (torch.arange(rays, dtype=torch.float64) + 0.5) / rays
    ray = torch.stack([angle.cos(), angle.sin()], -1)[:, None]
    start, along = walls[:, 0], walls[:, 1] - walls[:, 0]
    across = _cross(ray, along)
    slope = torch.where(across == 0, torch.ones_like(across), across)
    length = _cross(start, along) / slope
    share = _cross(start, ray) / slope
    met = (across != 0) & (share >= 0) & (share <= 1) & (length > 0) & (length <= radius)
    none = torch.full((rays, 1), torch.inf, dtype=length.dtype)
    length = torch.cat([torch.where(met, length, torch.inf), none], 1)
    distance, wall = length.min(1)
    steep = torch.cat([levels[:, 1] / length[:, :-1], torch.full_like(none, -torch.inf)], 1)
    steep = torch.where(length.isfinite(), steep, -torch.inf).amax(1)
    lost = distance.isinf()
    return Looks(distance, wall.masked_fill(lost, -1), steep.masked_fill(lost, 0))


def _wall_features(
    walls: Float[Tensor, "wall 2 2"], levels: Float[Tensor, "wall 2"], seen: Float[Tensor, " wall"]
) -> Float[Tensor, "wall 16"]:
    along = walls[:, 1] - walls[:, 0]
    length = along.norm(dim=-1).clamp(min=1e-6)
    outward = torch.stack([along[:, 1], -along[:, 0]], -1) / length[:, None]
    near = nearest_point(walls)
    away = near.norm(dim=-1)
    # How far the station stands in front of the wall's plane: half the way to its mirror image.
    front = -(walls[:, 0] * outward).sum(-1)
    return torch.cat(
        [
            walls.flatten(1) / METRES,
            levels / UP,
            near / away.clamp(min=1e-6)[:, None],
            outward,
            torch.stack(
                [
                    near_log(away),
                    front.sign() * near_log(front.abs()),
                    front / METRES,
                    near_log(length),
                    10 * seen,
                    (seen > 0).to(away),
                ],
                -1,
            ),
        ],
        -1,
    )


def _sector_features(
    looks: Looks, levels: Float[Tensor, "wall 2"], sectors: int, radius: float
) -> Float[Tensor, "sector 6"]:
    """Nearest wall, its top over the station, the sky-line's elevation, openness, the azimuth."""
    distance = looks.distance.view(sectors, RAYS)
    nearest, which = distance.min(1)
    wall = looks.wall.view(sectors, RAYS).gather(1, which[:, None])[:, 0]
    tops = torch.cat([levels[:, 1], levels.new_zeros(1)])
    steep = looks.skyline.view(sectors, RAYS).amax(1)
    angle = 2 * math.pi * (torch.arange(sectors, dtype=torch.float64) + 0.5) / sectors
    features = [
        near_log(nearest.clamp(max=radius)),
        tops[wall] / UP,
        steep / (1 + steep.square()).sqrt(),
        distance.isinf().double().mean(1),
        angle.cos(),
        angle.sin(),
    ]
    return torch.stack(features, -1)


def near_log(distance: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
    """Distances in steps that grow: what is near is told more finely."""
    return torch.log1p(distance) / 5


def _cross(first: Tensor, second: Tensor) -> Tensor:
    return first[..., 0] * second[..., 1] - first[..., 1] * second[..., 0]
