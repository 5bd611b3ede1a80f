"""From the delay and the direction of the direct path to a position, with one station."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from radiofix.physics.cones import level_azimuths
from radiofix.physics.rotation import rotation
from radiofix.types import HANDHELD, SPEED_OF_LIGHT, Sounding

ROUNDED = 0.02
"""How far beyond 1 noise may carry a cosine."""


def place(
    sounding: Sounding,
    delay: Float[Tensor, " link"],
    direction: Float[Tensor, " link"],
    height: float | Float[Tensor, " link"] = HANDHELD,
) -> Float[Tensor, "link 3"]:
    """Position of each user in the scene [m], in front of the station.

    The user lies on three surfaces: a sphere about the station (range c delay), a cone about the
    array's y axis (direction), and the level plane of its height. They leave two places, mirrored
    in the array's line; the one in front is taken. What does not meet is brought to the nearest
    that does: a range shorter than the difference in height is straight below the station, a
    direction outside the reach is along the array.

    Args:
        sounding: of the links, for their stations.
        delay: of the direct path [s].
        direction: cosine of its angle to the array's y axis, sin(zenith) sin(azimuth - yaw).
        height: of the users (z in the scene) [m].
    """
    station = sounding.station_position.double()
    orientation = sounding.station_orientation.double()
    front = rotation(orientation)[:, :, 0]
    rise = torch.as_tensor(height, dtype=torch.float64, device=station.device) - station[:, 2]
    distance = SPEED_OF_LIGHT * delay.double()
    level, sides = level_azimuths(orientation, distance, direction.double(), rise)
    away = torch.stack(
        [
            level[:, None] * sides.cos(),
            level[:, None] * sides.sin(),
            rise[:, None].expand_as(sides),
        ],
        -1,
    )
    ahead = (away @ front[:, :, None])[..., 0]
    best = ahead.argmax(1)
    return station + away[torch.arange(len(away), device=away.device), best]


def place_within(
    sounding: Sounding,
    delay: Float[Tensor, " link"],
    direction: Float[Tensor, " link"],
    alias: Float[Tensor, " link"],
    area: Float[Tensor, "2 2"],
    height: float | Float[Tensor, " link"] = HANDHELD,
) -> Float[Tensor, "link 3"]:
    """As `place`, by that of all directions that look alike which puts the user into an area.

    The one that was told comes first, then its neighbours; where none leads inside, it stays.

    Args:
        sounding: of the links, for their stations.
        delay: of the direct path [s].
        direction: cosine of its angle to the array's y axis.
        alias: how far apart directions look alike.
        area: where users may be: lowest x and y, highest x and y [m].
        height: of the users (z in the scene) [m].
    """
    furthest = math.ceil(2 / float(alias.min())) if len(alias) else 0
    found = place(sounding, delay, direction, height)
    settled = _inside(found, area)
    for turns in sorted(range(-furthest, furthest + 1), key=abs)[1:]:
        other = direction.double() + turns * alias.double()
        tried = place(sounding, delay, other, height)
        better = ~settled & _inside(tried, area) & (other.abs() <= 1 + ROUNDED)
        found = torch.where(better[:, None], tried, found)
        settled = settled | better
    return found


def _inside(position: Float[Tensor, "link 3"], area: Float[Tensor, "2 2"]) -> Bool[Tensor, " link"]:
    low, high = area.to(position)
    level = position[:, :2]
    inside: Tensor = ((level >= low) & (level <= high)).all(-1)
    return inside


def azimuth(sounding: Sounding, position: Float[Tensor, "link 3"]) -> Float[Tensor, " link"]:
    """Of a position in its station's own frame, in (-pi, pi] [rad]."""
    turn = rotation(sounding.station_orientation.double())
    toward = position.double() - sounding.station_position.double()
    # A row vector times R is R^T applied to it: from the scene's frame into the station's.
    local = (toward[:, None] @ turn)[:, 0]
    return torch.atan2(local[:, 1], local[:, 0])
