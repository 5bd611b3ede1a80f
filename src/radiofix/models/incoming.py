"""A link's waves as its station sees them: lengths and bearings, each from both of its sides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from radiofix.models.frame import FAR
from radiofix.physics.cones import level_azimuths
from radiofix.physics.rotation import wrap
from radiofix.physics.strongest import Wave
from radiofix.types import Sounding

SIDES = 2
"""An array hears a wave from its front as one that is mirrored in it."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """The waves of each link as a station sees them, each from its front and from behind it."""

    level: Float[Tensor, "link wave"]
    """Length of the straight way in plan [m]."""
    bearing: Float[Tensor, "link wave"]
    """From where the station looks [rad]."""
    size: Float[Tensor, "link wave"]
    """Amplitude."""
    told: Float[Tensor, "link wave 6"]
    """Power below the strongest, over free space, bearing, from behind, length, and behind the
    first."""
    present: Bool[Tensor, "link wave"]

    @property
    def number(self) -> Int[Tensor, " wave"]:
        """Of the wave: both sides are one."""
        return torch.arange(self.level.shape[1], device=self.level.device) // SIDES


def incoming(sounding: Sounding, found: Sequence[Wave], height: Float[Tensor, " link"]) -> Incoming:
    """Waves of each link, as its station sees them.

    Args:
        sounding: of the links.
        found: one wave of each after the other.
        height: where they come from (z in the scene) [m].
    """
    count = len(found)
    distance = torch.stack([wave.range.double() for wave in found], 1)
    direction = torch.stack([wave.direction.double() for wave in found], 1)
    power = torch.stack([wave.gain.abs().double() for wave in found], 1)
    pose = sounding.station_orientation.double()
    rise = height - sounding.station_position.double()[:, 2]
    level, sides = level_azimuths(
        pose.repeat_interleave(count, 0),
        distance.flatten(),
        direction.flatten(),
        rise.repeat_interleave(count),
    )
    sides = wrap(sides.view(*distance.shape, SIDES) - pose[:, None, None, 0])
    order = sides.cos().argsort(-1, descending=True)
    bearing = sides.gather(-1, order)
    strongest = power.amax(1, keepdim=True)
    present = power > 1e-3 * strongest
    first = torch.where(present, distance, torch.inf).amin(1, keepdim=True)
    decades = torch.log10((power / strongest.clamp(min=1e-30)).clamp(min=1e-3))
    free_space = torch.log10((power * distance.clamp(min=1.0)).clamp(min=1e-12))
    level = level.view_as(distance)
    behind = torch.tensor([0.0, 1.0], dtype=bearing.dtype, device=bearing.device)
    of_both = [decades, free_space + 2, bearing, behind, level / FAR]
    of_both.append((distance - first).clamp(0, 500) / FAR)
    told = [(t[..., None] if t.dim() == 2 else t).expand_as(bearing) for t in of_both]

    def both(part: Tensor) -> Tensor:
        return part.repeat_interleave(SIDES, 1)

    return Incoming(
        both(level),
        bearing.flatten(1),
        both(power),
        torch.stack(told, -1).flatten(1, 2).float(),
        both(present),
    )
