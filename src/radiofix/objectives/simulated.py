"""Simulated supervision, ours: positions in random worlds of mirror images, without any scene."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
from torch import Tensor

from radiofix.models.heads import StationHead
from radiofix.objectives.objective import Prepared, Views
from radiofix.objectives.placing import Placing
from radiofix.objectives.thinning import thin
from radiofix.physics.arrays import ula
from radiofix.physics.channel import AliasWarning, Channel
from radiofix.physics.impairments import Impairments
from radiofix.physics.worlds import Worlds
from radiofix.types import Sounding


class Simulated(Placing):
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
        super().__init__(head)
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
        return thin(sounding, self.thinned, generator), paths.user_position
