"""Ways in a plan of walls, each folded where it meets one, as a mirror does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

_AT_ONCE = 60_000
"""Pairs of a way and a wall that are looked at together: what fits a CPU's cache."""


@dataclass(frozen=True, slots=True)
class Folds:
    """Ways in plan, in legs from wall to wall; each leg moves points of the straight way.

    That is an isometry of the plane: it takes bearings beside the way's own as well.
    """

    since: Float[Tensor, "*way leg"]
    """Length at which each leg begins; infinite: it never does [m]."""
    until: Float[Tensor, "*way"]
    """Length at which the last leg meets a wall: what is longer is not known [m]."""
    turn: Float[Tensor, "*way leg 2 2"]
    shift: Float[Tensor, "*way leg 2"]
    """[m]."""

    @staticmethod
    def stack(parts: Sequence[Folds]) -> Folds:
        """Those of all parts, in rows."""
        return Folds(*(torch.stack([getattr(p, f.name) for p in parts]) for f in fields(Folds)))

    def to(self, device: torch.device) -> Folds:
        """On a device."""
        return Folds(*(getattr(self, f.name).to(device) for f in fields(Folds)))

    def __getitem__(self, chosen: object) -> Folds:
        """Some of the ways."""
        return Folds(*(getattr(self, f.name)[chosen] for f in fields(self)))

    def legs(self, length: Float[Tensor, "*way"]) -> Int[Tensor, "*way"]:
        """The leg on which each way ends: how often it was folded."""
        return (self.since <= length[..., None]).sum(-1) - 1

    def fold(
        self, straight: Float[Tensor, "*way 2"], length: Float[Tensor, "*way"]
    ) -> Float[Tensor, "*way 2"]:
        """Where each way ends.

        Args:
            straight: where it would end without walls [m].
            length: of the way [m].
        """
        leg = self.legs(length)[..., None]
        turn = self.turn.gather(-3, leg[..., None, None].expand(*leg.shape, 2, 2))[..., 0, :, :]
        shift = self.shift.gather(-2, leg[..., None].expand(*leg.shape, 2))[..., 0, :]
        folded: Tensor = (turn @ straight[..., None])[..., 0] + shift
        return folded

    def bends(
        self, straight: Float[Tensor, "*way 2"], length: Float[Tensor, "*way"]
    ) -> Float[Tensor, "*way point 2"]:
        """Where each way begins, is folded and ends; once it has ended, that place again.

        Args:
            straight: where it would end without walls [m].
            length: of the way [m].
        """
        unit = straight / length.clamp(min=1e-6)[..., None]
        at = torch.minimum(self.since, length[..., None])
        found = (self.turn @ (unit[..., None, :] * at[..., None])[..., None])[..., 0] + self.shift
        ended = torch.arange(self.since.shape[-1]) > self.legs(length)[..., None]
        end = self.fold(straight, length)[..., None, :]
        return torch.cat([torch.where(ended[..., None], end, found), end], -2)


