"""Where waves that came to a station have come from: straight ways, folded at the map's walls.

A delay is a length and a direction a bearing, so that one straight way ends where the user would
stand without any walls: at its mirror image, if the wave was reflected. Each wall that the way
meets folds the rest of it over, as a mirror does; what is left of it at an edge fans out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from radiofix.models.site_map import SiteMap, distance_to
from radiofix.models.surroundings import in_frame

BEARINGS = 512
"""Even steps from the array's one end round the front to its other."""
HEIGHTS = (50.0, 100.0, 200.0, 400.0)
"""Lengths in plan for which it is worked out over which roofs a way passes [m]."""
BOUNCES = 3
"""At most, on the way from the station."""
EDGES = 96
"""That a station sees at most, by itself or in one wall as a mirror: the nearest."""
FAN = 48
"""Ways that go on from an edge, to all sides."""
STEP = 3.0
"""Beside an edge one sees this much further [m]."""
ROUND = 0.94
"""Cosine between the faces of an edge of which both are seen: flatter is none."""
ASIDE = 0.15
"""How far before an edge its ways begin, in the open [m]."""
BESIDE = 30.0
"""How much further than the nearest building others tell of a station's ground [m]."""
INTO = 0.5
"""A way that meets a wall so soon leads into the edge's own house [m]."""
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


@dataclass(frozen=True, slots=True)
class Echoes:
    """All ways of waves to one station, in its frame: level, x where it looks."""

    ways: Folds
    """By height and bearing."""
    image: Float[Tensor, "edge 2"]
    """Where edges seem to be, at which ways may turn aside; infinitely far where there are fewer
    [m]."""
    edge: Float[Tensor, "edge 2"]
    """Where they are: elsewhere, if they are seen in a mirror [m]."""
    fan: Folds
    """From each edge; lengths count from there."""
    heading: Float[Tensor, "edge fan 2"]
    """In which each way goes on."""
    height: float
    """Of the users that the ways lead to (z in the scene) [m]."""


def ground(near: SiteMap, pose: Float[Tensor, "6"]) -> float:
    """Height of the ground round a station: where the buildings nearest to it stand [m].

    0 where there are none.
    """
    if not len(near.walls):
        return 0.0
    away = distance_to(near.walls - pose[:2])
    beside = away <= away.min() + BESIDE
    return float(near.levels[beside, 0].median())


def echoes(near: SiteMap, pose: Float[Tensor, "6"], height: float) -> Echoes:
    """The ways of waves to a station.

    Args:
        near: the part of the map that counts.
        pose: of the station: position [m], yaw, pitch, roll [rad].
        height: of the users (z in the scene) [m].
    """
    own, levels = in_frame(near, pose)
    walls, levels = own.float(), levels.float()
    rise = height - float(pose[2])
    bearing = math.pi * ((torch.arange(BEARINGS) + 0.5) / BEARINGS - 0.5)
    heading = unfolded(torch.ones_like(bearing), bearing).repeat(len(HEIGHTS), 1)
    falling = (rise / torch.tensor(HEIGHTS)).repeat_interleave(BEARINGS)
    begun = torch.zeros_like(falling)
    ways, met = _follow(walls, levels, torch.zeros_like(heading), heading, falling, begun, BOUNCES)
    middle = slice(2 * BEARINGS, 3 * BEARINGS)
    seen = [_edges(walls, ways[middle], heading[middle], met[middle], leg) for leg in (0, 1)]
    image, edge, outward = (torch.cat(parts) for parts in zip(*seen, strict=True))
    order = image.norm(dim=-1).argsort()[:EDGES]
    image, edge = image[order], edge[order]
    fan, onward = _fan(walls, levels, edge, outward[order], rise)
    missing = EDGES - len(edge)
    return Echoes(
        _shaped(ways, len(HEIGHTS)),
        torch.cat([image, image.new_full((missing, 2), torch.inf)]),
        torch.cat([edge, edge.new_zeros(missing, 2)]),
        fan,
        onward,
        height,
    )


def nearest_height(length: Float[Tensor, "*way"]) -> Int[Tensor, "*way"]:
    """Which of `HEIGHTS` is the nearest, in octaves."""
    octave = torch.log2(length.clamp(min=1e-3) / HEIGHTS[0]).round()
    return octave.clamp(0, len(HEIGHTS) - 1).long()


def nearest_bearing(bearing: Float[Tensor, "*way"]) -> Int[Tensor, "*way"]:
    """Which of `BEARINGS` is the nearest."""
    step = torch.floor((bearing / math.pi + 0.5) * BEARINGS)
    return step.clamp(0, BEARINGS - 1).long()


