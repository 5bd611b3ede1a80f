"""The optimizer, which weights decay, and the moving average of all of them."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from radiofix.training.settings import Settings


@dataclass(frozen=True, slots=True)
class Group:
    """Parameters that learn at one rate."""

    parameters: tuple[tuple[nn.Module, str, nn.Parameter], ...]
    """Each with the module that owns it and its name there."""
    factor: float = 1.0
    """Of the run's rate."""


def group(module: nn.Module, factor: float = 1.0) -> Group:
    """All parameters of a module that learn."""
    return Group(tuple(owned(module)), factor)


def owned(module: nn.Module) -> Iterable[tuple[nn.Module, str, nn.Parameter]]:
    """Parameters that learn, each once, with their owner and their name there."""
    seen: set[int] = set()
    for owner in module.modules():
        for name, parameter in owner.named_parameters(recurse=False):
            if parameter.requires_grad and id(parameter) not in seen:
                seen.add(id(parameter))
                yield owner, name, parameter


def decays(owner: nn.Module, name: str, parameter: nn.Parameter) -> bool:
    """Whether weight decay applies: to matrices and kernels, not to norms, biases, embeddings."""
    return parameter.ndim >= 2 and name.endswith("weight") and not isinstance(owner, nn.Embedding)


def optimizer(groups: Iterable[Group], settings: Settings) -> torch.optim.Adam:
    """Adam over all groups, its decay as the settings have it; `set_rate` gives each its rate."""
    split = _split(groups, settings.weight_decay) if settings.decoupled else _whole(groups)
    if not split:
        raise ValueError("nothing is left to train: every parameter is frozen")
    told: dict[str, Any] = {"lr": settings.rate, "betas": settings.betas, "fused": True}
    if settings.decoupled:
        return torch.optim.AdamW(split, **told)
    return torch.optim.Adam(split, weight_decay=settings.weight_decay, **told)


def _whole(groups: Iterable[Group]) -> list[dict[str, Any]]:
    return [
        {"params": [p for _, _, p in one.parameters], "factor": one.factor}
        for one in groups
        if one.parameters
    ]


def _split(groups: Iterable[Group], weight_decay: float) -> list[dict[str, Any]]:
    """What decays apart from what does not."""
    split: list[dict[str, Any]] = []
    for one in groups:
        for decaying in (True, False):
            chosen = [p for o, n, p in one.parameters if decays(o, n, p) is decaying]
            decay = weight_decay * decaying
            if chosen:
                split.append({"params": chosen, "weight_decay": decay, "factor": one.factor})
    return split


def set_rate(adam: torch.optim.Optimizer, rate: float) -> None:
    """Sets every group's rate to its factor of `rate`."""
    for one in adam.param_groups:
        one["lr"] = rate * one["factor"]


class Average:
    """An exponential moving average of a module's weights; buffers are copied."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module = copy.deepcopy(module).requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Moves toward the module's weights."""
        for slow, fast in zip(self.module.parameters(), module.parameters(), strict=True):
            slow.lerp_(fast, 1 - self.decay)
        for kept, now in zip(self.module.buffers(), module.buffers(), strict=True):
            kept.copy_(now)

    def state_dict(self) -> dict[str, Tensor]:
        """The averaged weights."""
        return dict(self.module.state_dict())
