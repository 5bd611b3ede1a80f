"""Places that a link's waves may have come from, and what a network is told of each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import accumulate

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from radiofix.models.circles import Circles
from radiofix.models.echoes import (
    BOUNCES,
    DARK,
    FAN,
    Echoes,
    headings,
    nearest_bearing,
    nearest_height,
    square,
)
from radiofix.models.folds import before, unfolded
from radiofix.models.frame import FAR
from radiofix.models.incoming import Incoming
from radiofix.physics.rotation import wrap

OWN, STRAIGHT, FOLDED, FANNED = range(4)
"""Kinds of candidates: the network's own, and what became of a wave's straight way."""
KINDS = 4
AGREEING = (2.0, 8.0, 30.0)
"""Distances within which candidates of different waves bear each other out [m]."""
OTHERS = 2
"""Waves of which it is told how near they come: those that come nearest."""
_WIDTHS = {
    "kind": KINDS,
    "wave": 6,
    "place": 3,
    "bounces": BOUNCES + 1,
    "known": 1,
    "aside": 5,
    "light": DARK + 1,
    "agreeing": OTHERS * len(AGREEING),
}
_ENDS = dict(zip(_WIDTHS, accumulate(_WIDTHS.values()), strict=True))
TOLD = {name: slice(_ENDS[name] - width, _ENDS[name]) for name, width in _WIDTHS.items()}
"""Where the numbers are that a network is told of a candidate."""
FEATURES = sum(_WIDTHS.values())
BEHIND = TOLD["wave"].start + 3
"""Where it is told whether a wave comes from behind."""
MISSED = math.radians(4.0)
"""An edge further beside a wave's bearing is none of its own [rad]."""
NEAREST = 2
"""Edges that a wave may have turned aside at: those that it misses the least."""
BENT = 3.8
"""Brings the logarithms of what waves lose at edges to about 0."""
GRAZING = 0.02
"""Sine of half the angle below which a wave that turns aside loses no less."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """Places where the user of each link may be, in its station's frame, level."""

    place: Float[Tensor, "link candidate 2"]
    """[m]."""
    told: Float[Tensor, "link candidate feature"]
    """What a network is told of each, as bounded numbers."""
    wave: Int[Tensor, "link candidate"]
    """Which wave each is of."""
    present: Bool[Tensor, "link candidate"]
    circle: Int[Tensor, "link candidate"]
    """That it is on, round an edge; -1: on none."""

    @staticmethod
    def join(parts: Sequence[Candidates]) -> Candidates:
        """Those of all parts."""
        return Candidates(
            *(torch.cat([getattr(p, f.name) for p in parts], 1) for f in fields(Candidates))
        )

    def compact(self) -> Candidates:
        """Those that are there first, and no more than the link that has the most needs."""
        order, _ = _first(self.present)

        def chosen(part: Tensor) -> Tensor:
            index = order.view(*order.shape, *[1] * (part.dim() - 2))
            return part.gather(1, index.expand(*order.shape, *part.shape[2:]))

        return Candidates(*(chosen(getattr(self, f.name)) for f in fields(Candidates)))


def straight(waves: Incoming) -> Candidates:
    """Where each wave would come from without walls."""
    place = unfolded(waves.level, waves.bearing)
    return _candidates(waves, STRAIGHT, place[:, :, None], present=waves.present[:, :, None])


def folded(waves: Incoming, seen: Echoes, of: Int[Tensor, " link"]) -> Candidates:
    """Where each wave has come from if walls are mirrors."""
    own = seen.ways[of[:, None], nearest_height(waves.level), nearest_bearing(waves.bearing)]
    level = waves.level.float()
    place = own.fold(unfolded(level, waves.bearing.float()), level)
    bounces = F.one_hot(own.legs(level), BOUNCES + 1).float()
    alive = before(own.until, level)
    told = torch.cat([bounces, alive.float()[..., None]], -1)
    # Where no wall is met it is the straight way once more.
    present = waves.present & (own.legs(level) > 0)
    return _candidates(
        waves, FOLDED, place[:, :, None], told[:, :, None], present=present[:, :, None]
    )


