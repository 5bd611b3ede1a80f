"""Heads that choose among the places that a link's waves may have come from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from radiofix.models.echoes import (
    BOUNCES,
    FAN,
    Echoes,
    Folds,
    before,
    echoes,
    ground,
    nearest_bearing,
    nearest_height,
    unfolded,
)
from radiofix.models.frame import FAR, REACH, FrameHead, lower_factor
from radiofix.models.heads import Estimate, Mixture
from radiofix.models.map_prompt import SiteViews, station_poses
from radiofix.models.site_map import NEAR, SiteMap
from radiofix.physics.cones import level_azimuths
from radiofix.physics.rotation import wrap
from radiofix.physics.strongest import Wave, strongest_waves
from radiofix.types import Sounding, Truth

OWN, STRAIGHT, FOLDED, FANNED = range(4)
"""Kinds of candidates: the network's own, and what became of a wave's straight way."""
KINDS = 4
AGREEING = (3.0, 10.0, 30.0)
"""Distances within which candidates of different waves bear each other out [m]."""
FEATURES = KINDS + 5 + 3 + (BOUNCES + 1) + 1 + 4 + len(AGREEING)
FIRST_GUESS = {STRAIGHT: 3.0, FOLDED: 6.0, FANNED: -4.0}
"""By which an untrained head takes the strongest wave's folded way, else its straight one."""
A_DECADE = 4.0
"""And how much less it trusts a wave of a tenth of the strongest's amplitude."""
TURNS = 30
"""Of Weiszfeld's iteration: then places that agree to metres have been found to centimetres."""
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


class WaveHead(FrameHead):
    """Where a user stands, chosen among its waves' straight ways and the network's own place.

    A mixture: each candidate has a weight, a correction and a spread of its own. The answer is
    where the expected distance is least; the covariance is that of the whole.
    """

    def __init__(self, dim: int = 128, waves: int = 3, width: int = 64) -> None:
        """Takes its size.

        Args:
            dim: width of the encoder's summary.
            waves: of a link that are followed, the strongest first.
            width: of a candidate.
        """
        super().__init__(dim)
        if waves < 1:
            raise ValueError(f"waves={waves} must be at least 1")
        self.waves = waves
        self.of_summary = nn.Linear(dim, width)
        self.of_candidate = nn.Linear(FEATURES, width)
        self.weighing = nn.Sequential(nn.GELU(), nn.Linear(width, width), nn.GELU())
        self.verdict = nn.Linear(width, 6)
        nn.init.zeros_(self.verdict.weight)
        nn.init.zeros_(self.verdict.bias)
        self.prior = nn.Linear(FEATURES, 1, bias=False)
        nn.init.zeros_(self.prior.weight)
        with torch.no_grad():
            self.prior.weight[0, KINDS] = A_DECADE
            for kind, logit in FIRST_GUESS.items():
                self.prior.weight[0, kind] = logit

    def place(self, features: Float[Tensor, "link dim"], sounding: Sounding) -> Estimate:
        """Position and covariance in the scene."""
        own = super().place(features, sounding)
        with torch.autocast(features.device.type, enabled=False):
            with torch.no_grad():
                told = (sounding.csi, sounding.frequency, sounding.antenna)
                waves = strongest_waves(*told, self.waves)
                height = self.heights(sounding)
                seen = incoming(sounding, waves, height)
                found = agreeing(self.candidates(sounding, seen))
            return self._chosen(own, found, features[:, :-1].float(), sounding, height)

    def heights(self, sounding: Sounding) -> Float[Tensor, " link"]:
        """Where the users of links are (z in the scene) [m]."""
        return self.height.expand(len(sounding))

    def candidates(self, sounding: Sounding, waves: Incoming) -> Candidates:
        """Where the waves of each link may have come from."""
        return straight(waves)

    def _chosen(
        self,
        own: Estimate,
        found: Candidates,
        features: Float[Tensor, "link dim"],
        sounding: Sounding,
        height: Float[Tensor, " link"],
    ) -> Estimate:
        turn = _level(sounding.station_orientation.double())
        station = sounding.station_position.double()
        away = ((own.position - station)[:, None, :2] @ turn)[:, 0]
        assert own.scale is not None
        mine = torch.zeros(len(away), 1, FEATURES, device=away.device)
        mine[..., OWN] = 1.0
        mine[..., KINDS + 5 : KINDS + 8] = bounded(away.detach()[:, None]).float()
        told = torch.cat([mine, found.told], 1)
        verdict = self.verdict(
            self.weighing(self.of_summary(features)[:, None] + self.of_candidate(told))
        )
        present = F.pad(found.present, (1, 0), value=True)
        logit = verdict[..., 0] + self.prior(told)[..., 0]
        weight = logit.masked_fill(~present, -torch.inf).log_softmax(-1).double()
        # The network's own place has a correction and a spread already.
        moved = found.place.double() + REACH * verdict[:, 1:, 1:3].double()
        place = torch.cat([away[:, None], moved], 1)
        spread = lower_factor(verdict[:, 1:, 3:].double().flatten(0, 1)).view(*moved.shape, 2)
        covariance = turn[:, None] @ spread @ spread.mT @ turn[:, None].mT
        covariance = torch.cat([(own.scale @ own.scale.mT)[:, None], covariance], 1)
        place = station[:, None, :2] + place @ turn.mT
        share = weight.exp()
        # It learns by the mean, whose gradient every place shares, and answers by the median.
        level = (share[..., None] * place).sum(1)
        level = level if self.training else median(share, place, covariance)
        off = place - level[:, None]
        whole = covariance + off[..., :, None] * off[..., None, :]
        whole = (share[..., None, None] * whole).sum(1)
        mixture = Mixture(weight, place, torch.linalg.cholesky(covariance))
        position = torch.cat([level, height[:, None]], -1)
        return Estimate(position, torch.linalg.cholesky(whole), mixture=mixture)


