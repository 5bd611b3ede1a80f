"""Spatial-frequency masked channel modelling (LWLM, section IV-A)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

from radiofix.models.decoders import ReconstructionDecoder
from radiofix.models.latent import Latent, observed_power, unit_power
from radiofix.objectives.masking import AntennaSubcarrierMask, Mask
from radiofix.objectives.objective import Objective, Prepared, Views
from radiofix.objectives.parts import expect_width

_PUBLISHED = AntennaSubcarrierMask()


class Sfmcm(Objective):
    """Reconstructs what was hidden of a channel from the first part of its latent, eq. 7 to 9.

    Eq. 9's M is read as 1 - M: the loss is on what was hidden. Its value is the hidden NMSE.
    """

    def __init__(
        self,
        decoder: ReconstructionDecoder,
        mask: Mask = _PUBLISHED,
        part: tuple[int, int] = (0, 96),
    ) -> None:
        super().__init__()
        expect_width(part, decoder.dim)
        self.decoder = decoder
        self.mask = mask
        self.part = part

    def prepare(self, views: Views, generator: torch.Generator) -> Prepared:
        """Hides entries of the first view; the target is on the scale that the encoder sees."""
        csi = views.first.csi
        drawn = self.mask(csi, generator)
        visible = csi.masked_fill(drawn, 0)
        target = unit_power(csi, observed_power(visible))
        # What no pilot observed is not known, hence no target.
        hidden = drawn & (csi != 0)
        return Prepared((views.first.with_csi(visible),), (target, hidden))

    def forward(self, latents: Sequence[Latent], prepared: Prepared) -> Tensor:
        """The mean hidden NMSE of the links."""
        _, hidden = prepared.targets
        return hidden_nmse(*self.rebuilt(latents[0], prepared), hidden).mean()

    def rebuilt(self, latent: Latent, prepared: Prepared) -> tuple[Tensor, Tensor]:
        """The channel as the decoder rebuilds it, and the true one as the encoder sees it."""
        target, _ = prepared.targets
        return self.decoder(latent.part(*self.part)), latent.seen(target, prepared.soundings[0])


class MaskedAutoencoding(Sfmcm):
    """Reconstructs all of a channel of which some was hidden: SigMap's eq. 7.

    The squared error over everything that was observed, hidden or not, over that energy.
    """

    def forward(self, latents: Sequence[Latent], prepared: Prepared) -> Tensor:
        """The mean NMSE of the links."""
        rebuilt, target = self.rebuilt(latents[0], prepared)
        return hidden_nmse(rebuilt, target, target != 0).mean()


def hidden_nmse(
    prediction: Complex[Tensor, "link antenna subcarrier"],
    target: Complex[Tensor, "link antenna subcarrier"],
    hidden: Bool[Tensor, "link antenna subcarrier"],
) -> Float[Tensor, " link"]:
    """Eq. 9 for each link, over the hidden entries' energy: 0 is perfect, 1 is a guess of 0."""
    error = _energy((prediction - target).masked_fill(~hidden, 0))
    energy = _energy(target.masked_fill(~hidden, 0))
    return error / torch.where(energy > 0, energy, torch.ones_like(energy))


def _energy(csi: Complex[Tensor, "link antenna subcarrier"]) -> Float[Tensor, " link"]:
    return torch.view_as_real(csi).square().sum((1, 2, 3))
