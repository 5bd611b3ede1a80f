"""The encoder of the SigMap paper (sections 3.2 and 3.4, appendix B), with room for a map."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor, nn

from radiofix.models.blocks import Block, through
from radiofix.models.latent import Latent, unit_power
from radiofix.models.lwlm import magnitude_and_phase, sinusoids
from radiofix.types import Sounding


class Planes(ABC):
    """What an encoder sees of complex CSI: two planes of real numbers."""

    @abstractmethod
    def __call__(
        self, csi: Complex[Tensor, "link antenna subcarrier"]
    ) -> Float[Tensor, "link 2 antenna subcarrier"]:
        """The two planes, float32."""


class RealAndImaginary(Planes):
    """Real and imaginary part, eq. 5."""

    def __call__(
        self, csi: Complex[Tensor, "link antenna subcarrier"]
    ) -> Float[Tensor, "link 2 antenna subcarrier"]:
        """The two planes, float32."""
        return torch.stack([csi.real, csi.imag], 1).float()


class MagnitudeAndPhase(Planes):
    """Magnitude and phase, eq. 12."""

    def __call__(
        self, csi: Complex[Tensor, "link antenna subcarrier"]
    ) -> Float[Tensor, "link 2 antenna subcarrier"]:
        """The two planes, float32."""
        return magnitude_and_phase(csi)


class SigmapEncoder(nn.Module):
    """Patches behind a class token, as in a ViT; what was not observed is a learned mask token.

    Appendix B gives the width, 512. The paper is silent on layers, patches and the feed-forward
    width; four, 4 x 4 and four times the width are LWLM's, chosen here. Blocks are a ViT's. Patches
    2*16*512 + 512, mask token 32, class token 512, four blocks of 3,152,384 and the final norm of
    1,024 make 12,628,000 parameters.
    """

    positions: Float[Tensor, "token dim"]

    def __init__(
        self,
        antennas: int = 32,
        subcarriers: int = 128,
        dim: int = 512,
        layers: int = 4,
        heads: int = 8,
        patch: tuple[int, int] = (4, 4),
        planes: Planes | None = None,
    ) -> None:
        """Takes its size.

        Args:
            antennas: of every channel.
            subcarriers: of every channel.
            dim: width of the latent.
            layers: of the transformer.
            heads: of each layer's attention.
            patch: antennas and subcarriers of a token.
            planes: what is seen of the CSI; None: real and imaginary part.
        """
        super().__init__()
        if antennas % patch[0] or subcarriers % patch[1]:
            raise ValueError(
                f"{antennas} antennas and {subcarriers} subcarriers do not divide into patches "
                f"of {patch[0]} and {patch[1]}"
            )
        self.dim = dim
        self.grid = (antennas // patch[0], subcarriers // patch[1])
        self.shape = (antennas, subcarriers)
        self.planes = RealAndImaginary() if planes is None else planes
        self.mask_token = nn.Parameter(0.02 * torch.randn(2, *patch))
        self.patches = nn.Conv2d(2, dim, kernel_size=patch, stride=patch)
        self.class_token = nn.Parameter(0.02 * torch.randn(dim))
        self.blocks = nn.ModuleList(Block(dim, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)
        tokens = 1 + self.grid[0] * self.grid[1]
        self.register_buffer("positions", sinusoids(tokens, dim), persistent=False)

    def forward(
        self, sounding: Sounding, prompts: Float[Tensor, "link prompt dim"] | None = None
    ) -> Latent:
        """Encodes each link by itself, at unit observed power.

        Prompts go between the class token and the patches. They have no positions of their own and
        move no other's, so that patches stand where pretraining has put them.
        """
        csi = sounding.csi
        if tuple(csi.shape[1:]) != self.shape:
            raise ValueError(
                f"csi of {csi.shape[1]} antennas and {csi.shape[2]} subcarriers, but this encoder "
                f"takes {self.shape[0]} and {self.shape[1]}: sound the channel so, or build another"
            )
        image = self.masked(self.planes(unit_power(csi)), csi == 0)
        patches: Tensor = self.patches(image).flatten(2).transpose(1, 2) + self.positions[1:]
        first = (self.class_token + self.positions[0]).to(patches.dtype)
        sequence = [first.expand(len(patches), 1, -1), patches]
        count = 0
        if prompts is not None:
            self._expect_prompts(prompts, len(patches))
            sequence.insert(1, prompts.to(patches.dtype))
            count = prompts.shape[1]
        tokens = through(self.blocks, self.norm, torch.cat(sequence, 1))
        return Latent(tokens[:, 0], tokens[:, 1 + count :])

    def masked(
        self,
        image: Float[Tensor, "link 2 antenna subcarrier"],
        hidden: Bool[Tensor, "link antenna subcarrier"],
    ) -> Float[Tensor, "link 2 antenna subcarrier"]:
        """The image with the mask token where it is hidden, eq. 21; one token for all patches."""
        return torch.where(hidden[:, None], self.mask_token.repeat(1, *self.grid), image)

    def _expect_prompts(self, prompts: Tensor, links: int) -> None:
        if prompts.ndim != 3 or len(prompts) != links or prompts.shape[2] != self.dim:
            raise ValueError(
                f"prompts of shape {tuple(prompts.shape)} do not fit {links} links and dim="
                f"{self.dim}: give (link, prompt, dim)"
            )
