"""From an encoder's summary to what is asked: a delay, an angle, a position (LWLM, section V)."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from radiofix.models.configuration import ConfigurationEmbedding
from radiofix.models.labels import angle_of_arrival, time_of_arrival
from radiofix.models.latent import Latent
from radiofix.models.memory import same_station
from radiofix.models.standardizer import Standardizer
from radiofix.types import Mixture, Sounding, Truth


@dataclass(frozen=True, slots=True)
class Estimate:
    """Where each link says its user is, and how much it should be believed."""

    position: Float[Tensor, "link 3"]
    """Scene frame [m]."""
    scale: Float[Tensor, "link 2 2"] | None = None
    """Lower Cholesky factor of the horizontal covariance, scene frame [m]."""
    logit: Float[Tensor, " link"] | None = None
    """Fusion attention of eq. 28 before the softmax over a user's links."""
    mixture: Mixture | None = None
    """What position and covariance sum up, where a head weighs several places."""


class ConfiguredRegressor(nn.Module):
    """The published head: the configuration's embedding added to the LST, then two layers.

    67,330 parameters at two outputs and a width of 256, the paper's 0.07 M.
    """

    def __init__(self, dim: int, outputs: int) -> None:
        super().__init__()
        self.dim = dim
        self.configuration = ConfigurationEmbedding(dim)
        self.hidden = nn.Linear(dim, dim)
        self.output = nn.Linear(dim, outputs)

    def penultimate(self, latent: Latent, sounding: Sounding) -> Float[Tensor, "link dim"]:
        """Features x^SB in front of the last layer."""
        # In bfloat16 a position would be rounded to a few parts in a thousand of the whole area.
        with _full_precision(latent.summary):
            told = latent.summary.float() + self.configuration(sounding)
            features: Tensor = self.hidden(told)
            return features.relu()

    def last(self, features: Float[Tensor, "link dim"]) -> Float[Tensor, "link output"]:
        """Outputs without unit."""
        with _full_precision(features):
            outputs: Tensor = self.output(features)
            return outputs

    def forward(self, latent: Latent, sounding: Sounding) -> Float[Tensor, "link output"]:
        """Outputs without unit."""
        return self.last(self.penultimate(latent, sounding))


class SightHead(nn.Module, ABC):
    """One number of each link whose user sees the station, on the scale of the labels."""

    def __init__(self, dim: int = 256) -> None:
        super().__init__()
        self.regressor = ConfiguredRegressor(dim, 1)
        self.label = Standardizer(1)

    @abstractmethod
    def quantity(
        self, sounding: Sounding, position: Float[Tensor, "link 3"]
    ) -> Float[Tensor, " link"]:
        """What the number ought to be."""

    def fit(self, soundings: Sequence[Sounding], truths: Sequence[Truth]) -> None:
        """Takes the scales from training batches, the number's from links with line of sight."""
        self.regressor.configuration.fit(soundings)
        pairs = zip(soundings, truths, strict=True)
        labels = [self.quantity(s, t.position)[t.line_of_sight] for s, t in pairs]
        self.label.fit(torch.cat(labels)[:, None])

    def forward(self, latent: Latent, sounding: Sounding) -> Float[Tensor, " link"]:
        """The number of each link, in its own unit."""
        number: Tensor = self.label.undo(self.regressor(latent, sounding))
        return number[:, 0]


class ToaHead(SightHead):
    """Delay of the first path of each link [s], eq. 20."""

    def quantity(
        self, sounding: Sounding, position: Float[Tensor, "link 3"]
    ) -> Float[Tensor, " link"]:
        """Delay of the straight way [s]."""
        return time_of_arrival(sounding, position)


class AoaHead(SightHead):
    """Azimuth of the first path of each link in the station's frame [rad], eq. 22; not wrapped."""

    def quantity(
        self, sounding: Sounding, position: Float[Tensor, "link 3"]
    ) -> Float[Tensor, " link"]:
        """Azimuth of the user in the station's frame [rad]."""
        return angle_of_arrival(sounding, position)