class _Sights(SiteViews):
    """The ways of waves to each station."""

    def __init__(self, radius: float) -> None:
        super().__init__(radius)
        self.height = 0.0

    def view(self, near: SiteMap, pose: Float[Tensor, "6"]) -> Echoes:
        """The ways of waves to the station."""
        return echoes(near, pose, ground(near, pose) + self.height)

    def grounds(self, poses: Float[Tensor, "station 6"]) -> Float[Tensor, " station"]:
        """The ground round each station, of which ways need not be known [m]."""
        known = self.site.views
        for pose in poses.cpu():
            key = ("ground", *pose.tolist())
            if key not in known:
                known[key] = ground(self.site.take().around(pose[:3], self.radius), pose)
        found = [known[("ground", *pose)] for pose in poses.tolist()]
        return torch.tensor(found, dtype=torch.float64, device=poses.device)

    def at(self, height: float, poses: Float[Tensor, "station 6"]) -> list[Echoes]:
        """The ways from users so high over the ground round each station [m]."""
        if height != self.height:
            self.site.views.clear()
            self.height = height
        found: list[Echoes] = self.views(poses)
        return found


class EchoHead(WaveHead):
    """Where a user stands, chosen among what becomes of its waves' ways at the walls of the map.

    What is learnt of users' height is that over the ground round their stations, as the map has it.
    """

    def __init__(
        self, dim: int = 128, waves: int = 3, width: int = 64, radius: float = NEAR
    ) -> None:
        """Takes its size.

        Args:
            dim: width of the encoder's summary.
            waves: of a link that are followed, the strongest first.
            width: of a candidate.
            radius: of the map around a station that counts [m].
        """
        super().__init__(dim, waves, width)
        self.sights = _Sights(radius)

    def heights(self, sounding: Sounding) -> Float[Tensor, " link"]:
        """The ground round each link's station, and what users have over it [m]."""
        seen, of = self._seen(sounding)
        return torch.tensor([one.height for one in seen], dtype=torch.float64).to(of.device)[of]

    def fit(self, soundings: Sequence[Sounding], truths: Sequence[Truth]) -> None:
        """Takes the users' mean height over the ground from training batches."""
        over = []
        for sounding, truth in zip(soundings, truths, strict=True):
            poses, of = station_poses(sounding)
            over.append(truth.position[:, 2].double() - self.sights.grounds(poses)[of])
        self.height.copy_(torch.cat(over).mean())

    def candidates(self, sounding: Sounding, waves: Incoming) -> Candidates:
        """Straight ways, ways folded at walls, and ways that turn aside at edges."""
        seen, of = self._seen(sounding)
        return Candidates.join([straight(waves), folded(waves, seen, of), fanned(waves, seen, of)])

    def _seen(self, sounding: Sounding) -> tuple[list[Echoes], Int[Tensor, " link"]]:
        poses, of = station_poses(sounding)
        return self.sights.at(float(self.height), poses), of


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


def median(
    share: Float[Tensor, "link part"],
    place: Float[Tensor, "link part 2"],
    covariance: Float[Tensor, "link part 2 2"],
) -> Float[Tensor, "link 2"]:
    """Where the expected distance to a mixture's places is least, by Weiszfeld's iteration.

    Between two streets the mean stands in a house; this stands in the likelier street.
    """
    spread = covariance.diagonal(dim1=-2, dim2=-1).sum(-1)
    found = (share[..., None] * place).sum(1)
    for _ in range(TURNS):
        distance = ((place - found[:, None]).square().sum(-1) + spread).sqrt()
        pull = share / distance
        found = (pull[..., None] * place).sum(1) / pull.sum(1, keepdim=True)
    return found


def _level(orientation: Float[Tensor, "link 3"]) -> Float[Tensor, "link 2 2"]:
    """Turns the level frames of stations into the scene's, by their yaw."""
    cos, sin = orientation[:, 0].cos(), orientation[:, 0].sin()
    return torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], -2)


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
