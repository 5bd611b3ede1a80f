"""Objectives that teach a head to place users, so that it does before any label is there."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from radiofix.models.heads import StationHead
from radiofix.models.latent import Latent
from radiofix.objectives.objective import Objective, Prepared
from radiofix.objectives.tasks import surprise


class Placing(Objective):
    """Position and covariance by the head that is fine-tuned later; the target is a position."""

    def __init__(self, head: StationHead) -> None:
        super().__init__()
        self.head = head

    def forward(self, latents: Sequence[Latent], prepared: Prepared) -> Tensor:
        """Error over the stated one, and the stated covariance's surprise at the error.

        Links whose target is NaN teach nothing.
        """
        (latent,), (sounding,), (position,) = latents, prepared.soundings, prepared.targets
        estimate = self.head(latent, sounding)
        if estimate.scale is None:
            raise ValueError(
                f"{type(self.head).__name__} states no covariance: use a head that does, FrameHead"
            )
        known = position[:, :2].isfinite().all(-1)
        away = (estimate.position - torch.where(known[:, None], position, 0.0))[:, :2]
        away = torch.where(known[:, None], away, 0.0)
        loss = relative(away, estimate.scale) + surprise(away.detach(), estimate.scale)
        # Over all links, not the known ones: processes that share a batch agree on the divisor.
        mean: Tensor = torch.where(known, loss, 0.0).float().mean()
        return mean


def relative(
    away: Float[Tensor, "link 2"], scale: Float[Tensor, "link 2 2"]
) -> Float[Tensor, " link"]:
    """Each error over the deviation that is stated for it.

    A share of the stated error, not of the distance: weights that follow from the channel alone
    leave the best answer where it is, those of the unknown distance pull it inward.
    """
    stated = scale.detach().square().sum((1, 2)).sqrt()
    length: Tensor = (away.square().sum(-1) + 1e-12).sqrt()
    return length / stated