class StationHead(nn.Module, ABC):
    """A head that places a user by one station's channel, in two steps that fusion can part."""

    dim: int

    @abstractmethod
    def penultimate(self, latent: Latent, sounding: Sounding) -> Float[Tensor, "link dim"]:
        """Features x^SB of each link."""

    @abstractmethod
    def place(self, features: Float[Tensor, "link dim"], sounding: Sounding) -> Estimate:
        """The estimate that the features lead to."""

    @abstractmethod
    def fit(self, soundings: Sequence[Sounding], truths: Sequence[Truth]) -> None:
        """Takes all scales from training batches."""

    def forward(self, latent: Latent, sounding: Sounding) -> Estimate:
        """Places the user of each link, eq. 24."""
        return self.place(self.penultimate(latent, sounding), sounding)


class PositionHead(StationHead):
    """Two coordinates of each link's user, eq. 24; the height is the mean of the labels'."""

    def __init__(self, dim: int = 256) -> None:
        super().__init__()
        self.dim = dim
        self.regressor = ConfiguredRegressor(dim, 2)
        self.label = Standardizer(3)

    def penultimate(self, latent: Latent, sounding: Sounding) -> Float[Tensor, "link dim"]:
        """Features x^SB of each link."""
        return self.regressor.penultimate(latent, sounding)

    def place(self, features: Float[Tensor, "link dim"], sounding: Sounding) -> Estimate:
        """The position that the features lead to, without covariance."""
        outputs = self.regressor.last(features)
        height = outputs.new_zeros(len(outputs), 1)
        return Estimate(self.label.undo(torch.cat([outputs, height], -1)))

    def fit(self, soundings: Sequence[Sounding], truths: Sequence[Truth]) -> None:
        """Takes all scales from training batches."""
        self.regressor.configuration.fit(soundings)
        self.label.fit(torch.cat([t.position for t in truths]))


class OwnHeads(StationHead):
    """A head of its own for each station; a link is answered by its station's.

    Stations are known again by where they stand and look: their numbers only count the stations
    that are there, and are others where some of them are left out.
    """

    columns: Int[Tensor, " station"]
    poses: Float[Tensor, "station 6"]

    def __init__(self, heads: Sequence[StationHead], stations: Sequence[int]) -> None:
        """Takes its heads.

        Args:
            heads: as many as stations.
            stations: their numbers in the training links.
        """
        super().__init__()
        self.dim = heads[0].dim
        self.heads = nn.ModuleList(heads)
        self.register_buffer("columns", torch.tensor(list(stations)))
        unknown = torch.full((len(heads), 6), torch.nan, dtype=torch.float64)
        self.register_buffer("poses", unknown)

    def penultimate(self, latent: Latent, sounding: Sounding) -> Float[Tensor, "link dim"]:
        """Features of each link from its own station's head."""
        # Every head sees every link: cheap beside the encoder, and no head goes without gradient.
        return self._own([head.penultimate(latent, sounding) for head in self._all()], sounding)

    def place(self, features: Float[Tensor, "link dim"], sounding: Sounding) -> Estimate:
        """The position by each link's own station's head."""
        places = [head.place(features, sounding).position for head in self._all()]
        return Estimate(self._own(places, sounding))

    def fit(self, soundings: Sequence[Sounding], truths: Sequence[Truth]) -> None:
        """Takes all scales from training batches: labels belong to users, not to stations."""
        pose = torch.cat([sounding.station_pose for sounding in soundings])
        number = torch.cat([sounding.station for sounding in soundings])
        for row, column in enumerate(self.columns):
            mine = pose[number == column]
            if len(mine):
                self.poses[row] = mine[0]
        twice = same_station(self.poses, self.poses).sum(1) > 1
        if bool(twice.any()):
            raise ValueError(
                f"stations {self.columns[twice].tolist()} stand and look alike, so that none can "
                "have a head of its own: share one head"
            )
        for head in self._all():
            head.fit(soundings, truths)

    def _all(self) -> list[StationHead]:
        return [head for head in self.heads if isinstance(head, StationHead)]

    def _own(self, answers: list[Tensor], sounding: Sounding) -> Float[Tensor, "link answer"]:
        pose = sounding.station_pose
        owner = same_station(pose, self.poses)
        known = owner.any(-1)
        if not bool(known.all()):
            met = self.poses[self.poses.isfinite().all(-1)]
            stranger, *taught = (_told(p) for p in (pose[~known][0], *met))
            raise ValueError(
                f"the station at {stranger} has no head of its own, only those at "
                f"{', '.join(taught)} have: leave its links out, or share one head"
            )
        return torch.stack(answers, 1).masked_fill(~owner[..., None], 0).sum(1)


