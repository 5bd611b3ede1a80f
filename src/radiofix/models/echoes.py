"""Where waves that came to a station have come from: straight ways, folded at the map's walls.

A delay is a length and a direction a bearing, so that one straight way ends where the user would
stand without any walls: at its mirror image, if the wave was reflected. Each wall that the way
meets folds the rest of it over, as a mirror does; what is left of it at an edge fans out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from jaxtyping import Float, Int
from torch import Tensor

from radiofix.models.folds import Folds, before, follow, unfolded
from radiofix.models.site_map import SiteMap, distance_to
from radiofix.models.surroundings import in_frame
from radiofix.physics.rotation import wrap

BEARINGS = 1024
"""Even steps all round the station, from behind it by its front."""
HEIGHTS = (50.0, 100.0, 200.0, 400.0)
"""Lengths in plan for which it is worked out over which roofs a way passes [m]."""
BOUNCES = 3
"""At most, on the way from the station."""
EDGES = 128
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
CELL, CELLS = 4.0, 256
"""Size of the squares of which it is kept whether waves reach them [m], and how many a side."""
LONGEST = 700.0
"""Ways of which that is kept [m]."""
DARK = BOUNCES + 1
"""What is said of squares that no wave reaches but round edges."""


@dataclass(frozen=True, slots=True)
class Echoes:
    """All ways of waves to one station, in its frame: level, x where it looks; or to several."""

    ways: Folds
    """By height and bearing."""
    image: Float[Tensor, "*station edge 2"]
    """Where edges seem to be, at which ways may turn aside; infinitely far where there are fewer
    [m]."""
    edge: Float[Tensor, "*station edge 2"]
    """Where they are: elsewhere, if they are seen in a mirror [m]."""
    arriving: Float[Tensor, "*station edge 2"]
    """In which direction ways from the station come to each."""
    outward: Float[Tensor, "*station edge 2"]
    """And in which direction the open is."""
    fan: Folds
    """From each edge to all sides, see `headings`; lengths count from there."""
    lit: Int[Tensor, "*station cell cell"]
    """By how many bounces waves reach each square round the station, x by y; `DARK`: by none."""
    height: Float[Tensor, "*station"]
    """Of the users that the ways lead to (z in the scene) [m]."""

    @staticmethod
    def stack(parts: Sequence[Echoes]) -> Echoes:
        """Those of several stations in rows."""
        ways, fan = Folds.stack([p.ways for p in parts]), Folds.stack([p.fan for p in parts])
        return Echoes(
            ways=ways,
            fan=fan,
            **{name: torch.stack([getattr(p, name) for p in parts]) for name in _TENSORS},
        )

    def to(self, device: torch.device) -> Echoes:
        """On a device."""
        return Echoes(
            ways=self.ways.to(device),
            fan=self.fan.to(device),
            **{name: getattr(self, name).to(device) for name in _TENSORS},
        )


_TENSORS = [field.name for field in fields(Echoes) if field.name not in ("ways", "fan")]


def headings() -> Float[Tensor, "fan 2"]:
    """In which direction each way of a fan goes on."""
    return unfolded(torch.ones(FAN), 2 * math.pi * torch.arange(FAN) / FAN)


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
    bearing = 2 * math.pi * ((torch.arange(BEARINGS) + 0.5) / BEARINGS - 0.5)
    heading = unfolded(torch.ones_like(bearing), bearing)
    ways, met = _round(walls, levels, heading, rise)
    middle = 2
    level = Folds(*(getattr(ways, f.name)[middle] for f in fields(Folds)))
    seen = [_edges(walls, level, heading, met[middle], leg) for leg in (0, 1)]
    image, edge, arriving, outward = (torch.cat(parts) for parts in zip(*seen, strict=True))
    order = image.norm(dim=-1).argsort()[:EDGES]
    missing = EDGES - len(order)
    edge, outward = edge[order], outward[order]

    def filled(part: Float[Tensor, "some 2"], fill: float = 0.0) -> Float[Tensor, "edge 2"]:
        return torch.cat([part, part.new_full((missing, 2), fill)])

    return Echoes(
        ways=ways,
        image=filled(image[order], torch.inf),
        edge=filled(edge),
        arriving=filled(arriving[order]),
        outward=filled(outward),
        fan=_fan(walls, levels, edge, outward, rise),
        lit=_lit(ways, heading),
        height=torch.tensor(height, dtype=torch.float64),
    )


def nearest_height(length: Float[Tensor, "*way"]) -> Int[Tensor, "*way"]:
    """Which of `HEIGHTS` is the nearest, in octaves."""
    octave = torch.log2(length.clamp(min=1e-3) / HEIGHTS[0]).round()
    return octave.clamp(0, len(HEIGHTS) - 1).long()


def nearest_bearing(bearing: Float[Tensor, "*way"]) -> Int[Tensor, "*way"]:
    """Which of `BEARINGS` is the nearest."""
    step = torch.floor((bearing / (2 * math.pi) + 0.5) * BEARINGS)
    return step.long().remainder(BEARINGS)


def square(place: Float[Tensor, "*point 2"]) -> Int[Tensor, "*point"]:
    """The square of `lit`, counted through, in which a place is; -1 beyond all."""
    cell = torch.floor(place / CELL) + CELLS // 2
    beyond = ((cell < 0) | (cell >= CELLS)).any(-1)
    return (cell[..., 0] * CELLS + cell[..., 1]).masked_fill(beyond, -1).long()


def _round(
    walls: Float[Tensor, "wall 2 2"],
    levels: Float[Tensor, "wall 2"],
    heading: Float[Tensor, "way 2"],
    rise: float,
) -> tuple[Folds, Int[Tensor, "height way leg"]]:
    """Ways to all sides for each of `HEIGHTS`, and the walls that they meet."""
    # Where no roof is below both ends no way passes over one: all heights are alike.
    low = bool((levels[:, 1] < max(0.0, rise)).any())
    count = len(HEIGHTS) if low else 1
    falling = (rise / torch.tensor(HEIGHTS[:count])).repeat_interleave(len(heading))
    begun = torch.zeros_like(falling)
    start = torch.zeros(len(falling), 2)
    ways, met = follow(walls, levels, start, heading.repeat(count, 1), falling, begun, BOUNCES)

    def rows(part: Tensor) -> Tensor:
        shaped = part.view(count, len(heading), *part.shape[1:])
        return shaped.expand(len(HEIGHTS), *shaped.shape[1:]).contiguous()

    return Folds(*(rows(getattr(ways, f.name)) for f in fields(Folds))), rows(met)


def _edges(
    walls: Float[Tensor, "wall 2 2"],
    ways: Folds,
    heading: Float[Tensor, "way 2"],
    met: Int[Tensor, "way leg"],
    leg: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Edges that are seen on a leg: as `image`, `edge`, `arriving` and `outward` of `Echoes`.

    An edge is where one of two neighbouring ways passes a wall that the other meets, or where they
    meet two faces that lean away from each other.
    """
    length = ways.since[:, leg + 1]
    alike = (met[:-1, :leg] == met[1:, :leg]).all(1) & (met[:-1, leg] != met[1:, leg])
    at = torch.where(alike & torch.minimum(length[:-1], length[1:]).isfinite())[0]
    if not len(at):
        none = heading.new_zeros(0, 2)
        return none, none, none, none
    nearer = torch.where(length[at] <= length[at + 1], at, at + 1)
    other = 2 * at + 1 - nearer
    ends = walls[met[nearer, leg]]
    turn, shift = ways.turn[nearer, leg], ways.shift[nearer, leg]
    # A mirror is undone by itself turned back: its turn is orthogonal.
    images = (ends - shift[:, None]) @ turn
    middle = heading[at] + heading[at + 1]
    bearing = torch.atan2(middle[:, 1], middle[:, 0])
    off = wrap(torch.atan2(images[..., 1], images[..., 0]) - bearing[:, None]).abs()
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
    arriving = (turn @ (image / image.norm(dim=-1, keepdim=True))[..., None])[..., 0]
    fits = (off < 2 * math.pi / BEARINGS) & (passed | faced)
    return image[fits], edge[fits], arriving[fits], outward[fits]


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
) -> Folds:
    """Ways on from edges, at the users' height; filled up with none."""
    count = len(edge)
    heading = headings().repeat(count, 1)
    start = (edge + ASIDE * outward).repeat_interleave(FAN, 0)
    low = torch.full((count * FAN,), rise)
    folds, _ = follow(walls, levels, start, heading, torch.zeros_like(low), low, 1)
    inside = folds.since[:, 1] < INTO
    folds = Folds(folds.since, folds.until.masked_fill(inside, 0), folds.turn, folds.shift)

    def filled(part: Tensor) -> Tensor:
        whole = torch.cat([part, part.new_zeros((EDGES - count) * FAN, *part.shape[1:])])
        return whole.view(EDGES, FAN, *part.shape[1:])

    return Folds(*(filled(getattr(folds, f.name)) for f in fields(Folds)))


def _lit(ways: Folds, heading: Float[Tensor, "way 2"]) -> Int[Tensor, "cell cell"]:
    """By how few bounces ways that are up to `LONGEST` long reach each square."""
    length = torch.arange(CELL / 2, LONGEST, 0.75 * CELL)
    row = nearest_height(length)
    found = torch.full((CELLS * CELLS + 1,), DARK, dtype=torch.uint8)
    straight = length[:, None, None] * heading
    own = ways[row]
    far = length[:, None].expand(-1, len(heading))
    place = own.fold(straight, far)
    bounces = own.legs(far).masked_fill(~before(own.until, far), DARK).to(torch.uint8)
    # Beyond all squares is the last one, which is left out.
    cell = square(place).remainder(len(found))
    found.scatter_reduce_(0, cell.flatten(), bounces.flatten(), "amin")
    return found[:-1].view(CELLS, CELLS)
