"""Several objectives at once (LWLM, eq. 19), for the price of encoding each sounding once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor, distributed, nn

from radiofix.models.configuration import ConfigurationEmbedding
from radiofix.models.latent import Encoder, Latent
from radiofix.objectives.objective import Objective, Prepared, Views
from radiofix.types import Sounding


class Mixture(nn.Module):
    """The weighted sum of objectives, eq. 19; leave one out by not naming it."""

    def __init__(self, objectives: Mapping[str, Objective], weights: Mapping[str, float]) -> None:
        super().__init__()
        if not objectives:
            raise ValueError("a mixture of no objectives: name at least one")
        if objectives.keys() != weights.keys():
            raise ValueError(
                f"weights are given for {sorted(weights)}, objectives are {sorted(objectives)}: "
                "name the same"
            )
        for name, weight in weights.items():
            if weight <= 0:
                raise ValueError(f"weight {name}={weight:g} must be positive: leave {name} out")
        self.objectives = nn.ModuleDict(objectives)
        self.weights = {name: float(weights[name]) for name in objectives}

    def fit(self, views: Sequence[Views]) -> None:
        """Takes the scale of the links' configurations from batches, before training starts."""
        soundings = [sounding for v in views for sounding in (v.first, v.second)]
        for module in self.modules():
            if isinstance(module, ConfigurationEmbedding):
                module.fit(soundings)

    def prepare(self, views: Views, generator: torch.Generator) -> dict[str, Prepared]:
        """What each objective wants of a whole batch; all that is random is drawn here."""
        return {name: part.prepare(views, generator) for name, part in self._named()}

    def forward(
        self, encoder: Encoder, prepared: Mapping[str, Prepared]
    ) -> tuple[Float[Tensor, ""], dict[str, Float[Tensor, ""]]]:
        """The weighted total, and the loss of each objective."""
        if self.training and torch.is_grad_enabled():
            for _, part in self._named():
                part.follow(encoder)
        latents = encode(encoder, prepared)
        losses: dict[str, Tensor] = {
            name: part(latents[name], prepared[name]) for name, part in self._named()
        }
        return self.total(losses, latents), losses

    def total(
        self, losses: Mapping[str, Tensor], latents: Mapping[str, tuple[Latent, ...]]
    ) -> Float[Tensor, ""]:
        """Eq. 19."""
        return torch.stack([self.weights[name] * losses[name] for name in losses]).sum()

    def _named(self) -> list[tuple[str, Objective]]:
        return [(n, part) for n, part in self.objectives.items() if isinstance(part, Objective)]


class BalancedMixture(Mixture):
    """A mixture whose weights are the shares of gradient that objectives bring to the latents.

    Every `every` training steps each objective's gradient norm at the encoder's output is measured;
    its loss is divided by a running mean of that norm. All processes come to the same weights.
    """

    step: Int[Tensor, ""]
    norms: Float[Tensor, " objective"]

    def __init__(
        self,
        objectives: Mapping[str, Objective],
        weights: Mapping[str, float],
        every: int = 50,
        memory: float = 0.8,
    ) -> None:
        super().__init__(objectives, weights)
        if every < 1:
            raise ValueError(f"every must be at least 1, got {every}")
        if not 0 <= memory < 1:
            raise ValueError(f"memory must be at least 0 and below 1, got {memory:g}")
        self.every, self.memory = every, memory
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))
        self.register_buffer("norms", torch.zeros(len(objectives), dtype=torch.float64))

    @property
    def balanced(self) -> Float[Tensor, " objective"]:
        """The weights in use, in the order of the objectives; they sum to what the shares do."""
        share = torch.tensor(list(self.weights.values()), device=self.norms.device)
        norms = torch.where(self.norms > 0, self.norms, torch.ones_like(self.norms))
        weight = share / norms
        return (weight * share.sum() / weight.sum()).float()

    def total(
        self, losses: Mapping[str, Tensor], latents: Mapping[str, tuple[Latent, ...]]
    ) -> Float[Tensor, ""]:
        """Eq. 19 with the weights in use."""
        if self.training and torch.is_grad_enabled():
            if int(self.step) % self.every == 0:
                self._measure(losses, latents)
            self.step += 1
        return (self.balanced * torch.stack(list(losses.values()))).sum()

    def _measure(
        self, losses: Mapping[str, Tensor], latents: Mapping[str, tuple[Latent, ...]]
    ) -> None:
        squared = torch.stack([_squared_gradient(losses[n], latents[n]) for n in losses])
        if distributed.is_available() and distributed.is_initialized():
            distributed.all_reduce(squared)
        measured = squared.sqrt()
        first = self.norms == 0
        self.norms.copy_(torch.where(first, measured, self.norms.lerp(measured, 1 - self.memory)))


def share(prepared: Mapping[str, Prepared], links: slice) -> dict[str, Prepared]:
    """Some rows of a prepared batch; a sounding that objectives share stays one object."""
    cut = {key: sounding[links] for key, sounding in _distinct(prepared).items()}
    return {
        name: replace(
            part,
            soundings=tuple(cut[id(sounding)] for sounding in part.soundings),
            targets=tuple(target[links] for target in part.targets),
        )
        for name, part in prepared.items()
    }


def encode(encoder: Encoder, prepared: Mapping[str, Prepared]) -> dict[str, tuple[Latent, ...]]:
    """The latents of every objective's soundings, each sounding encoded once.

    Soundings of one shape go through the encoder together.
    """
    distinct = _distinct(prepared)
    shapes: dict[torch.Size, list[int]] = {}
    for key, sounding in distinct.items():
        shapes.setdefault(sounding.csi.shape[1:], []).append(key)
    latents: dict[int, Latent] = {}
    for keys in shapes.values():
        latent = encoder(Sounding.join([distinct[key] for key in keys]))
        start = 0
        for key in keys:
            stop = start + len(distinct[key])
            latents[key] = latent[start:stop]
            start = stop
    return {
        name: tuple(latents[id(sounding)] for sounding in part.soundings)
        for name, part in prepared.items()
    }


def _distinct(prepared: Mapping[str, Prepared]) -> dict[int, Sounding]:
    return {id(s): s for part in prepared.values() for s in part.soundings}


def _squared_gradient(loss: Tensor, latents: Sequence[Latent]) -> Float[Tensor, ""]:
    outputs = [tensor for latent in latents for tensor in (latent.summary, latent.tokens)]
    slopes = torch.autograd.grad(loss, outputs, retain_graph=True, allow_unused=True)
    squares = [slope.double().square().sum() for slope in slopes if slope is not None]
    return torch.stack(squares).sum()
