"""Our own encoder: any array, any band, with the received power kept."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from radiofix.models.blocks import Block
from radiofix.models.latent import Latent, observed_power, unit_power
from radiofix.models.patches import PatchTokens
from radiofix.types import Sounding

TYPICAL_POWER_DB = -85.0
"""Of a link in a street; only where the power's scale is centred."""


class RadiofixEncoder(nn.Module):
    """Real and imaginary parts in patches placed by physics, and a token of received power.

    Nothing depends on an index: the same weights take 8 or 64 antennas, 52 or 512 subcarriers.
    """

    def __init__(
        self,
        dim: int = 128,
        layers: int = 5,
        heads: int = 4,
        patch_antennas: int = 8,
        patch_subcarriers: int = 8,
    ) -> None:
        super().__init__()
        self.dim = dim
        self.tokens = PatchTokens(dim, patch_antennas, patch_subcarriers)
        self.power = nn.Linear(1, dim)
        self.summary = nn.Parameter(0.02 * torch.randn(dim))
        self.blocks = nn.ModuleList(Block(dim, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)

    def forward(self, sounding: Sounding) -> Latent:
        """Encodes each link by itself."""
        power = observed_power(sounding.csi)
        patches = self.tokens(unit_power(sounding.csi, power), sounding)
        # The power goes to the summary too: it is the one thing no patch tells.
        told = self.power(power_feature(power)).to(patches.dtype)
        sequence = torch.cat([(self.summary + told)[:, None], patches], 1)
        for block in self.blocks:
            sequence = block(sequence)
        sequence = self.norm(sequence)
        return Latent(sequence[:, 0], sequence[:, 1:])


def power_feature(power: Float[Tensor, " link"]) -> Float[Tensor, "link 1"]:
    """Received power in steps of 10 dB from a typical one; 0 power is that of no signal."""
    decibel = 10 * torch.log10(power.clamp(min=1e-20))
    return ((decibel - TYPICAL_POWER_DB) / 10)[:, None]
