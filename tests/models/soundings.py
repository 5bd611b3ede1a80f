"""Small soundings of random links for the tests of models and objectives."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn

from radiofix.models.latent import Latent
from radiofix.types import Sounding, Truth

ANTENNAS, SUBCARRIERS = 8, 16


def normal(*shape: int, seed: int = 0) -> Tensor:
    """Standard normal numbers, complex64."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.complex64)


def random_sounding(links: int = 6, seed: int = 0, stations: int = 3) -> Sounding:
    """Links of users 0, 1, 2 ... to stations in turn, of two bandwidths."""
    generator = torch.Generator().manual_seed(seed)
    station = torch.arange(links) % stations
    places = 100 * torch.randn(stations, 3, generator=generator, dtype=torch.float64)
    index = torch.arange(SUBCARRIERS) - SUBCARRIERS // 2
    bandwidth = torch.where(torch.arange(links) % 2 == 0, 10e6, 50e6)
    antenna = torch.zeros(links, ANTENNAS, 3)
    antenna[..., 1] = 0.5 * torch.arange(ANTENNAS)
    return Sounding(
        csi=1e-4 * normal(links, ANTENNAS, SUBCARRIERS, seed=seed),
        frequency=bandwidth[:, None] / SUBCARRIERS * index,
        antenna=antenna,
        station_position=places[station],
        station_orientation=torch.randn(links, 3, generator=generator, dtype=torch.float64),
        user=torch.arange(links),
        station=station,
    )


def steady_sounding(links: int = 6, seed: int = 0, stations: int = 3) -> Sounding:
    """Such links whose stations always look the same way."""
    sounding = random_sounding(links, seed, stations)
    generator = torch.Generator().manual_seed(seed)
    looks = torch.randn(stations, 3, generator=generator, dtype=torch.float64)
    return replaced(sounding, station_orientation=looks[sounding.station])


def waving_sounding(links: int = 6, seed: int = 0, stations: int = 3) -> Sounding:
    """Such links, but of one plane wave with a tenth of its power in noise."""
    sounding = random_sounding(links, seed, stations)
    generator = torch.Generator().manual_seed(seed + 1000)
    turn, across = (torch.rand(links, 1, generator=generator) for _ in range(2))
    along = 0.9 * turn * torch.arange(SUBCARRIERS)
    phase = (across - 0.5) * torch.arange(ANTENNAS)
    wave = torch.exp(2j * torch.pi * (phase[:, :, None] - along[:, None]))
    return sounding.with_csi(1e-4 * wave + 0.3 * sounding.csi)


def random_truth(links: int = 6, seed: int = 1) -> Truth:
    """Users tens of metres apart, every third without line of sight."""
    generator = torch.Generator().manual_seed(seed)
    position = 40 * torch.randn(links, 3, generator=generator, dtype=torch.float64) + 200
    return Truth(position, torch.arange(links) % 3 > 0)


def random_latent(links: int = 6, tokens: int = 8, dim: int = 16, seed: int = 2) -> Latent:
    """Latents of mean 0 and deviation 1 that take gradients."""
    generator = torch.Generator().manual_seed(seed)
    summary = torch.randn(links, dim, generator=generator, requires_grad=True)
    return Latent(summary, torch.randn(links, tokens, dim, generator=generator, requires_grad=True))


def replaced(sounding: Sounding, **fields: Tensor) -> Sounding:
    """The same links with other values in some fields."""
    return dataclasses.replace(sounding, **fields)


def gradient(module: nn.Module) -> dict[str, float]:
    """Largest absolute gradient of every parameter; -1 where there is none."""
    return {
        name: -1.0 if p.grad is None else float(p.grad.abs().max())
        for name, p in module.named_parameters()
    }
