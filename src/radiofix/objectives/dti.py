"""From space and frequency to angle and delay (LWLM, section IV-B), and past the band it saw."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn

from radiofix.models.decoders import ReconstructionDecoder
from radiofix.models.latent import Latent, unit_power
from radiofix.objectives.objective import Objective, Prepared, Views
from radiofix.objectives.parts import expect_width, width_of
from radiofix.physics.transforms import delay_angle, spatial_frequency


class Dti(Objective):
    """Predicts the channel's true delay-angle view from the second part of its latent, eq. 10."""

    def __init__(self, decoder: ReconstructionDecoder, part: tuple[int, int] = (96, 192)) -> None:
        super().__init__()
        expect_width(part, decoder.dim)
        self.decoder = decoder
        self.part = part

    def prepare(self, views: Views, generator: torch.Generator) -> Prepared:
        """The first view as it is, and its transform."""
        return Prepared((views.first,), (delay_angle(unit_power(views.first.csi)),))

    def forward(self, latents: Sequence[Latent], prepared: Prepared) -> Tensor:
        """The mean dissimilarity of the links."""
        return dissimilarity(*self.transformed(latents[0], prepared)).mean()

    def transformed(self, latent: Latent, prepared: Prepared) -> tuple[Tensor, Tensor]:
        """The view as the decoder tells it, and the true one, as the encoder sees channels."""
        (target,) = prepared.targets
        if latent.wave is not None:
            csi = spatial_frequency(target)
            target = delay_angle(latent.seen(csi, prepared.soundings[0]))
        return self.decoder(latent.part(*self.part)), target


def dissimilarity(
    prediction: Complex[Tensor, "link angle delay"], target: Complex[Tensor, "link angle delay"]
) -> Float[Tensor, " link"]:
    """1 - |<T, P>| / (|T| |P|) of eq. 10: 0 where they differ by a factor alone, at most 1."""
    aligned = (target.conj() * prediction).sum((1, 2)).abs()
    sizes = [torch.linalg.vector_norm(grid, dim=(1, 2)) for grid in (target, prediction)]
    product = sizes[0] * sizes[1]
    return 1 - aligned / torch.where(product > 0, product, torch.ones_like(product))


class SuperResolution(Objective):
    """Predicts, from the summary of a narrow view, the power profile at the widest bandwidth.

    Softmax cross-entropy over angles and delays: where a channel's energy comes from, told finer
    than the band it was seen in resolves.
    """

    def __init__(
        self,
        part: tuple[int, int] = (0, 256),
        angles: int = 32,
        delays: int = 64,
        width: int = 256,
    ) -> None:
        super().__init__()
        self.part = part
        self.angles, self.delays = angles, delays
        self.predictor = nn.Sequential(
            nn.Linear(width_of(part), width), nn.GELU(), nn.Linear(width, angles * delays)
        )

    def prepare(self, views: Views, generator: torch.Generator) -> Prepared:
        """The first view as it is, and the profile of the widest."""
        return Prepared((views.first,), (profile(views.widest.csi, self.angles, self.delays),))

    def forward(self, latents: Sequence[Latent], prepared: Prepared) -> Tensor:
        """The mean cross-entropy of the links [nat]."""
        (target,) = prepared.targets
        logits: Tensor = self.predictor(latents[0].part(*self.part).summary)
        return nn.functional.cross_entropy(logits.float(), target.flatten(1).float())


def profile(
    csi: Complex[Tensor, "link antenna subcarrier"], angles: int, delays: int
) -> Float[Tensor, "link angle delay"]:
    """Each link's share of power in every cell of delay and angle, summing to 1.

    Zeros are appended up to a multiple of the cells, and the transform's bins within a cell are
    added up, so that a cell means the same direction for every number of antennas.
    """
    antennas, subcarriers = csi.shape[1:]
    padding = (0, -subcarriers % delays, 0, -antennas % angles)
    power = delay_angle(nn.functional.pad(csi, padding)).abs().square()
    cells = power.reshape(len(csi), angles, -1, delays, power.shape[-1] // delays).sum((2, 4))
    total = cells.sum((1, 2), keepdim=True)
    return cells / torch.where(total > 0, total, torch.ones_like(total))
