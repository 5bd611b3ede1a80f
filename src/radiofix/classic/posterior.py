"""What a perfect fingerprint could do: the posterior of a user's place over a dense grid.

Every place of the grid has a channel without noise; a measured one is one of these, turned by a
phase that nobody knows, in white Gaussian noise. For users that stand on the grid, each place as
likely as another, no estimator has a lower mean squared error. Leaving out a user's own place asks
what a survey as dense as the grid is good for at places that it has not met.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Places:
    """Some of the grid."""

    csi: Complex[Tensor, "place antenna subcarrier"]
    """Without noise."""
    position: Float[Tensor, "place 3"]
    """[m]."""
    number: Int[Tensor, " place"]
    """By which links name the place that is left out for them."""


@dataclass(frozen=True, slots=True)
class Posterior:
    """Where users are, given the channels of all places."""

    position: Float[Tensor, "link 3"]
    """Mean [m]."""
    deviation: Float[Tensor, " link"]
    """Root of the mean squared distance from it [m]."""


def posterior(
    csi: Complex[Tensor, "link antenna subcarrier"],
    noise: Float[Tensor, " link"],
    grid: Iterable[Places],
    left_out: Int[Tensor, " link"] | None = None,
) -> Posterior:
    """The posterior mean of each link's user, its common phase marginalised.

    With phi uniform, p(y | h) is exp(-(|y|^2 + |h|^2) / v) I_0(2 |h^H y| / v) but for a factor.
    One block of the grid is in memory at a time.

    Args:
        csi: measured channels; they and the grid are of one precision, in which |h^H y| is summed:
            single is enough up to 30 dB and 4,096 entries.
        noise: variance E|n|^2 of an entry of each link.
        grid: all places, block by block.
        left_out: number of the place that does not count for a link; None: all count.
    """
    if not bool((noise > 0).all()):
        raise ValueError(f"noise must be positive, got {float(noise.min()):g}: give its variance")
    measured = csi.flatten(1).mH.contiguous()
    running = _Running.none_yet(len(csi), csi.device)
    for places in grid:
        flat = places.csi.flatten(1)
        fit = (flat @ measured).abs().double()
        energy = torch.linalg.vector_norm(flat, dim=1).double().square()
        argument = 2 * fit / noise.double()
        # log I_0 without overflow: i0e(x) is I_0(x) exp(-x).
        score = argument + torch.special.i0e(argument).log() - energy[:, None] / noise.double()
        if left_out is not None:
            score = score.masked_fill(places.number[:, None] == left_out, -torch.inf)
        running = running.with_block(score, places.position.double())
    return running.posterior()


@dataclass(frozen=True, slots=True)
class _Running:
    """Weighted sums over the places so far, weights relative to the likeliest of them."""

    highest: Float[Tensor, " link"]
    total: Float[Tensor, " link"]
    position: Float[Tensor, "link 3"]
    """About `origin`, as the squares are: what is summed stays of the size of the scene."""
    squared: Float[Tensor, " link"]
    origin: Float[Tensor, "3"] | None = None

    @staticmethod
    def none_yet(links: int, device: torch.device) -> _Running:
        zero = torch.zeros(links, dtype=torch.float64, device=device)
        return _Running(zero - torch.inf, zero, zero[:, None].expand(-1, 3), zero)

    def with_block(
        self, score: Float[Tensor, "place link"], position: Float[Tensor, "place 3"]
    ) -> _Running:
        origin = position.mean(0) if self.origin is None else self.origin
        highest = torch.maximum(self.highest, score.amax(0))
        # Where no place counts so far, 0 times nothing.
        kept = (self.highest - highest).exp().nan_to_num(0.0)
        weight = (score - highest).exp().nan_to_num(0.0)
        away = position - origin
        return _Running(
            highest,
            self.total * kept + weight.sum(0),
            self.position * kept[:, None] + weight.mT @ away,
            self.squared * kept + weight.mT @ away.square().sum(-1),
            origin,
        )

    def posterior(self) -> Posterior:
        if self.origin is None:
            raise ValueError("the grid has 0 places: give at least one block")
        mean = self.position / self.total[:, None]
        variance = self.squared / self.total - mean.square().sum(-1)
        return Posterior(mean + self.origin, variance.clamp(min=0).sqrt())


def noise_of_snr(
    csi: Complex[Tensor, "link antenna subcarrier"], snr_db: float
) -> Float[Tensor, " link"]:
    """Variance of the noise in measured channels whose signal-to-noise ratio is known.

    Off by a few parts in a thousand where there are thousands of entries; those that are exactly 0
    were not observed.
    """
    parts = torch.view_as_real(csi).double().square().sum(-1).flatten(1)
    power = parts.sum(-1) / (parts > 0).sum(-1).clamp(min=1)
    return power / (1 + math.pow(10, snr_db / 10))
