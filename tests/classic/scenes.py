"""Links with waves where the tests want them."""

from __future__ import annotations

import torch
from torch import Tensor

from physics.links import changed, random_links
from radiofix.physics.arrays import ula
from radiofix.physics.channel import Channel
from radiofix.types import Paths

BANDWIDTH, SUBCARRIERS, ANTENNAS = 20e6, 64, 16
CHANNEL = Channel(BANDWIDTH, SUBCARRIERS, ula(ANTENNAS), snr_db=20.0)


def noisy(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def root_mean_square(values: Tensor) -> float:
    return float(values.double().square().mean().sqrt())


def links_of(delay: Tensor, direction: Tensor, gain: Tensor) -> Paths:
    """Level waves (link, wave) at a station at the origin that looks along x."""
    links, waves = delay.shape
    zero = torch.zeros(links, 3, dtype=torch.float64)
    return changed(
        random_links(links, waves),
        gain=gain.to(torch.complex64),
        delay=delay.double(),
        station_azimuth=torch.asin(direction.double()),
        station_zenith=torch.full((links, waves), torch.pi / 2, dtype=torch.float64),
        station_orientation=zero,
        carrier_frequency=torch.full((links,), 3.5e9, dtype=torch.float64),
    )


def single_waves(links: int, seed: int = 0, latest: float = 2e-6, widest: float = 0.9) -> Paths:
    """One wave a link, anywhere in delay and direction, of any phase."""
    generator = torch.Generator().manual_seed(seed)
    draw = torch.rand(links, 3, generator=generator, dtype=torch.float64)
    return links_of(
        latest * draw[:, :1],
        widest * (2 * draw[:, 1:2] - 1),
        1e-4 * torch.polar(torch.ones(links, 1).double(), 2 * torch.pi * draw[:, 2:]),
    )
