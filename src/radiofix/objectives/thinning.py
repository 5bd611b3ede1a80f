"""Combs of pilots drawn at random, so that a model meets channels with gaps."""

from __future__ import annotations

import torch
from jaxtyping import Bool
from torch import Tensor

from radiofix.types import Sounding


def combs(
    links: int, antennas: int, subcarriers: int, thinned: float, generator: torch.Generator
) -> Bool[Tensor, "link antenna subcarrier"]:
    """True where a link's comb has a pilot: every 2 to 5 for a share of links, else everywhere."""
    device = generator.device
    step = torch.randint(2, 6, (links, 2), generator=generator, device=device)
    thin = torch.rand(links, generator=generator, device=device) < thinned
    step = torch.where(thin[:, None], step, 1)
    rows = torch.arange(antennas, device=device) % step[:, :1] == 0
    columns = torch.arange(subcarriers, device=device) % step[:, 1:] == 0
    return rows[:, :, None] & columns[:, None, :]


def thin(sounding: Sounding, thinned: float, generator: torch.Generator) -> Sounding:
    """The sounding, a share of its links seen on a comb alone."""
    links, antennas, subcarriers = sounding.csi.shape
    seen = combs(links, antennas, subcarriers, thinned, generator)
    return sounding.with_csi(sounding.csi * seen)
