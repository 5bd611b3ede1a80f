"""Our own encoder: any array, any band, seen from the strongest wave, with the power kept."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from radiofix.models.blocks import Block, through
from radiofix.models.latent import Latent, from_wave, observed_power, unit_power
from radiofix.models.memory import StationMemory
from radiofix.models.patches import PatchTokens
from radiofix.physics.gaps import bridged
from radiofix.physics.strongest import Wave, strongest_wave
from radiofix.types import Sounding

TYPICAL_POWER_DB = -85.0
"""Of a link in a street; only where the power's scale is centred."""
TOLD = 7
"""Numbers that are told beside the patches."""


class RadiofixEncoder(nn.Module):
    """Real and imaginary parts in patches placed by physics, and what no patch tells.

    A channel is seen from its strongest wave: that wave's delay and phase are taken off, so that
    a street looks alike from near and far, and told apart. Between the pilots of a comb along the
    band it is filled in. Nothing depends on an index: the same weights take 8 or 64 antennas, 52 or
    512 subcarriers. Stations can be remembered one by one.
    """

    looks_for_waves = True

    def __init__(
        self,
        dim: int = 128,
        layers: int = 5,
        heads: int = 4,
        patch_antennas: int = 8,
        patch_subcarriers: int = 16,
        known_stations: int = 0,
    ) -> None:
        """Takes its size.

        Args:
            dim: width of the latent.
            layers: of the transformer.
            heads: of each layer's attention.
            patch_antennas: neighbouring antennas in a token.
            patch_subcarriers: neighbouring subcarriers in a token.
            known_stations: that it can remember, each by itself; 0: all stations are alike.
        """
        super().__init__()
        self.dim = dim
        self.tokens = PatchTokens(dim, patch_antennas, patch_subcarriers)
        self.told = nn.Linear(TOLD, dim)
        self.summary = nn.Parameter(0.02 * torch.randn(dim))
        self.blocks = nn.ModuleList(Block(dim, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)
        self.memory = StationMemory(known_stations, dim) if known_stations else None

    def forward(
        self, sounding: Sounding, prompts: Float[Tensor, "link prompt dim"] | None = None
    ) -> Latent:
        """Encodes each link by itself; prompts stand behind the summary token, and stay inside."""
        with torch.no_grad(), torch.autocast(sounding.csi.device.type, enabled=False):
            wave = strongest_wave(sounding.csi, sounding.frequency, sounding.antenna)
            power = observed_power(sounding.csi)
            seen = unit_power(bridged(from_wave(sounding.csi, sounding, wave)), power)
            told = told_features(sounding, wave, power)
        patches = self.tokens(seen, sounding)
        summary = self.summary + self.told(told).to(patches.dtype)
        if self.memory is not None:
            summary = summary + self.memory(sounding).to(patches.dtype)
        prompted = [] if prompts is None else [prompts.to(patches.dtype)]
        sequence = torch.cat([summary[:, None], *prompted, patches], 1)
        sequence = through(self.blocks, self.norm, sequence)
        inside = 1 if prompts is None else 1 + prompts.shape[1]
        return Latent(sequence[:, 0], sequence[:, inside:], wave)


def told_features(
    sounding: Sounding, wave: Wave, power: Float[Tensor, " link"]
) -> Float[Tensor, "link 7"]:
    """Received power, as it is and over free space, the wave's way and direction, the band."""
    way = wave.range.float()
    free_space = power * (way + 1).square() * 1e-4
    features = [
        decades(power),
        decades(free_space),
        way / 100,
        torch.log10(way + 1),
        wave.direction.float(),
        wave.azimuth.float(),
        torch.log2(sounding.bandwidth.float() / 10e6),
    ]
    return torch.stack(features, -1)


def decades(power: Float[Tensor, " link"]) -> Float[Tensor, " link"]:
    """Power in steps of 10 dB from a typical one; no power is very little."""
    decibel = 10 * torch.log10(power.clamp(min=1e-20))
    return (decibel - TYPICAL_POWER_DB) / 10
