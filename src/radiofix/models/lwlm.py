"""The encoder of the LWLM paper (section IV-D), with the sizes that give its 5.27 M parameters."""

from __future__ import annotations

import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn

from radiofix.models.latent import Latent, unit_power
from radiofix.models.layers import EncoderLayer, in_pieces
from radiofix.types import Sounding


class LwlmEncoder(nn.Module):
    """Magnitude and phase in patches, behind a localization semantic token (LST), eq. 15 to 18.

    Table I's kernel of 6 and embedding of 512 give neither its 256 patches nor the paper's 5.27 M
    parameters. Kernel and stride of 4 and a width of 256 do, with every linear layer biased and no
    projection after the last norm: patches 2*16*256 + 256, LST 256, four layers of 1,315,072 and
    the final norm 512 make 5,269,504.
    """

    positions: Float[Tensor, "token dim"]

    def __init__(
        self,
        antennas: int = 32,
        subcarriers: int = 128,
        dim: int = 256,
        layers: int = 4,
        heads: int = 4,
        feedforward: int = 2048,
        dropout: float = 0.1,
        patch: int = 4,
    ) -> None:
        super().__init__()
        for name, size in (("antennas", antennas), ("subcarriers", subcarriers)):
            if size % patch:
                raise ValueError(f"{name}={size} does not divide into patches of {patch}")
        if dim % heads:
            raise ValueError(f"dim={dim} is not divisible by heads={heads}")
        self.dim = dim
        self.antennas, self.subcarriers = antennas, subcarriers
        self.patches = nn.Conv2d(2, dim, kernel_size=patch, stride=patch)
        self.lst = nn.Parameter(torch.zeros(dim))
        self.layers = nn.ModuleList(
            EncoderLayer(dim, heads, feedforward, dropout) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(dim)
        tokens = 1 + (antennas // patch) * (subcarriers // patch)
        self.register_buffer("positions", sinusoids(tokens, dim), persistent=False)

    def forward(self, sounding: Sounding) -> Latent:
        """Encodes each link by itself, at unit observed power."""
        self._expect_shape(sounding.csi)
        image = magnitude_and_phase(unit_power(sounding.csi))
        patches: Tensor = self.patches(image).flatten(2).transpose(1, 2)
        first = self.lst.to(patches.dtype).expand(len(patches), 1, -1)
        tokens = torch.cat([first, patches], 1) + self.positions
        tokens = in_pieces(self._enriched, tokens)
        return Latent(tokens[:, 0], tokens[:, 1:])

    def _enriched(self, tokens: Float[Tensor, "link token dim"]) -> Float[Tensor, "link token dim"]:
        for layer in self.layers:
            tokens = layer(tokens)
        normalised: Tensor = self.norm(tokens)
        return normalised

    def _expect_shape(self, csi: Complex[Tensor, "link antenna subcarrier"]) -> None:
        antennas, subcarriers = csi.shape[1:]
        if (antennas, subcarriers) != (self.antennas, self.subcarriers):
            raise ValueError(
                f"csi of {antennas} antennas and {subcarriers} subcarriers, but this encoder takes "
                f"{self.antennas} and {self.subcarriers}: sound the channel so, or build another"
            )


def magnitude_and_phase(
    csi: Complex[Tensor, "link antenna subcarrier"],
) -> Float[Tensor, "link 2 antenna subcarrier"]:
    """The input of eq. 15, float32; where nothing was observed (exactly 0), the phase is 0."""
    # A masked entry may be -0, whose angle is pi.
    phase = csi.angle().masked_fill(csi == 0, 0.0)
    return torch.stack([csi.abs(), phase], 1).float()


def sinusoids(tokens: int, dim: int) -> Float[Tensor, "token dim"]:
    """The sequence embedding of eq. 17 and 18: sines in even dimensions, cosines in odd ones."""
    index = torch.arange(tokens, dtype=torch.float64)[:, None]
    even = torch.arange(0, dim, 2, dtype=torch.float64)
    phase = index / 10_000 ** (even / dim)
    return torch.stack([phase.sin(), phase.cos()], -1).flatten(1)[:, :dim].float()
