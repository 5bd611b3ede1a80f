"""Circles round the edges at which waves may have turned aside, and where they cross."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from radiofix.models.echoes import FAN

CLEAR = 2.0
"""A place is seen from an edge if a way as near as that to it is [m]."""
STEPS = 2
"""Of Newton's method along a circle: over half the gap of two ways one leaves centimetres."""
ASLANT = 0.1
"""Circles that cross at a smaller sine leave open where."""


@dataclass(frozen=True, slots=True)
class Circles:
    """Round the edges that waves may have turned aside at: what is left of a way is a radius."""

    centre: Float[Tensor, "link circle 2"]
    """[m]."""
    radius: Float[Tensor, "link circle"]
    """[m]."""
    seen: Float[Tensor, "link circle fan"]
    """How far one sees from the centre, by `headings` [m]."""
    wave: Int[Tensor, " circle"]
    """Which wave each is of."""
    present: Bool[Tensor, "link circle"]

    def off(self, place: Float[Tensor, "link place 2"]) -> Float[Tensor, "link place circle"]:
        """How far outside each circle each place is; infinite where it is not in sight [m]."""
        x, y = (place[:, :, None, axis] - self.centre[:, None, :, axis] for axis in (0, 1))
        distance = (x.square() + y.square()).sqrt()
        way = torch.round(torch.atan2(y, x) * (FAN / (2 * math.pi)))
        way = way.long().remainder(FAN)
        sight = self.seen[:, None].expand(-1, way.shape[1], -1, -1).gather(-1, way[..., None])
        there = self.present[:, None] & (distance <= sight[..., 0] + CLEAR)
        off: Tensor = (distance - self.radius[:, None]).masked_fill(~there, torch.inf)
        return off

    def crossed(
        self, place: Float[Tensor, "link place 2"], own: Int[Tensor, "link place"]
    ) -> Float[Tensor, "link place 2"]:
        """Places on circles, moved along them to where the nearest circle of another wave crosses.

        Who is beyond half the gap between two ways of a fan from any crossing stays.

        Args:
            place: on circles [m].
            own: the circle that each is on.
        """
        centre = self.centre.gather(1, own[..., None].expand(-1, -1, 2))
        radius = self.radius.gather(1, own).clamp(min=1e-3)
        begun = place - centre
        start = torch.atan2(begun[..., 1], begun[..., 0])
        other = self.wave[own][..., None] != self.wave
        far = self.off(place).masked_fill(~other, torch.inf)
        turn = _toward(place, begun, far, self.centre[:, None])
        _, which = turn.abs().min(-1)
        turned = torch.zeros_like(start)
        aim = self.centre.gather(1, which[..., None].expand(-1, -1, 2))
        reach = self.radius.gather(1, which)
        for _ in range(STEPS):
            angle = start + turned
            spoke = radius[..., None] * torch.stack([angle.cos(), angle.sin()], -1)
            at = centre + spoke
            short = (at - aim).norm(dim=-1) - reach
            turned = turned + _toward(at, spoke, short[..., None], aim[:, :, None])[..., 0]
        moves = (turn.gather(-1, which[..., None])[..., 0].abs() <= math.pi / FAN) & (
            turned.abs() <= 1.2 * math.pi / FAN
        )
        angle = start + turned
        moved = centre + radius[..., None] * torch.stack([angle.cos(), angle.sin()], -1)
        return torch.where(moves[..., None], moved, place)


def _toward(
    place: Float[Tensor, "link place 2"],
    spoke: Float[Tensor, "link place 2"],
    far: Float[Tensor, "link place circle"],
    centre: Float[Tensor, "link any circle 2"],
) -> Float[Tensor, "link place circle"]:
    """The turn about its own circle that brings a place onto others, `far` off [rad].

    Infinite where they cross too much aslant, or are out of sight.
    """
    x, y = (place[:, :, None, axis] - centre[..., axis] for axis in (0, 1))
    distance = (x.square() + y.square()).sqrt().clamp(min=1e-6)
    slope = (y * spoke[..., None, 0] - x * spoke[..., None, 1]) / distance
    flat = slope.abs() < ASLANT * spoke.norm(dim=-1, keepdim=True)
    turn = -far / torch.where(flat, 1.0, slope)
    return turn.masked_fill(flat | far.isinf(), torch.inf)
