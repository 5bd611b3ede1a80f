"""Places that a link's waves may have come from, and what a network is told of each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from radiofix.models.echoes import (
    BOUNCES,
    FAN,
    Echoes,
    Folds,
    before,
    nearest_bearing,
    nearest_height,
    unfolded,
)
from radiofix.models.frame import FAR
from radiofix.physics.cones import level_azimuths
from radiofix.physics.rotation import wrap
from radiofix.physics.strongest import Wave
from radiofix.types import Sounding

OWN, STRAIGHT, FOLDED, FANNED = range(4)
"""Kinds of candidates: the network's own, and what became of a wave's straight way."""
KINDS = 4
AGREEING = (3.0, 10.0, 30.0)
"""Distances within which candidates of different waves bear each other out [m]."""
OF_WAVE, OF_PLACE = 5, 3
"""Numbers that are told of a candidate's wave, after its kind, and then of its place."""
TOLD_PLACE = slice(KINDS + OF_WAVE, KINDS + OF_WAVE + OF_PLACE)
FEATURES = KINDS + OF_WAVE + OF_PLACE + (BOUNCES + 1) + 1 + 4 + len(AGREEING)
MISSED = math.radians(4.0)
"""An edge further beside a wave's bearing is none of its own [rad]."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """The waves of each link, as a station sees them."""

    level: Float[Tensor, "link wave"]
    """Length of the straight way in plan [m]."""
    bearing: Float[Tensor, "link wave"]
    """From where the station looks, to the side that is in front of it [rad]."""
    told: Float[Tensor, "link wave 5"]
    """Power below the strongest, over free space, bearing, length, and behind the first."""
    present: Bool[Tensor, "link wave"]


@dataclass(frozen=True, slots=True)
class Candidates:
    """Places where the user of each link may be, in its station's frame, level."""

    place: Float[Tensor, "link candidate 2"]
    """[m]."""
    told: Float[Tensor, "link candidate feature"]
    """What a network is told of each, as bounded numbers."""
    wave: Int[Tensor, " candidate"]
    """Which wave each is of."""
    present: Bool[Tensor, "link candidate"]

    @staticmethod
    def join(parts: Sequence[Candidates]) -> Candidates:
        """Those of all parts; `wave` has no links."""
        return Candidates(
            *(
                torch.cat([getattr(p, f.name) for p in parts], 0 if f.name == "wave" else 1)
                for f in fields(Candidates)
            )
        )


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
    sides = wrap(sides.view(*distance.shape, 2) - pose[:, None, None, 0])
    bearing = sides.gather(-1, sides.cos().argmax(-1, keepdim=True))[..., 0]
    level = level.view_as(distance)
    strongest = power.amax(1, keepdim=True)
    present = power > 1e-3 * strongest
    first = torch.where(present, distance, torch.inf).amin(1, keepdim=True)
    decades = torch.log10((power / strongest.clamp(min=1e-30)).clamp(min=1e-3))
    free_space = torch.log10((power * distance.clamp(min=1.0)).clamp(min=1e-12))
    told = [decades, free_space + 2, bearing, level / FAR, (distance - first).clamp(0, 500) / FAR]
    return Incoming(level, bearing, torch.stack(told, -1).float(), present)


def straight(waves: Incoming) -> Candidates:
    """Where each wave would come from without walls."""
    place = unfolded(waves.level, waves.bearing)
    return _candidates(waves, STRAIGHT, place[:, :, None], present=waves.present[:, :, None])


def folded(waves: Incoming, seen: Sequence[Echoes], of: Int[Tensor, " link"]) -> Candidates:
    """Where each wave has come from if walls are mirrors."""
    ways = _stacked([one.ways for one in seen], waves.level.device)
    own = ways[of[:, None], nearest_height(waves.level), nearest_bearing(waves.bearing)]
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


def fanned(waves: Incoming, seen: Sequence[Echoes], of: Int[Tensor, " link"]) -> Candidates:
    """Where each wave has come from if it turned aside at the edge nearest to its bearing."""
    device = waves.level.device
    image, edge, heading = (
        torch.stack([getattr(one, name) for one in seen]).to(device)
        for name in ("image", "edge", "heading")
    )
    fan = _stacked([one.fan for one in seen], device)
    images = image[of]
    away = images.norm(dim=-1)
    bearing = torch.atan2(images[..., 1], images[..., 0])
    missed = (bearing[:, None] - waves.bearing.float()[..., None]).abs()
    level = waves.level.float()
    missed = torch.where(away[:, None] < level[..., None], missed, torch.inf)
    missed, which = missed.min(-1)
    left = (level - away.gather(1, which)).clamp(min=0)
    rows = of[:, None]
    onward, own = heading[rows, which], fan[rows, which]
    length = left[..., None].expand(-1, -1, FAN)
    place = own.fold(edge[rows, which][:, :, None] + length[..., None] * onward, length)
    bounced = F.one_hot(own.legs(length), BOUNCES + 1).float()
    alive = before(own.until, length)
    near = missed < MISSED
    toward = unfolded(torch.ones_like(level), waves.bearing.float())
    cosine = (onward * toward[:, :, None]).sum(-1)
    sine = toward[:, :, None, 0] * onward[..., 1] - toward[:, :, None, 1] * onward[..., 0]
    turned = [cosine, sine, length / FAR, (missed / MISSED).clamp(max=1)[..., None].expand_as(sine)]
    told = torch.cat([bounced, alive.float()[..., None], torch.stack(turned, -1)], -1)
    present = (waves.present & near)[..., None] & alive
    place = torch.where(present[..., None], place, 0.0)
    return _candidates(waves, FANNED, place, told, present)


def agreeing(found: Candidates) -> Candidates:
    """Tells of each candidate how near candidates of other waves are."""
    apart = torch.cdist(found.place.float(), found.place.float())
    other = found.wave[:, None] != found.wave
    apart = torch.where(other & found.present[:, None], apart, torch.inf).amin(-1)
    near = [torch.exp(-apart / reach) for reach in AGREEING]
    told = torch.cat([found.told[..., : -len(AGREEING)], torch.stack(near, -1)], -1)
    return Candidates(found.place, told, found.wave, found.present)


def bounded(place: Float[Tensor, "*any 2"]) -> Float[Tensor, "*any 3"]:
    """A place in plan as a network is told it."""
    return torch.cat([place / FAR, place.norm(dim=-1, keepdim=True).clamp(min=1).log10()], -1)


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
    wave = torch.arange(count, device=place.device).repeat_interleave(ways)
    return Candidates(place.flatten(1, 2).float(), told.flatten(1, 2), wave, present.flatten(1, 2))


def _stacked(folds: Sequence[Folds], device: torch.device) -> Folds:
    return Folds(
        *(torch.stack([getattr(one, f.name) for one in folds]).to(device) for f in fields(Folds))
    )
