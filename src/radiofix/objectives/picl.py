"""Position-invariant contrastive learning (LWLM, section IV-C)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, distributed
from torch.nn import functional as F

from radiofix.models.decoders import ContrastDecoder
from radiofix.models.latent import Latent
from radiofix.objectives.objective import Objective, Prepared, Views
from radiofix.objectives.parts import expect_width


class Picl(Objective):
    """The same user through another station or bandwidth is alike, others are not, eq. 11 to 14.

    Every process must take part in every call, with as many links as the others.
    """

    def __init__(
        self,
        decoder: ContrastDecoder,
        part: tuple[int, int] = (192, 256),
        temperature: float = 0.2,
    ) -> None:
        super().__init__()
        expect_width(part, decoder.dim)
        if temperature <= 0:
            raise ValueError(f"temperature must be positive, got {temperature:g}")
        self.decoder = decoder
        self.part = part
        self.temperature = temperature

    def prepare(self, views: Views, generator: torch.Generator) -> Prepared:
        """Both views as they are."""
        return Prepared((views.first, views.second))

    def forward(self, latents: Sequence[Latent], prepared: Prepared) -> Tensor:
        """NT-Xent over the links of all processes."""
        first, second = (
            self.decoder(latent.part(*self.part), sounding)
            for latent, sounding in zip(latents, prepared.soundings, strict=True)
        )
        return contrast(first, second, prepared.soundings[0].user, self.temperature)


def contrast(
    first: Float[Tensor, "link embedding"],
    second: Float[Tensor, "link embedding"],
    user: Int[Tensor, " link"],
    temperature: float = 0.2,
) -> Float[Tensor, ""]:
    """`nt_xent` over the links of all processes, the value and (once averaged) the gradients alike.

    Each process computes the whole loss but holds gradient for its own rows only. Processes
    average their gradients, which divides by their number; hence the factor in front.
    """
    if not (distributed.is_available() and distributed.is_initialized()):
        return nt_xent(first, second, user, temperature)
    loss = nt_xent(_gather(first), _gather(second), _gather(user), temperature)
    processes = distributed.get_world_size()
    return processes * loss - (processes - 1) * loss.detach()


def nt_xent(
    first: Float[Tensor, "link embedding"],
    second: Float[Tensor, "link embedding"],
    user: Int[Tensor, " link"],
    temperature: float = 0.2,
) -> Float[Tensor, ""]:
    """The loss of eq. 13 and 14: the partner of row i is row i + n.

    Other rows of the same user are no negatives: they are left out of the sum.
    """
    with torch.autocast(first.device.type, enabled=False):
        embedding = F.normalize(torch.cat([first, second]).float(), dim=-1)
        logits = embedding @ embedding.T / temperature
        owner = torch.cat([user, user])
        row = torch.arange(len(owner), device=owner.device)
        partner = row.roll(len(first))
        alike = (owner[:, None] == owner) & (row != partner[:, None])
        return F.cross_entropy(logits.masked_fill(alike, -torch.inf), partner)


def bound(loss: float, links: int) -> float:
    """What the two views surely tell of the place by Theorem 2, log N - L, eq. 6 [nat]."""
    return math.log(links) - loss


def _gather(rows: Tensor) -> Tensor:
    """Rows of all processes in order; those of this one keep their gradient."""
    shares = [torch.empty_like(rows) for _ in range(distributed.get_world_size())]
    distributed.all_gather(shares, rows.detach().contiguous())
    shares[distributed.get_rank()] = rows
    return torch.cat(shares)