def _follow(
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


def _edges(
    walls: Float[Tensor, "wall 2 2"],
    ways: Folds,
    heading: Float[Tensor, "way 2"],
    met: Int[Tensor, "way leg"],
    leg: int,
) -> tuple[Float[Tensor, "edge 2"], Float[Tensor, "edge 2"], Float[Tensor, "edge 2"]]:
    """Edges that are seen on a leg: where they seem to be, where they are, and what is outside.

    An edge is where one of two neighbouring ways passes a wall that the other meets, or where they
    meet two faces that lean away from each other.
    """
    length = ways.since[:, leg + 1]
    alike = (met[:-1, :leg] == met[1:, :leg]).all(1) & (met[:-1, leg] != met[1:, leg])
    at = torch.where(alike & torch.minimum(length[:-1], length[1:]).isfinite())[0]
    if not len(at):
        none = heading.new_zeros(0, 2)
        return none, none, none
    nearer = torch.where(length[at] <= length[at + 1], at, at + 1)
    other = 2 * at + 1 - nearer
    ends = walls[met[nearer, leg]]
    turn, shift = ways.turn[nearer, leg], ways.shift[nearer, leg]
    # A mirror is undone by itself turned back: its turn is orthogonal.
    images = (ends - shift[:, None]) @ turn
    middle = heading[at] + heading[at + 1]
    bearing = torch.atan2(middle[:, 1], middle[:, 0])
    off = (torch.atan2(images[..., 1], images[..., 0]) - bearing[:, None]).abs()
    off, which = off.min(1)
    rows = torch.arange(len(at))
    edge, image = ends[rows, which], images[rows, which]
    here, there = (_outward(walls, met[way, leg]) for way in (nearer, other))
    passed = length[other] - length[nearer] > STEP
    apart = _point(ways, heading, other, leg) - _point(ways, heading, nearer, leg)
    leaning = ((there - here) * apart).sum(-1) > 0
    faced = (met[other, leg] >= 0) & leaning & ((here * there).sum(-1) < ROUND)
    # Where the other way passes, the open lies on its side.
    beside = (turn @ (heading[other] - heading[nearer])[..., None])[..., 0]
    beside = beside / beside.norm(dim=-1, keepdim=True)
    outward = here + torch.where(passed[:, None], beside, there)
    outward = outward / outward.norm(dim=-1, keepdim=True).clamp(min=1e-6)
    fits = (off < 2 * math.pi / BEARINGS) & (passed | faced)
    return image[fits], edge[fits], outward[fits]


def _outward(walls: Float[Tensor, "wall 2 2"], wall: Int[Tensor, " way"]) -> Float[Tensor, "way 2"]:
    """Away from the building behind each wall."""
    along = (walls[:, 1] - walls[:, 0])[wall]
    across = torch.stack([along[:, 1], -along[:, 0]], -1)
    outward: Tensor = across / along.norm(dim=-1, keepdim=True)
    return outward


def _point(
    ways: Folds, heading: Float[Tensor, "way 2"], way: Int[Tensor, " chosen"], leg: int
) -> Float[Tensor, "chosen 2"]:
    """Where ways end a leg, far away where they meet nothing [m]."""
    straight = heading[way] * ways.since[way, leg + 1].clamp(max=1e4)[:, None]
    turned: Tensor = (ways.turn[way, leg] @ straight[..., None])[..., 0]
    return turned + ways.shift[way, leg]


def _fan(
    walls: Float[Tensor, "wall 2 2"],
    levels: Float[Tensor, "wall 2"],
    edge: Float[Tensor, "edge 2"],
    outward: Float[Tensor, "edge 2"],
    rise: float,
) -> tuple[Folds, Float[Tensor, "edge fan 2"]]:
    """Ways on from edges, at the users' height, and where they head; filled up with none."""
    count = len(edge)
    onward = 2 * math.pi * torch.arange(FAN) / FAN
    heading = unfolded(torch.ones(FAN), onward).expand(count, FAN, 2)
    start = (edge + ASIDE * outward)[:, None].expand(-1, FAN, -1).reshape(-1, 2)
    low = torch.full((count * FAN,), rise)
    if not count:
        start, heading = walls.new_zeros(0, 2), walls.new_zeros(0, FAN, 2)
    folds, _ = _follow(walls, levels, start, heading.reshape(-1, 2), torch.zeros_like(low), low, 1)
    inside = folds.since[:, 1] < INTO
    folds = Folds(folds.since, folds.until.masked_fill(inside, 0), folds.turn, folds.shift)
    filled = _shaped(_padded(folds, EDGES * FAN), EDGES)
    return filled, torch.cat([heading, heading.new_zeros(EDGES - count, FAN, 2)])


def _padded(folds: Folds, count: int) -> Folds:
    """With zeros for ways that are not there."""

    def padded(part: Tensor) -> Tensor:
        return torch.cat([part, part.new_zeros(count - len(part), *part.shape[1:])])

    return Folds(*(padded(getattr(folds, f.name)) for f in fields(folds)))


def _shaped(folds: Folds, rows: int) -> Folds:
    """In rows of equally many ways."""

    def shaped(part: Tensor) -> Tensor:
        return part.view(rows, -1, *part.shape[1:])

    return Folds(*(shaped(getattr(folds, f.name)) for f in fields(folds)))


def unfolded(
    level: Float[Tensor, "*way"], bearing: Float[Tensor, "*way"]
) -> Float[Tensor, "*way 2"]:
    """Where straight ways end [m]."""
    return level[..., None] * torch.stack([bearing.cos(), bearing.sin()], -1)


def before(until: Float[Tensor, "*way"], length: Float[Tensor, "*way"]) -> Bool[Tensor, "*way"]:
    """Whether a way ends before it is lost."""
    return length <= until