def fanned(waves: Incoming, seen: Echoes, of: Int[Tensor, " link"]) -> tuple[Candidates, Circles]:
    """Where each wave has come from if it turned aside at one of the edges nearest to its bearing.

    And the circles on which that is, as long as nothing is in the way.
    """
    images = seen.image[of]
    away = images.norm(dim=-1)
    bearing = torch.atan2(images[..., 1], images[..., 0])
    missed = wrap(bearing[:, None] - waves.bearing.float()[..., None]).abs()
    level = waves.level.float()
    missed = torch.where(away[:, None] < level[..., None], missed, torch.inf)
    missed, which = missed.topk(NEAREST, dim=-1, largest=False)
    rows = of[:, None, None]
    # Where there are fewer edges the others are infinitely far: their numbers must stay numbers.
    before_edge = torch.minimum(away.gather(1, which.flatten(1)).view_as(missed), level[..., None])
    left = (level[..., None] - before_edge).clamp(min=0)
    edge, arriving, outward = (t[rows, which] for t in (seen.edge, seen.arriving, seen.outward))
    near = waves.present[..., None] & (missed < MISSED)
    own = seen.fan[rows, which]
    heading = headings().to(level.device)
    length = left[..., None].expand(*left.shape, FAN)
    place = own.fold(edge[..., None, :] + length[..., None] * heading, length)
    bounced = F.one_hot(own.legs(length), BOUNCES + 1).float()
    alive = before(own.until, length)
    cosine = arriving @ heading.T
    # How far a wave bends toward the house: beyond its shadow's border, else not as far.
    sine = _cross(arriving[..., None, :], heading)
    aside = sine * _cross(outward, arriving).sign()[..., None]
    half = ((1 - cosine) / 2).clamp(min=GRAZING**2).sqrt()
    spread = (before_edge * left * level[..., None]).clamp(min=1).sqrt()
    lost = torch.log10((waves.size.float()[..., None] * spread).clamp(min=1e-12))[..., None]
    lost = (lost + torch.log10(half) + BENT).clamp(-3, 3)
    off = (missed / MISSED).clamp(max=1)[..., None].expand_as(aside)
    turned = torch.stack([cosine, aside, length / FAR, off, lost], -1)
    told = torch.cat([bounced, alive.float()[..., None], turned], -1)
    present = near[..., None] & alive
    circles = Circles(
        edge.flatten(1, 2),
        left.flatten(1),
        own.since[..., 1].flatten(1, 2),
        waves.number.repeat_interleave(NEAREST),
        near.flatten(1),
    )
    place = torch.where(present[..., None], place, 0.0)
    found = _candidates(waves, FANNED, place.flatten(2, 3), told.flatten(2, 3), present.flatten(2))
    circle = torch.arange(circles.radius.shape[1], device=level.device).repeat_interleave(FAN)
    straight_on = (own.legs(length) == 0).flatten(1)
    return replace(found, circle=circle.where(straight_on, -1)), circles


def crossing(found: Candidates, circles: Circles) -> Candidates:
    """Moves who is on a circle to where the nearest of another wave crosses it."""
    moved = circles.crossed(found.place, found.circle.clamp(min=0))
    chosen = (found.circle >= 0) & found.present
    place = torch.where(chosen[..., None], moved, found.place)
    return _told(replace(found, place=place), "place", bounded(place))


def likelier_side(ways: Candidates) -> Int[Tensor, " link"]:
    """Of the sides of one wave the front, unless its way meets a wall and that behind none."""
    straight_on = ways.told[..., TOLD["bounces"]][..., 0] > 0
    return (straight_on[:, 1] & ~straight_on[:, 0]).long()


def agreeing(found: Candidates, circles: Circles | None = None) -> Candidates:
    """Tells of each candidate how near other waves come: their ends, and circles round edges."""
    waves = int(found.wave.max()) + 1
    if circles is not None:
        waves = max(waves, int(circles.wave.max()) + 1)
    apart = _apart(found, waves)
    if circles is not None:
        apart = torch.minimum(apart, _beside(found, circles, waves))
    own = F.one_hot(found.wave, waves).bool()
    apart = apart.masked_fill(own, torch.inf)
    apart = F.pad(apart, (0, OTHERS), value=torch.inf).topk(OTHERS, dim=-1, largest=False).values
    near = torch.cat([torch.exp(-apart / reach) for reach in AGREEING], -1)
    return _told(found, "agreeing", near)


