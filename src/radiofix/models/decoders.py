"""The decoders of pretraining (LWLM, section IV-D and Fig. 4), left behind after it."""

from __future__ import annotations

import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn

from radiofix.models.configuration import ConfigurationEmbedding
from radiofix.models.latent import Latent
from radiofix.models.layers import DecoderLayer, in_pieces
from radiofix.types import Sounding


class ReconstructionDecoder(nn.Module):
    """Part of a latent to a complex grid: a channel, or its delay-angle view.

    Two transformer-decoder layers whose target and memory are both the part (LST and tokens); the
    LST is dropped, and a linear layer gives each patch its real and imaginary parts.
    """

    def __init__(
        self,
        dim: int = 96,
        layers: int = 2,
        heads: int = 4,
        feedforward: int = 2048,
        antennas: int = 32,
        subcarriers: int = 128,
        patch: tuple[int, int] = (4, 4),
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if antennas % patch[0] or subcarriers % patch[1]:
            raise ValueError(
                f"{antennas} antennas and {subcarriers} subcarriers do not divide into patches "
                f"of {patch[0]} and {patch[1]}"
            )
        if dim % heads:
            raise ValueError(f"dim={dim} is not divisible by heads={heads}")
        self.dim = dim
        self.patch = (patch[0], patch[1])
        self.grid = (antennas // patch[0], subcarriers // patch[1])
        self.layers = nn.ModuleList(
            DecoderLayer(dim, heads, feedforward, dropout) for _ in range(layers)
        )
        self.output = nn.Linear(dim, 2 * patch[0] * patch[1])

    def forward(self, part: Latent) -> Complex[Tensor, "link antenna subcarrier"]:
        """Decodes each link's part by itself; rows and columns are those of the patches."""
        rows, columns = self.grid
        if part.tokens.shape[1] != rows * columns:
            raise ValueError(
                f"{part.tokens.shape[1]} tokens, but this decoder folds {rows} x {columns} "
                f"patches of {self.patch[0]} x {self.patch[1]}: give it the encoder's patch"
            )
        memory = torch.cat([part.summary[:, None], part.tokens], 1)
        decoded = in_pieces(self._decoded, memory)
        pixels: Tensor = self.output(decoded[:, 1:]).float()
        pixels = pixels.reshape(-1, rows, columns, *self.patch, 2)
        folded = pixels.transpose(2, 3).flatten(1, 2).flatten(2, 3)
        return torch.view_as_complex(folded.contiguous())

    def _decoded(self, memory: Float[Tensor, "link token dim"]) -> Float[Tensor, "link token dim"]:
        decoded = memory
        for layer in self.layers:
            decoded = layer(decoded, memory)
        return decoded


class ContrastDecoder(nn.Module):
    """Part of a latent and the link's configuration to an embedding of the place, eq. 12.

    The mean goes over all rows of o^PICL, the LST's too, so that the contrast reaches what heads
    read later.
    """

    def __init__(self, dim: int = 64, out: int = 32) -> None:
        super().__init__()
        self.dim = dim
        self.configuration = ConfigurationEmbedding(dim)
        self.output = nn.Linear(dim, out)

    def forward(self, part: Latent, sounding: Sounding) -> Float[Tensor, "link embedding"]:
        """Embeds each link by itself, not normalised."""
        pooled = (part.summary + part.tokens.sum(1)) / (1 + part.tokens.shape[1])
        embedded: Tensor = self.output(pooled + self.configuration(sounding))
        return embedded
