"""Low-rank updates of a network's matrices, trained in place of the matrices themselves."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import parametrize


class LowRankUpdate(nn.Module):
    """A matrix plus the product of two thin ones, of which the second starts at zero."""

    def __init__(self, weight: Float[Tensor, "out in"], rank: int, scale: float) -> None:
        super().__init__()
        if rank < 1:
            raise ValueError(f"rank must be at least 1, got {rank}")
        self.scale = scale / rank
        outputs, inputs = weight.shape
        # No matrix has a rank above its smaller side.
        rank = min(rank, outputs, inputs)
        self.down = nn.Parameter(weight.new_empty(rank, inputs))
        self.up = nn.Parameter(weight.new_zeros(outputs, rank))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    def forward(self, weight: Float[Tensor, "out in"]) -> Float[Tensor, "out in"]:
        """The updated matrix."""
        return weight + self.scale * (self.up @ self.down)


def add_low_rank(module: nn.Module, rank: int, scale: float) -> None:
    """Freezes a module and gives an update to every matrix of its linear and attention layers."""
    module.requires_grad_(False)
    for layer in list(module.modules()):
        for name in _matrices(layer):
            weight = getattr(layer, name)
            parametrize.register_parametrization(layer, name, LowRankUpdate(weight, rank, scale))


@torch.no_grad()
def merge_low_rank(module: nn.Module) -> None:
    """Makes the updates part of the matrices: the same outputs, the module's own parameters."""
    for layer in list(module.modules()):
        for name in _matrices(layer):
            if parametrize.is_parametrized(layer, name):
                parametrize.remove_parametrizations(layer, name, leave_parametrized=True)


def _matrices(layer: nn.Module) -> tuple[str, ...]:
    """Names of a layer's own matrices; attention keeps those of query, key and value in one."""
    if isinstance(layer, nn.MultiheadAttention):
        return ("in_proj_weight",) if layer.in_proj_weight is not None else ()
    return ("weight",) if isinstance(layer, nn.Linear) else ()