def lit(found: Candidates, seen: Echoes, of: Int[Tensor, " link"]) -> Candidates:
    """Tells of each candidate by how many bounces waves reach its place, if they do.

    Who stands in sight is heard straight: a wave that bends comes from where it is dark.
    """
    cell = square(found.place)
    squares = seen.lit.flatten(-2)[of]
    bounces = squares.gather(1, cell.clamp(min=0)).long().masked_fill(cell < 0, DARK)
    return _told(found, "light", F.one_hot(bounces, DARK + 1).float())


def bounded(place: Float[Tensor, "*any 2"]) -> Float[Tensor, "*any 3"]:
    """A place in plan as a network is told it."""
    return torch.cat([place / FAR, place.norm(dim=-1, keepdim=True).clamp(min=1).log10()], -1)


def _told(
    found: Candidates, name: str, numbers: Float[Tensor, "link candidate number"]
) -> Candidates:
    """The same candidates, other numbers told of one thing."""
    where = TOLD[name]
    earlier, later = found.told[..., : where.start], found.told[..., where.stop :]
    return replace(found, told=torch.cat([earlier, numbers, later], -1))


def _first(
    present: Bool[Tensor, "link candidate"],
) -> tuple[Int[Tensor, "link some"], Bool[Tensor, "link some"]]:
    """Which are there, no more than the link that has the most needs; and where there are as many.

    At least one, whether it is there or not.
    """
    most = max(1, int(present.sum(1).max())) if len(present) else 1
    order = present.to(torch.uint8).argsort(dim=1, descending=True, stable=True)[:, :most]
    return order, present.gather(1, order)


def _apart(found: Candidates, waves: int) -> Float[Tensor, "link candidate wave"]:
    """How near the ends of each wave come to each candidate, those of its fans left out [m]."""
    ends = found.present & (found.told[..., :KINDS].argmax(-1) != FANNED)
    order, there = _first(ends)
    place = found.place.gather(1, order[..., None].expand(-1, -1, 2))
    wave = found.wave.gather(1, order)
    apart = torch.cdist(found.place, place, compute_mode="donot_use_mm_for_euclid_dist")
    apart = apart.masked_fill(~there[:, None], torch.inf)
    nearest = apart.new_full((*apart.shape[:2], waves), torch.inf)
    return nearest.scatter_reduce(-1, wave[:, None].expand_as(apart), apart, "amin")


def _beside(
    found: Candidates, circles: Circles, waves: int
) -> Float[Tensor, "link candidate wave"]:
    """How near each wave's circles come to each candidate that is seen from their centres [m]."""
    off = circles.off(found.place).abs()
    nearest = off.new_full((*off.shape[:2], waves), torch.inf)
    reached: Tensor = nearest.scatter_reduce(-1, circles.wave.expand_as(off), off, "amin")
    return reached


def _cross(first: Float[Tensor, "*any 2"], second: Float[Tensor, "*any 2"]) -> Tensor:
    """The sine from one direction to another."""
    return first[..., 0] * second[..., 1] - first[..., 1] * second[..., 0]


def _candidates(
    waves: Incoming,
    kind: int,
    place: Float[Tensor, "link wave way 2"],
    own: Float[Tensor, "link wave way told"] | None = None,
    present: Bool[Tensor, "link wave way"] | None = None,
) -> Candidates:
    """Candidates of one kind, with all features; those that the kind has not are 0."""
    links, count, ways = place.shape[:3]
    kinds = F.one_hot(torch.tensor(kind, device=place.device), KINDS).float()
    own = waves.told.new_zeros(links, count, ways, 0) if own is None else own
    told = torch.cat(
        [
            kinds.expand(links, count, ways, KINDS),
            waves.told[:, :, None].expand(-1, -1, ways, -1),
            bounded(place).float(),
            own,
        ],
        -1,
    )
    told = F.pad(told, (0, FEATURES - told.shape[-1]))
    assert present is not None
    wave = waves.number.repeat_interleave(ways).expand(links, -1)
    return Candidates(
        place.flatten(1, 2).float(),
        told.flatten(1, 2),
        wave,
        present.flatten(1, 2),
        torch.full_like(wave, -1),
    )
