"""Heads that choose among the places that a link's waves may have come from."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from radiofix.models.agreement import median
from radiofix.models.candidates import (
    BEHIND,
    FANNED,
    FEATURES,
    FOLDED,
    KINDS,
    OWN,
    STRAIGHT,
    TOLD,
    Candidates,
    agreeing,
    bounded,
    crossing,
    fanned,
    folded,
    lit,
    straight,
)
from radiofix.models.echoes import Echoes, echoes, ground
from radiofix.models.frame import REACH, FrameHead, lower_factor
from radiofix.models.heads import Estimate
from radiofix.models.incoming import Incoming, incoming
from radiofix.models.map_prompt import SiteViews, station_poses
from radiofix.models.site_map import NEAR, SiteMap
from radiofix.physics.panels import strongest_waves_of
from radiofix.types import Mixture, Sounding, Truth

FIRST_GUESS = {STRAIGHT: 3.0, FOLDED: 6.0, FANNED: -4.0}
"""By which an untrained head takes the strongest wave's folded way, else its straight one."""
FROM_BEHIND = -6.0
"""What it holds against a wave's having come from behind the station."""
A_DECADE = 4.0
"""And how much less it trusts a wave of a tenth of the strongest's amplitude."""
LAYERS = 2
"""Of comparing candidates with each other."""


class Comparing(nn.Module):
    """Changes what is thought of each candidate by itself and by all that are there."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.own = nn.Linear(width, width)
        self.all = nn.Linear(2 * width, width)

    def forward(
        self, each: Float[Tensor, "link part width"], present: Bool[Tensor, "link part"]
    ) -> Float[Tensor, "link part width"]:
        """Adds what their mean and their largest say, then what each says."""
        active, there = F.gelu(each), present[..., None]
        mean = (active * there).sum(1) / there.sum(1).clamp(min=1)
        largest = active.masked_fill(~there, -torch.inf).amax(1)
        each = each + self.all(torch.cat([mean, largest], -1))[:, None]
        changed: Tensor = each + self.own(F.gelu(each))
        return changed


class WaveHead(FrameHead):
    """Where a user stands, chosen among its waves' straight ways and the network's own place.

    A mixture: each candidate has a weight, a correction and a spread of its own. The answer is
    where the expected distance is least; the covariance is that of the whole.
    """

    def __init__(self, dim: int = 128, waves: int = 4, width: int = 64) -> None:
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
        self.weighing = nn.ModuleList(Comparing(width) for _ in range(LAYERS))
        self.verdict = nn.Sequential(nn.GELU(), nn.Linear(width, 6))
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)
        self.prior = nn.Linear(FEATURES, 1, bias=False)
        nn.init.zeros_(self.prior.weight)
        with torch.no_grad():
            self.prior.weight[0, KINDS] = A_DECADE
            self.prior.weight[0, BEHIND] = FROM_BEHIND
            for kind, logit in FIRST_GUESS.items():
                self.prior.weight[0, kind] = logit

    @property
    def last(self) -> nn.Linear:
        """The layer that says each candidate's weight, correction and spread."""
        last = self.verdict[-1]
        assert isinstance(last, nn.Linear)
        return last

    def place(self, features: Float[Tensor, "link dim"], sounding: Sounding) -> Estimate:
        """Position and covariance in the scene."""
        own = super().place(features, sounding)
        with torch.autocast(features.device.type, enabled=False):
            with torch.no_grad():
                waves = strongest_waves_of(sounding, self.waves)
                height = self.heights(sounding)
                seen = incoming(sounding, waves, height)
                found = self.candidates(sounding, seen)
            return self._chosen(own, found, features[:, :-1].float(), sounding, height)

    def heights(self, sounding: Sounding) -> Float[Tensor, " link"]:
        """Where the users of links are (z in the scene) [m]."""
        return self.height.expand(len(sounding))

    def candidates(self, sounding: Sounding, waves: Incoming) -> Candidates:
        """Where the waves of each link may have come from."""
        return agreeing(straight(waves))

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
        mine[..., TOLD["place"]] = bounded(away.detach()[:, None]).float()
        told = torch.cat([mine, found.told], 1)
        present = F.pad(found.present, (1, 0), value=True)
        each = self.of_summary(features)[:, None] + self.of_candidate(told)
        for layer in self.weighing:
            each = layer(each, present)
        verdict = self.verdict(each)
        logit = verdict[..., 0] + self.prior(told)[..., 0]
        weight = logit.masked_fill(~present, -torch.inf).log_softmax(-1).double()
        # The network's own place has a correction and a spread already.
        moved = found.place.double() + REACH * verdict[:, 1:, 1:3].double()
        place = torch.cat([away[:, None], moved], 1)
        spread = lower_factor(verdict[:, 1:, 3:].double().flatten(0, 1)).view(*moved.shape, 2)
        scale = torch.cat([own.scale[:, None], _turned(spread, turn)], 1)
        covariance = scale @ scale.mT
        place = station[:, None, :2] + place @ turn.mT
        share = weight.exp()
        # It learns by the mean, whose gradient every place shares, and answers by the median.
        level = (share[..., None] * place).sum(1)
        level = level if self.training else median(share, place, covariance)
        off = place - level[:, None]
        whole = covariance + off[..., :, None] * off[..., None, :]
        whole = (share[..., None, None] * whole).sum(1)
        mixture = Mixture(weight, place, scale)
        position = torch.cat([level, height[:, None]], -1)
        return Estimate(position, torch.linalg.cholesky(whole), mixture=mixture)


