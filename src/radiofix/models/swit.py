"""The encoder of SWiT (Salihu, Schwarz and Rupp): a token a subcarrier, pooled by attention."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor, distributed, nn

from radiofix.models.blocks import Block, attention
from radiofix.models.latent import Latent, unit_power
from radiofix.models.patches import MEGAHERTZ
from radiofix.types import Sounding

PLANES = 3
"""Real part, imaginary part, magnitude."""


class Scale(nn.Module, ABC):
    """How strong channels are seen."""

    @abstractmethod
    def forward(
        self, csi: Complex[Tensor, "link antenna subcarrier"]
    ) -> Float[Tensor, "link 3 antenna subcarrier"]:
        """Real part, imaginary part and magnitude of each link, scaled."""


class UnitPower(Scale):
    """Every link at unit observed power."""

    def forward(
        self, csi: Complex[Tensor, "link antenna subcarrier"]
    ) -> Float[Tensor, "link 3 antenna subcarrier"]:
        """Real part, imaginary part and magnitude of each link, scaled."""
        return planes(unit_power(csi))


class LargestSeen(Scale):
    """Each plane over the largest value that training has met in it, as published.

    Before any training it is the largest at hand. All processes come to the same.
    """

    largest: Float[Tensor, " plane"]

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("largest", torch.zeros(PLANES))

    def forward(
        self, csi: Complex[Tensor, "link antenna subcarrier"]
    ) -> Float[Tensor, "link 3 antenna subcarrier"]:
        """Real part, imaginary part and magnitude of each link, scaled."""
        seen = planes(csi)
        with torch.no_grad():
            here = seen.abs().amax((0, 2, 3))
            if self.training:
                if distributed.is_available() and distributed.is_initialized():
                    distributed.all_reduce(here, op=distributed.ReduceOp.MAX)
                self.largest.copy_(torch.maximum(self.largest, here))
            scale = torch.where(self.largest > 0, self.largest, here)
            scale = torch.where(scale > 0, scale, torch.ones_like(scale))
        return seen / scale[:, None, None]


class FrequencyPlace(nn.Module):
    """Where in the band a token lies, told as waves over hertz: not part of the published model."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(2 * len(MEGAHERTZ), dim)
        # Faint channels must not drown in places: told by nothing at first, then as is learnt.
        nn.init.zeros_(self.linear.weight)

    def forward(
        self, frequency: Float[Tensor, "link subcarrier"]
    ) -> Float[Tensor, "link subcarrier dim"]:
        """What is added to the tokens; frequencies from the carrier [Hz]."""
        turn = 2 * math.pi * (frequency / 1e6)[..., None] / frequency.new_tensor(MEGAHERTZ)
        told: Tensor = self.linear(torch.cat([turn.sin(), turn.cos()], -1))
        return told


