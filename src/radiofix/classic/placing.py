"""From the delay and the direction of the direct path to a position, with one station."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from radiofix.physics.rotation import rotation
from radiofix.types import HANDHELD, SPEED_OF_LIGHT, Sounding


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
    turn = rotation(sounding.station_orientation.double())
    front, axis = turn[:, :, 0], turn[:, :, 1]
    distance = SPEED_OF_LIGHT * delay.double()
    rise = torch.as_tensor(height, dtype=torch.float64, device=station.device) - station[:, 2]
    level = (distance.square() - rise.square()).clamp(min=0).sqrt()
    # On the circle of radius `level` the axis is met at level |axis_xy| cos(angle - heading).
    heading = torch.atan2(axis[:, 1], axis[:, 0])
    flat = torch.hypot(axis[:, 0], axis[:, 1])
    along = distance * direction.double() - rise * axis[:, 2]
    cosine = along / (level * flat).clamp(min=1e-9)
    aside = torch.acos(cosine.clamp(-1, 1))
    sides = torch.stack([heading - aside, heading + aside], 1)
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


def azimuth(sounding: Sounding, position: Float[Tensor, "link 3"]) -> Float[Tensor, " link"]:
    """Of a position in its station's own frame, in (-pi, pi] [rad]."""
    turn = rotation(sounding.station_orientation.double())
    toward = position.double() - sounding.station_position.double()
    # A row vector times R is R^T applied to it: from the scene's frame into the station's.
    local = (toward[:, None] @ turn)[:, 0]
    return torch.atan2(local[:, 1], local[:, 0])
