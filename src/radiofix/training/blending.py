"""Between what a network knew and what it has learnt: weights on the straight way.

Few labels pull a pretrained network too far: it forgets of the rest of the site what it learns of
these. Weights a part of the way (WiSE-FT, Wortsman et al. 2022) keep both. Which part is asked of
validation users; no step is trained for it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Blend:
    """Weights a part of the way, and what they are worth."""

    share: float
    """Of the way: 0 is what was known, 1 what has been learnt."""
    figures: Mapping[str, float]
    """Of validation users, the first of them to be low."""
    parameters: Mapping[str, Tensor]

    @property
    def score(self) -> float:
        """The figure that decides."""
        return next(iter(self.figures.values()))


def weights(module: nn.Module) -> dict[str, Tensor]:
    """A copy of what of a module learns, by name; scales that were fitted are not among it."""
    return {name: value.detach().clone() for name, value in module.named_parameters()}


@torch.no_grad()
def blends(
    module: nn.Module,
    before: Mapping[str, Tensor],
    after: Mapping[str, Tensor],
    shares: Sequence[float],
    judge: Callable[[nn.Module], Mapping[str, float]],
) -> list[Blend]:
    """The weights at some shares of the way, judged.

    Args:
        module: that they are weights of; left as it is.
        before: weights at the beginning of the way, by name.
        after: at its end.
        shares: of the way.
        judge: figures of a module on validation users; the first decides.
    """
    tried = copy.deepcopy(module).eval()
    found = []
    for share in shares:
        between = {
            name: torch.lerp(before[name].to(value), value, share) if name in before else value
            for name, value in after.items()
        }
        take(tried, between)
        found.append(Blend(share, dict(judge(tried)), between))
    return found


@torch.no_grad()
def take(module: nn.Module, parameters: Mapping[str, Tensor]) -> None:
    """Gives a module weights by name."""
    for name, parameter in module.named_parameters():
        parameter.copy_(parameters[name])
