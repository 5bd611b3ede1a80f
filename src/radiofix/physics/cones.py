"""Where a station's array and its clock put a user: a cone, a sphere and a level plane."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from radiofix.physics.rotation import rotation


def level_azimuths(
    orientation: Float[Tensor, "wave 3"],
    distance: Float[Tensor, " wave"],
    direction: Float[Tensor, " wave"],
    rise: Float[Tensor, " wave"],
) -> tuple[Float[Tensor, " wave"], Float[Tensor, "wave 2"]]:
    """How far away in plan a wave comes from, and the two azimuths that it may come from.

    What does not meet is brought to the nearest that does: a distance shorter than the difference
    in height is straight below the station, a direction outside the reach is along the array.

    Args:
        orientation: of the station: yaw, pitch, roll [rad].
        distance: that the wave has come [m].
        direction: cosine of its angle to the array's y axis.
        rise: from the station's height to where it comes from [m].

    Returns:
        Distance in plan [m], and both azimuths in the scene's frame, mirrored in the array [rad].
    """
    level = (distance.square() - rise.square()).clamp(min=0).sqrt()
    axis = rotation(orientation)[..., 1]
    # On the circle of radius `level` the axis is met at level |axis_xy| cos(angle - heading).
    heading = torch.atan2(axis[:, 1], axis[:, 0])
    flat = torch.hypot(axis[:, 0], axis[:, 1])
    cosine = (distance * direction - rise * axis[:, 2]) / (level * flat).clamp(min=1e-9)
    aside = torch.acos(cosine.clamp(-1, 1))
    return level, torch.stack([heading - aside, heading + aside], 1)
