"""What an encoder makes of a channel, and the scale on which it sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from radiofix.physics.strongest import Wave, steering
from radiofix.types import Sounding


@dataclass(frozen=True, slots=True)
class Latent:
    """The semantics o_s of each link's channel."""

    summary: Float[Tensor, "link dim"]
    """The localization semantic token (LST): what heads read."""
    tokens: Float[Tensor, "link token dim"]
    """Of the patches, antennas outside, subcarriers inside; without the summary."""
    wave: Wave | None = None
    """The strongest wave, where an encoder sees a channel from it."""

    def part(self, start: int, stop: int) -> Latent:
        """Some of the latent dimensions, as section IV-D of the LWLM paper shares them out."""
        return Latent(self.summary[:, start:stop], self.tokens[..., start:stop], self.wave)

    def __getitem__(self, links: slice) -> Latent:
        """The latents of some links."""
        wave = None if self.wave is None else self.wave[links]
        return Latent(self.summary[links], self.tokens[links], wave)

    def seen(
        self, csi: Complex[Tensor, "link antenna subcarrier"], sounding: Sounding
    ) -> Complex[Tensor, "link antenna subcarrier"]:
        """CSI of the sounding's links as the encoder saw it: what can be asked of the latent.

        Of a comb it is the pilots, not what an encoder takes to lie between them.
        """
        return csi if self.wave is None else from_wave(csi, sounding, self.wave)


class Encoder(Protocol):
    """Channels of any links to latents of one width."""

    dim: int

    def __call__(self, sounding: Sounding) -> Latent:
        """Encodes each link by itself."""
        ...


def from_wave(
    csi: Complex[Tensor, "link antenna subcarrier"], sounding: Sounding, wave: Wave
) -> Complex[Tensor, "link antenna subcarrier"]:
    """The CSI with the wave's delay and phase taken off; its direction stays."""
    broadside = Wave(wave.delay, torch.zeros_like(wave.direction), wave.gain)
    delayed = steering(broadside, sounding.frequency, torch.zeros_like(sounding.antenna))
    size = wave.gain.abs()
    phase = wave.gain / torch.where(size > 0, size, torch.ones_like(size))
    return csi * (delayed * phase[:, None, None]).conj()


def observed_power(
    csi: Complex[Tensor, "link antenna subcarrier"],
) -> Float[Tensor, " link"]:
    """Mean |H|^2 of each link over what was observed: entries that are not exactly 0."""
    squared = torch.view_as_real(csi).square().sum(-1).flatten(1)
    return squared.sum(-1) / (squared > 0).sum(-1).clamp(min=1)


def unit_power(
    csi: Complex[Tensor, "link antenna subcarrier"], power: Float[Tensor, " link"] | None = None
) -> Complex[Tensor, "link antenna subcarrier"]:
    """Each link over the root of its power (by default its own observed power); 0 stays 0."""
    if power is None:
        power = observed_power(csi)
    scale = torch.where(power > 0, power, torch.ones_like(power)).rsqrt()
    return csi * scale[:, None, None]
