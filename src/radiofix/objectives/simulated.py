"""Simulated supervision, ours: positions in random worlds of mirror images, without any scene."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
from torch import Tensor

from radiofix.models.heads import StationHead
from radiofix.models.latent import Latent
from radiofix.objectives.objective import Objective, Prepared, Views
from radiofix.objectives.tasks import surprise
from radiofix.physics.arrays import ula
from radiofix.physics.channel import AliasWarning, Channel
from radiofix.physics.impairments import Impairments
from radiofix.physics.worlds import Worlds
from radiofix.types import Sounding


class Simulated(Objective):
    """Position in the station's frame, learnt from worlds that the generator makes up.

    The head is the one that is fine-tuned later: without a label it places users already.
    """

    def __init__(
        self,
        head: StationHead,
        bandwidths: Sequence[float] = (10e6, 20e6, 50e6),
        antennas: int = 32,
        subcarriers: int = 128,
        snr_db: tuple[float, float] = (5.0, 40.0),
        thinned: float = 0.3,
        worlds: Worlds | None = None,
    ) -> None:
        """Takes what the stations of the worlds can be like.

        Args:
            head: that places users.
            bandwidths: of which each link has one [Hz].
            antennas: of a uniform linear array.
            subcarriers: of each link.
            snr_db: range of each link's own [dB].
            thinned: share of links with a comb of pilots alone, every 2 to 5.
            worlds: from what ranges; None: the defaults.
        """
        super().__init__()
        self.head = head
        self.bandwidths = tuple(bandwidths)
        self.antennas, self.subcarriers = antennas, subcarriers
        self.snr_db, self.thinned = snr_db, thinned
        self.worlds = worlds or Worlds()

    def prepare(self, views: Views, generator: torch.Generator) -> Prepared:
        """As many worlds as the batch has links; the batch itself is not looked at."""
        sounding, position = self.draw(len(views.first), generator)
        return Prepared((sounding,), (position,))

    def draw(self, links: int, generator: torch.Generator) -> tuple[Sounding, Tensor]:
        """Channels and where their users stand, in the stations' frames [m]."""
        paths = self.worlds.draw(links, generator)
        device = paths.gain.device
        every = torch.tensor(self.bandwidths, dtype=torch.float64, device=device)
        which = torch.randint(len(every), (links,), generator=generator, device=device)
        unit = torch.rand(links, generator=generator, device=device, dtype=torch.float64)
        channel = Channel(
            bandwidth=every[which],
            subcarriers=self.subcarriers,
            array=ula(self.antennas),
            snr_db=self.snr_db[0] + (self.snr_db[1] - self.snr_db[0]) * unit,
            impairments=Impairments(common_phase=True),
        )
        with warnings.catch_warnings():
            # A reflection from beyond the alias is part of the worlds, as it is of the world.
            warnings.simplefilter("ignore", AliasWarning)
            sounding = channel.sound(paths, generator)
        seen = self._combs(links, generator, device)
        return sounding.with_csi(sounding.csi * seen), paths.user_position

    def forward(self, latents: Sequence[Latent], prepared: Prepared) -> Tensor:
        """Error over the stated one, and the stated covariance's surprise at the error."""
        (latent,), (sounding,), (position,) = latents, prepared.soundings, prepared.targets
        estimate = self.head(latent, sounding)
        away = (estimate.position - position)[:, :2]
        if estimate.scale is None:
            raise ValueError(
                f"{type(self.head).__name__} states no covariance: use a head that does, FrameHead"
            )
        # A share of the stated error, not of the distance: weights that follow from the channel
        # alone leave the best answer where it is, those of the unknown distance pull it inward.
        stated = estimate.scale.detach().square().sum((1, 2)).sqrt()
        loss = away.norm(dim=-1) / stated
        loss = loss + surprise(away.detach(), estimate.scale)
        mean: Tensor = loss.float().mean()
        return mean

    def _combs(self, links: int, generator: torch.Generator, device: torch.device) -> Tensor:
        """True where a link's comb has a pilot; most links have one everywhere."""
        step = torch.randint(2, 6, (links, 2), generator=generator, device=device)
        thin = torch.rand(links, generator=generator, device=device) < self.thinned
        step = torch.where(thin[:, None], step, 1)
        rows = torch.arange(self.antennas, device=device) % step[:, :1] == 0
        columns = torch.arange(self.subcarriers, device=device) % step[:, 1:] == 0
        grid: Tensor = rows[:, :, None] & columns[:, None, :]
        return grid
