"""The loss of the SigMap paper as published: squared, and in three dimensions (eq. 3)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from radiofix.models.heads import Estimate
from radiofix.objectives.tasks import FusedPositionTask, PositionTask
from radiofix.types import Sounding, Truth


class SquaredPositionTask(PositionTask):
    """Squared distance in three dimensions, eq. 3, in mean square deviations of the labels.

    The deviation is that of the horizontal coordinates, as in `PositionTask`: users of one height
    change nothing. Covariances are not taught.
    """

    def loss(self, output: Estimate, sounding: Sounding, truth: Truth) -> Float[Tensor, " link"]:
        """Squared distance over the squared deviation."""
        return self.label.scaled(output.position - truth.position).square().sum(-1)

    def error(self, output: Estimate, sounding: Sounding, truth: Truth) -> Float[Tensor, " link"]:
        """Distance in three dimensions, whose mean is what the paper calls MAE [m]."""
        distance: Tensor = torch.linalg.vector_norm(output.position - truth.position, dim=-1)
        return distance


class FusedSquaredPositionTask(FusedPositionTask, SquaredPositionTask):
    """Eq. 3 of the position of a user by all of its links in the batch, eq. 10."""
