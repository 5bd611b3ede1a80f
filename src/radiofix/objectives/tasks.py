"""What a model is fine-tuned for (LWLM, section V): losses to learn by, errors to read."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from radiofix.models.heads import Estimate, fuse
from radiofix.models.labels import angle_of_arrival, time_of_arrival
from radiofix.models.standardizer import Standardizer
from radiofix.physics.rotation import wrap
from radiofix.types import SPEED_OF_LIGHT, Mixture, Sounding, Truth

OF_SURPRISE = 0.02
"""Weight of the surprise beside the distance: what both share is to learn positions first."""
OF_CHOICE = 0.1
"""The same where several places are weighed: which of them it is, is learnt by this."""


class Task(nn.Module, ABC):
    """A quantity that is asked of links. Learns nothing; keeps the scale of its loss."""

    unit: str
    """Of `error`."""
    together: bool = False
    """Whether all links of a user give one answer, which counts once in what training lowers."""

    @abstractmethod
    def usable(self, truth: Truth) -> Bool[Tensor, " link"]:
        """Links of which the quantity can be asked."""

    @abstractmethod
    def fit(self, soundings: Sequence[Sounding], truths: Sequence[Truth]) -> None:
        """Takes the scale of the loss from training batches."""

    @abstractmethod
    def loss(self, output: Any, sounding: Sounding, truth: Truth) -> Float[Tensor, " link"]:
        """What training lowers, in deviations of the training labels."""

    @abstractmethod
    def error(self, output: Any, sounding: Sounding, truth: Truth) -> Float[Tensor, " link"]:
        """How far off each link is, in `unit`."""


class SightTask(Task):
    """A number that is asked of links with line of sight; its loss is in the labels' deviations."""

    def __init__(self) -> None:
        super().__init__()
        self.label = Standardizer(1)

    @abstractmethod
    def quantity(self, sounding: Sounding, truth: Truth) -> Float[Tensor, " link"]:
        """The label of each link."""

    def away(
        self, output: Float[Tensor, " link"], sounding: Sounding, truth: Truth
    ) -> Float[Tensor, " link"]:
        """How far off each link is, in the number's own unit."""
        return output - self.quantity(sounding, truth)

    def usable(self, truth: Truth) -> Bool[Tensor, " link"]:
        """Links with line of sight."""
        return truth.line_of_sight

    def fit(self, soundings: Sequence[Sounding], truths: Sequence[Truth]) -> None:
        """Takes the deviation of the labels of links with line of sight."""
        pairs = zip(soundings, truths, strict=True)
        self.label.fit(torch.cat([self.quantity(s, t)[self.usable(t)] for s, t in pairs])[:, None])

    def loss(
        self, output: Float[Tensor, " link"], sounding: Sounding, truth: Truth
    ) -> Float[Tensor, " link"]:
        """Absolute error over the deviation."""
        return self.label.scaled(self.away(output, sounding, truth)[:, None])[:, 0].abs()


class ToaTask(SightTask):
    """Delay of the straight way, eq. 21: absolute error in deviations of the labels' delays."""

    unit = "m"

    def quantity(self, sounding: Sounding, truth: Truth) -> Float[Tensor, " link"]:
        """Delay of the straight way [s]."""
        return time_of_arrival(sounding, truth.position)

    def error(
        self, output: Float[Tensor, " link"], sounding: Sounding, truth: Truth
    ) -> Float[Tensor, " link"]:
        """Absolute error times the speed of light [m]."""
        return SPEED_OF_LIGHT * self.away(output, sounding, truth).abs()


class AoaTask(SightTask):
    """Azimuth in the station's frame, eq. 23: wrapped error in deviations of the labels'."""

    unit = "degrees"

    def quantity(self, sounding: Sounding, truth: Truth) -> Float[Tensor, " link"]:
        """Azimuth of the user in the station's frame [rad]."""
        return angle_of_arrival(sounding, truth.position)

    def away(
        self, output: Float[Tensor, " link"], sounding: Sounding, truth: Truth
    ) -> Float[Tensor, " link"]:
        """How far off each link is, the short way round [rad]."""
        return wrap(super().away(output, sounding, truth))

    def error(
        self, output: Float[Tensor, " link"], sounding: Sounding, truth: Truth
    ) -> Float[Tensor, " link"]:
        """Wrapped absolute error [degrees]."""
        return self.away(output, sounding, truth).abs().rad2deg()