_STACKED = "stacked"
"""Under which all stations' ways are kept together."""


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

    def at(
        self, height: float, poses: Float[Tensor, "station 6"]
    ) -> tuple[Echoes, Int[Tensor, " station"]]:
        """The ways from users so high over the ground [m], and in which row each station's are."""
        kept = self.site.views
        if height != self.height:
            kept.clear()
            self.height = height
        keys = [tuple(pose) for pose in poses.tolist()]
        rows, stacked = kept.get(_STACKED, ({}, None))
        if any(key not in rows for key in keys):
            self.views(poses)
            known = [key for key in kept if isinstance(kept[key], Echoes)]
            rows = {key: row for row, key in enumerate(known)}
            stacked = Echoes.stack([kept[key] for key in known])
            kept[_STACKED] = rows, stacked
        return stacked, torch.tensor([rows[key] for key in keys], device=poses.device)


class EchoHead(WaveHead):
    """Where a user stands, chosen among what becomes of its waves' ways at the walls of the map.

    What is learnt of users' height is that over the ground round their stations, as the map has it.
    """

    def __init__(
        self, dim: int = 128, waves: int = 4, width: int = 64, radius: float = NEAR
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
        return seen.height[of]

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
        aside, circles = fanned(waves, seen, of)
        found = Candidates.join([straight(waves), folded(waves, seen, of), aside]).compact()
        return lit(agreeing(crossing(found, circles), circles), seen, of)

    def _seen(self, sounding: Sounding) -> tuple[Echoes, Int[Tensor, " link"]]:
        poses, of = station_poses(sounding)
        seen, rows = self.sights.at(float(self.height), poses)
        return seen.to(of.device), rows[of]


def _turned(
    factor: Float[Tensor, "link part 2 2"], turn: Float[Tensor, "link 2 2"]
) -> Float[Tensor, "link part 2 2"]:
    """Lower Cholesky factors of covariances that are turned, from theirs before."""
    first, second = (turn[:, None, None, row] * factor.mT for row in (0, 1))
    (a, b), (c, d) = first.sum(-1).unbind(-1), second.sum(-1).unbind(-1)
    size = (a.square() + b.square()).sqrt()
    lower = torch.stack([size, torch.zeros_like(size)], -1)
    across = torch.stack([(a * c + b * d) / size, (a * d - b * c).abs() / size], -1)
    return torch.stack([lower, across], -2)


def _level(orientation: Float[Tensor, "link 3"]) -> Float[Tensor, "link 2 2"]:
    """Turns the level frames of stations into the scene's, by their yaw."""
    cos, sin = orientation[:, 0].cos(), orientation[:, 0].sin()
    return torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], -2)