def _told(pose: Float[Tensor, "6"]) -> str:
    x, y, z, yaw = pose[:4].tolist()
    return f"({x:.1f}, {y:.1f}, {z:.1f}) looking to {math.degrees(yaw):.0f} degrees"


class DedicatedPositionHeads(OwnHeads):
    """A `PositionHead` for each station, as published in section V-D."""

    def __init__(self, stations: Sequence[int], dim: int = 256) -> None:
        super().__init__([PositionHead(dim) for _ in stations], stations)


class AskingHead(nn.Module):
    """A head that asks where a station's own head puts each user, and makes something of it."""

    def __init__(self, estimator: StationHead) -> None:
        super().__init__()
        self.estimator = estimator

    def fit(self, soundings: Sequence[Sounding], truths: Sequence[Truth]) -> None:
        """Takes all scales from training batches."""
        self.estimator.fit(soundings, truths)


class ImpliedHead(AskingHead, ABC):
    """The number of a link that its user's estimated position implies; no weights of its own.

    What was learnt of positions, without a label even, then serves times and angles of arrival.
    """

    @abstractmethod
    def quantity(
        self, sounding: Sounding, position: Float[Tensor, "link 3"]
    ) -> Float[Tensor, " link"]:
        """The number of links whose users stand there."""

    def forward(self, latent: Latent, sounding: Sounding) -> Float[Tensor, " link"]:
        """The number of each link, in its own unit."""
        return self.quantity(sounding, self.estimator(latent, sounding).position)


class ImpliedToaHead(ImpliedHead):
    """Delay of the first path of each link by its user's position [s]."""

    def quantity(
        self, sounding: Sounding, position: Float[Tensor, "link 3"]
    ) -> Float[Tensor, " link"]:
        """Delay of the straight way [s]."""
        return time_of_arrival(sounding, position)


class ImpliedAoaHead(ImpliedHead):
    """Azimuth of the first path of each link in the station's frame by its position [rad]."""

    def quantity(
        self, sounding: Sounding, position: Float[Tensor, "link 3"]
    ) -> Float[Tensor, " link"]:
        """Azimuth of the user in the station's frame [rad]."""
        return angle_of_arrival(sounding, position)


class FusionHead(AskingHead):
    """Each station's own estimate with its attention logit, eq. 26 and 28; `fuse` joins them.

    The estimator is a `PositionHead` shared by all stations or `DedicatedPositionHeads`. Stations
    are dropped by leaving their links out.
    """

    def __init__(self, estimator: StationHead, width: int = 64) -> None:
        super().__init__(estimator)
        self.attention = nn.Sequential(
            nn.Linear(estimator.dim, width), nn.ReLU(), nn.Linear(width, 1)
        )

    def forward(self, latent: Latent, sounding: Sounding) -> Estimate:
        """One estimate a link: what an edge device would send to where fusion happens."""
        features = self.estimator.penultimate(latent, sounding)
        with _full_precision(features):
            logit: Tensor = self.attention(features.float())
        return replace(self.estimator.place(features, sounding), logit=logit[:, 0])


def fuse(
    estimate: Estimate, user: Int[Tensor, " link"]
) -> tuple[Float[Tensor, "user 3"], Float[Tensor, " link"]]:
    """Positions of the distinct users, in ascending order, and each link's weight, eq. 27 and 28.

    Args:
        estimate: of all links of the users, made wherever and in any order, logits included.
        user: that each link belongs to.
    """
    if estimate.logit is None:
        raise ValueError("these estimates have no logit to fuse by: make them with a FusionHead")
    distinct, group = torch.unique(user, return_inverse=True)
    logit = estimate.logit.to(estimate.position.dtype)
    lowest = torch.full((len(distinct),), -torch.inf, dtype=logit.dtype, device=logit.device)
    highest = lowest.scatter_reduce(0, group, logit.detach(), "amax")
    share = (logit - highest[group]).exp()
    total = torch.zeros_like(highest).index_add(0, group, share)
    weight = share / total[group]
    weighted = weight[:, None] * estimate.position
    position = weighted.new_zeros(len(distinct), 3).index_add(0, group, weighted)
    return position, weight


def _full_precision(tensor: Tensor) -> torch.autocast:
    return torch.autocast(tensor.device.type, enabled=False)