def follow(
    walls: Float[Tensor, "wall 2 2"],
    levels: Float[Tensor, "wall 2"],
    start: Float[Tensor, "way 2"],
    heading: Float[Tensor, "way 2"],
    falling: Float[Tensor, " way"],
    height: Float[Tensor, " way"],
    bounces: int,
) -> tuple[Folds, Int[Tensor, "way leg"]]:
    """Follows ways from wall to wall, and which wall ends each leg (-1: none).

    Args:
        walls: of which the building lies to the left: they are met from the right.
        levels: from which height to which each reaches [m].
        start: where the ways begin [m].
        heading: where to, of length 1.
        falling: change of height with length.
        height: at the beginning [m].
        bounces: at most.
    """
    pieces = max(1, _AT_ONCE // max(1, len(walls)))
    cut = zip(*(torch.split(t, pieces) for t in (start, heading, falling, height)), strict=True)
    parts = [_followed(walls, levels, a, b, c, d, bounces) for a, b, c, d in cut]
    folds = Folds(*(torch.cat([getattr(p, f.name) for p, _ in parts]) for f in fields(Folds)))
    return folds, torch.cat([met for _, met in parts])


def _followed(
    walls: Float[Tensor, "wall 2 2"],
    levels: Float[Tensor, "wall 2"],
    start: Float[Tensor, "way 2"],
    heading: Float[Tensor, "way 2"],
    falling: Float[Tensor, " way"],
    height: Float[Tensor, " way"],
    bounces: int,
) -> tuple[Folds, Int[Tensor, "way leg"]]:
    turn = torch.eye(2).repeat(len(start), 1, 1)
    shift, length = torch.zeros_like(start), torch.zeros_like(falling)
    since, turns, shifts, met = [length], [turn], [shift], []
    for bounce in range(bounces + 1):
        gone, wall = _met(walls, levels, start, heading, falling, height + falling * length)
        met.append(wall)
        length = length + gone
        if bounce < bounces:
            start, heading, mirror, moved = _mirrored(walls, wall, start, heading, gone)
            turn = mirror @ turn
            shift = (mirror @ shift[..., None])[..., 0] + moved
            since.append(length)
            turns.append(turn)
            shifts.append(shift)
    folds = Folds(torch.stack(since, 1), length, torch.stack(turns, 1), torch.stack(shifts, 1))
    return folds, torch.stack(met, 1)


def _met(
    walls: Float[Tensor, "wall 2 2"],
    levels: Float[Tensor, "wall 2"],
    start: Float[Tensor, "way 2"],
    heading: Float[Tensor, "way 2"],
    falling: Float[Tensor, " way"],
    height: Float[Tensor, " way"],
) -> tuple[Float[Tensor, " way"], Int[Tensor, " way"]]:
    """How far each way goes to a wall that it meets from outside, and which; infinite, -1: none."""
    if not len(walls):
        return torch.full_like(falling, torch.inf), torch.full(falling.shape, -1)
    along = walls[:, 1] - walls[:, 0]
    # Met from outside, a wall's building to its left: the way then crosses it from the right.
    across = heading[:, :1] * along[:, 1] - heading[:, 1:] * along[:, 0]
    inward = across < -1e-9
    across = torch.where(inward, across, -torch.ones_like(across))
    x = walls[:, 0, 0] - start[:, :1]
    y = walls[:, 0, 1] - start[:, 1:]
    gone = (x * along[:, 1] - y * along[:, 0]) / across
    share = (x * heading[:, 1:] - y * heading[:, :1]) / across
    top = height[:, None] + falling[:, None] * gone
    met = inward & (gone > 1e-3) & (share >= 0) & (share <= 1) & (top <= levels[:, 1])
    nearest, wall = torch.where(met, gone, torch.inf).min(1)
    return nearest, wall.masked_fill(nearest.isinf(), -1)


def _mirrored(
    walls: Float[Tensor, "wall 2 2"],
    wall: Int[Tensor, " way"],
    start: Float[Tensor, "way 2"],
    heading: Float[Tensor, "way 2"],
    gone: Float[Tensor, " way"],
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The way behind the wall that it meets, folded over: its start, its heading, the mirror.

    A way that meets none stays as it is, infinitely far ahead of it.
    """
    met = wall >= 0
    where = walls[wall.clamp(min=0)] if len(walls) else start.new_zeros(len(start), 2, 2)
    along = where[:, 1] - where[:, 0]
    along = along / along.norm(dim=-1, keepdim=True).clamp(min=1e-9)
    unit = torch.eye(2, dtype=start.dtype)
    mirror = torch.where(met[:, None, None], 2 * along[:, :, None] * along[:, None, :] - unit, unit)
    moved = where[:, 0] - (mirror @ where[:, 0, :, None])[..., 0]
    start = start + torch.where(met, gone, 0.0)[:, None] * heading
    heading = (mirror @ heading[..., None])[..., 0]
    return start, heading, mirror, torch.where(met[:, None], moved, 0.0)


def unfolded(
    level: Float[Tensor, "*way"], bearing: Float[Tensor, "*way"]
) -> Float[Tensor, "*way 2"]:
    """Where straight ways end [m]."""
    return level[..., None] * torch.stack([bearing.cos(), bearing.sin()], -1)


def before(until: Float[Tensor, "*way"], length: Float[Tensor, "*way"]) -> Bool[Tensor, "*way"]:
    """Whether a way ends before it is lost."""
    return length <= until
