"""What a model remembers of single stations, so that one channel may mean two places at two."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from radiofix.physics.rotation import wrap
from radiofix.types import Sounding

SAME_PLACE = 0.1
"""Stations this close to each other [m] that look the same way are one."""
SAME_WAY = 0.01
"""[rad], in each angle."""


class StationMemory(nn.Module):
    """A vector for each station that was met in training; zero for every other.

    Stations are known by where they stand and look: a store's columns mean nothing elsewhere, and
    a scene that is moved or mirrored is another scene. From half a wavelength apart an array hears
    the two ends of a street alike; which of them has users is a matter of the site.
    """

    station: Float[Tensor, "slot 6"]

    def __init__(self, slots: int, dim: int) -> None:
        """Room for `slots` stations; those that are met after it is full stay strangers."""
        super().__init__()
        self.vectors = nn.Parameter(torch.zeros(slots, dim))
        self.register_buffer("station", torch.full((slots, 6), torch.nan, dtype=torch.float64))

    def meet(self, sounding: Sounding) -> None:
        """Keeps a slot for each station that is not known yet."""
        for pose in torch.unique(sounding.station_pose, dim=0):
            free = self.station.isnan().any(-1).nonzero()
            if len(free) and not bool(same_station(pose[None], self.station).any()):
                self.station[free[0, 0]] = pose

    def forward(self, sounding: Sounding) -> Float[Tensor, "link dim"]:
        """What is remembered of each link's station."""
        known = same_station(sounding.station_pose, self.station).to(self.vectors.dtype)
        return known @ self.vectors


def same_station(
    pose: Float[Tensor, "link 6"], known: Float[Tensor, "station 6"]
) -> Bool[Tensor, "link station"]:
    """Whether poses are those of known stations; a pose of NaN is nobody's."""
    away = pose[:, None] - known.to(pose.device)
    near = away[..., :3].abs() < SAME_PLACE
    return near.all(-1) & (wrap(away[..., 3:]).abs() < SAME_WAY).all(-1)


def meet(encoder: object, soundings: Iterable[Sounding]) -> None:
    """Makes the stations of training links known to an encoder that remembers stations."""
    if isinstance(encoder, nn.Module):
        memories = [part for part in encoder.modules() if isinstance(part, StationMemory)]
        for sounding in soundings if memories else ():
            for memory in memories:
                memory.meet(sounding)