class PositionTask(Task):
    """Horizontal distance, eq. 25, in root mean square deviations of the labels' coordinates.

    One scale for both coordinates: a distance stays a distance. An estimate with a covariance
    adds its surprise at the error, which teaches the covariance and leaves
    the position to eq. 25; one that weighs several places adds theirs, which teaches to choose.
    """

    unit = "m"

    def __init__(self) -> None:
        super().__init__()
        self.label = Standardizer(1)

    def usable(self, truth: Truth) -> Bool[Tensor, " link"]:
        """All links whose user's position is known."""
        return truth.position.isfinite().all(-1)

    def fit(self, soundings: Sequence[Sounding], truths: Sequence[Truth]) -> None:
        """Takes the deviation of the horizontal coordinates, both together.

        Of the users, or of their ways from their stations: in scenes that lie kilometres apart in
        one store only these are as long as an error may be.
        """
        chosen = [self.usable(truth) for truth in truths]
        users = [t.position[own, :2] for t, own in zip(truths, chosen, strict=True)]
        stations = [s.station_position[own, :2] for s, own in zip(soundings, chosen, strict=True)]
        ways = torch.cat([u - s for u, s in zip(users, stations, strict=True)])
        spread = [(at - at.mean(0)).reshape(-1, 1) for at in (torch.cat(users), ways)]
        self.label.fit(min(spread, key=lambda at: float(at.square().mean())))

    def loss(self, output: Estimate, sounding: Sounding, truth: Truth) -> Float[Tensor, " link"]:
        """Horizontal distance over the deviation; with a covariance, and its surprise."""
        away = self.label.scaled(_horizontal(output, truth))
        distance: Tensor = torch.linalg.vector_norm(away, dim=-1)
        if output.scale is None:
            return distance
        if output.mixture is not None:
            return distance + OF_CHOICE * self._choice(output.mixture, truth)
        factor = self.label.scaled(output.scale.to(away.dtype))
        return distance + OF_SURPRISE * surprise(away.detach(), factor)

    def _choice(self, mixture: Mixture, truth: Truth) -> Float[Tensor, " link"]:
        """The surprise of a mixture: of all its places, each as probable as it is held to be."""
        away = self.label.scaled(mixture.place - truth.position[:, None, :2])
        factor = self.label.scaled(mixture.scale.to(away.dtype))
        each = surprise(away.flatten(0, 1), factor.flatten(0, 1)).view_as(mixture.weight)
        return -torch.logsumexp(mixture.weight.to(away.dtype) - each, -1)

    def error(self, output: Estimate, sounding: Sounding, truth: Truth) -> Float[Tensor, " link"]:
        """Horizontal distance [m]."""
        distance: Tensor = torch.linalg.vector_norm(_horizontal(output, truth), dim=-1)
        return distance


class FusedPositionTask(PositionTask):
    """The position of a user by all of its links in the batch, eq. 27: each link stands for it."""

    together = True

    def loss(self, output: Estimate, sounding: Sounding, truth: Truth) -> Float[Tensor, " link"]:
        """Horizontal distance of the user's fused position over the deviation."""
        return super().loss(_spread(output, sounding), sounding, truth)

    def error(self, output: Estimate, sounding: Sounding, truth: Truth) -> Float[Tensor, " link"]:
        """Horizontal distance of the user's fused position [m]."""
        return super().error(_spread(output, sounding), sounding, truth)


def surprise(
    error: Float[Tensor, "link 2"], scale: Float[Tensor, "link 2 2"]
) -> Float[Tensor, " link"]:
    """Negative log-likelihood of each error under mean 0 and covariance L L^T [nat].

    The density falls with exp(-sqrt(3) |L^-1 e|), not with its square: positions now and then are
    far off, and under a normal distribution one such user would outweigh all others of its batch.
    """
    # Written out: a solver for triangles of two rows takes ten times as long.
    east, north = scale[..., 0, 0], scale[..., 1, 1]
    first = error[..., 0] / east
    second = (error[..., 1] - scale[..., 1, 0] * first) / north
    volume = east.log() + north.log()
    # The norm's slope at 0 is undefined: a user met exactly must not give NaN.
    length: Tensor = (first.square() + second.square() + 1e-12).sqrt()
    return math.sqrt(3) * length + volume + math.log(2 * math.pi / 3)


def _horizontal(output: Estimate, truth: Truth) -> Float[Tensor, "link 2"]:
    return (output.position - truth.position)[:, :2]


def _spread(output: Estimate, sounding: Sounding) -> Estimate:
    """Each link's estimate replaced by its user's fused position."""
    position, _ = fuse(output, sounding.user)
    group = torch.unique(sounding.user, return_inverse=True)[1]
    return replace(output, position=position[group], scale=None, logit=None, mixture=None)