class ClassAttention(nn.Module):
    """One token, enriched by attention to itself and to others; the others stay."""

    def __init__(self, dim: int, heads: int, expansion: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention = nn.LayerNorm(dim)
        self.query = nn.Linear(dim, dim)
        self.key_value = nn.Linear(dim, 2 * dim)
        self.out = nn.Linear(dim, dim)
        self.before_network = nn.LayerNorm(dim)
        self.network = nn.Sequential(
            nn.Linear(dim, expansion * dim), nn.GELU(), nn.Linear(expansion * dim, dim)
        )

    def forward(
        self, token: Float[Tensor, "set dim"], others: Float[Tensor, "set other dim"]
    ) -> Float[Tensor, "set dim"]:
        """The token of each set."""
        everyone = self.before_attention(torch.cat([token[:, None], others], 1))
        return self._enriched(token, self.query(everyone[:, :1]), self.key_value(everyone))

    def each(
        self, tokens: Float[Tensor, "set token dim"], chosen: Int[Tensor, "set token other"]
    ) -> Float[Tensor, "set token dim"]:
        """As `forward` of every token and the chosen ones of its set, told by their indices."""
        seen = self.before_attention(tokens)
        own = torch.arange(tokens.shape[1], device=tokens.device).expand(len(tokens), -1)
        rows = torch.arange(len(tokens), device=tokens.device)[:, None, None]
        # Keys and values are a token's own, whoever gathers them: made once, and then fetched.
        told = self.key_value(seen)[rows, torch.cat([own[..., None], chosen], 2)]
        query = self.query(seen).flatten(0, 1)[:, None]
        return self._enriched(tokens.flatten(0, 1), query, told.flatten(0, 1)).view_as(tokens)

    def _enriched(
        self,
        token: Float[Tensor, "set dim"],
        query: Float[Tensor, "set 1 dim"],
        key_value: Float[Tensor, "set told double"],
    ) -> Float[Tensor, "set dim"]:
        key, value = (self._by_head(p) for p in key_value.chunk(2, -1))
        mixed = attention(self._by_head(query), key, value).transpose(1, 2).flatten(1)
        token = token + self.out(mixed)
        enriched: Tensor = token + self.network(self.before_network(token))
        return enriched

    def _by_head(self, tokens: Float[Tensor, "set token dim"]) -> Float[Tensor, "set head token _"]:
        sets, count, _ = tokens.shape
        return tokens.view(sets, count, self.heads, -1).transpose(1, 2)


class SwitEncoder(nn.Module):
    """Real part, imaginary part and magnitude of all antennas, a token a subcarrier.

    A class token joins them in one block and then gathers from them by class attention. Without a
    `place` nothing tells a subcarrier's place in the band, and any number of them is taken.
    """

    def __init__(
        self,
        antennas: int = 32,
        dim: int = 384,
        heads: int = 1,
        scale: Scale | None = None,
        place: FrequencyPlace | None = None,
    ) -> None:
        """Takes the published sizes, unless told others.

        Args:
            antennas: of every link.
            dim: of a token.
            heads: of attention.
            scale: on which channels are seen; None: by the largest value met, as published.
            place: that tokens are told; None: none.
        """
        super().__init__()
        self.dim, self.antennas = dim, antennas
        self.scale = LargestSeen() if scale is None else scale
        self.values = nn.Linear(PLANES * antennas, dim)
        self.place = place
        self.summary = nn.Parameter(0.02 * torch.randn(dim))
        self.block = Block(dim, heads)
        self.pool = ClassAttention(dim, heads)
        self.norm = nn.LayerNorm(dim)

    def forward(self, sounding: Sounding) -> Latent:
        """Encodes each link by itself."""
        first, tokens = self._enriched(sounding)
        return Latent(self.norm(self.pool(first, tokens)), self.norm(tokens))

    def among_neighbours(self, sounding: Sounding, neighbours: int, similar: int) -> Latent:
        """The latent, each token having gathered from those most like it among its nearest.

        Args:
            sounding: of links with more subcarriers than `neighbours`.
            neighbours: of a subcarrier that are looked at.
            similar: of them, by the cosine between tokens, that it gathers from.
        """
        first, tokens = self._enriched(sounding)
        chosen = most_similar(tokens, neighbours, similar)
        summary = self.norm(self.pool(first, tokens))
        return Latent(summary, self.norm(self.pool.each(tokens, chosen)))

    def _enriched(
        self, sounding: Sounding
    ) -> tuple[Float[Tensor, "link dim"], Float[Tensor, "link subcarrier dim"]]:
        if sounding.csi.shape[1] != self.antennas:
            raise ValueError(
                f"csi of {sounding.csi.shape[1]} antennas, but this encoder takes {self.antennas}: "
                "sound the channel so, or build another"
            )
        # A token holds all planes and antennas of its subcarrier.
        tokens = self.values(self.scale(sounding.csi).flatten(1, 2).transpose(1, 2))
        if self.place is not None:
            tokens = tokens + self.place(sounding.frequency)
        first = self.summary.to(tokens.dtype).expand(len(tokens), 1, -1)
        sequence = self.block(torch.cat([first, tokens], 1))
        return sequence[:, 0], sequence[:, 1:]


def planes(
    csi: Complex[Tensor, "link antenna subcarrier"],
) -> Float[Tensor, "link 3 antenna subcarrier"]:
    """Real part, imaginary part and magnitude, float32."""
    return torch.stack([csi.real, csi.imag, csi.abs()], 1).float()


def most_similar(
    tokens: Float[Tensor, "link token dim"], neighbours: int, similar: int
) -> Int[Tensor, "link token similar"]:
    """Of each token's nearest by index, itself left out, those with the largest cosine to it."""
    count = tokens.shape[1]
    if not 1 <= similar <= neighbours < count:
        raise ValueError(
            f"similar={similar} of neighbours={neighbours} of {count} tokens: each must be "
            "at most the next, and the last more"
        )
    own = torch.arange(count, device=tokens.device)
    start = (own - neighbours // 2).clamp(0, count - 1 - neighbours)
    near = start[:, None] + torch.arange(neighbours, device=tokens.device)
    near = near + (near >= own[:, None])
    direction = nn.functional.normalize(tokens.float(), dim=-1)
    likeness = (direction[:, :, None] * direction[:, near]).sum(-1)
    best = likeness.topk(similar, dim=-1).indices
    return near.expand(len(tokens), -1, -1).gather(2, best)
