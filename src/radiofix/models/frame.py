"""Positions in the station's own frame, turned into the scene: a new station costs nothing."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from radiofix.models.heads import Estimate, StationHead
from radiofix.models.latent import Latent
from radiofix.physics.rotation import rotation
from radiofix.types import HANDHELD, Sounding, Truth

REACH = 10.0
"""A network's output of 1 [m]; a unit, not a fit, so that heads fit worlds they never saw."""
FAR = 100.0
"""Scale of distances among the features [m]."""
AHEAD = 0.5
"""Where an untrained head looks: to the front."""


class FrameHead(StationHead):
    """Where the user stands from the station, with a covariance; nothing of the scene is learnt.

    The distance is the strongest wave's way, corrected; the direction is the network's own. Only
    the users' height (z in the scene) is taken from labels.
    """

    height: Float[Tensor, ""]

    def __init__(self, dim: int = 128) -> None:
        super().__init__()
        # What fusion reads: the features, and the wave's way.
        self.dim = dim + 1
        self.hidden = nn.Sequential(nn.Linear(dim, dim), nn.GELU())
        self.output = nn.Linear(dim, 6)
        self.register_buffer("height", torch.full((), HANDHELD, dtype=torch.float64))

    def penultimate(self, latent: Latent, sounding: Sounding) -> Float[Tensor, "link dim"]:
        """Features of each link, the way of its strongest wave in hundreds of metres the last."""
        summary = latent.summary.float()
        way = (
            latent.wave.range.float()
            if latent.wave is not None
            else summary.new_zeros(len(summary))
        )
        with torch.autocast(summary.device.type, enabled=False):
            return torch.cat([self.hidden(summary), way[:, None] / FAR], -1)

    def place(self, features: Float[Tensor, "link dim"], sounding: Sounding) -> Estimate:
        """Position and covariance in the scene."""
        with torch.autocast(features.device.type, enabled=False):
            output = self.output(features[:, :-1]).double()
        turn = rotation(sounding.station_orientation.double())
        toward = torch.stack([output[:, 1] + AHEAD, output[:, 2]], -1)
        toward = toward / toward.norm(dim=-1, keepdim=True).clamp(min=1e-6)
        distance = REACH * output[:, :1] + FAR * features[:, -1:].double()
        level = torch.cat([distance * toward, torch.zeros_like(distance)], -1)
        moved = (turn @ level[..., None])[..., 0] + sounding.station_position.double()
        height = self.height.expand(len(output), 1)
        scale = turn[:, :2, :2] @ lower_factor(output[:, 3:])
        covariance = scale @ scale.mT
        return Estimate(torch.cat([moved[:, :2], height], -1), torch.linalg.cholesky(covariance))

    def fit(self, soundings: Sequence[Sounding], truths: Sequence[Truth]) -> None:
        """Takes the users' mean height from training batches."""
        heights = torch.cat([t.position[:, 2] for t in truths])
        self.height.copy_(heights.double().mean())


def lower_factor(raw: Float[Tensor, "link 3"]) -> Float[Tensor, "link 2 2"]:
    """A Cholesky factor from any three numbers: deviations from 2 cm to 5 km, 10 m at 0."""
    deviation = 10 * torch.exp(6.2 * torch.tanh(raw[:, :2] / 6.2))
    factor = torch.diag_embed(deviation)
    factor[:, 1, 0] = raw[:, 2] * deviation[:, 1]
    return factor
