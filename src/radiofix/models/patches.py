"""Channels cut into patches that know where they lie: in wavelengths and in hertz."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Complex, Float
from torch import Tensor, nn

from radiofix.types import Sounding

WAVELENGTHS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
"""Periods with which a patch's place in the array is told [wavelengths]."""
MEGAHERTZ = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0)
"""Periods with which a patch's place in the band is told [MHz]."""
PLACE_FEATURES = 3 * (2 * len(WAVELENGTHS) + 1) + 2 * len(MEGAHERTZ) + 1


def cut(
    csi: Complex[Tensor, "link antenna subcarrier"], antennas: int, subcarriers: int
) -> Float[Tensor, "link patch value"]:
    """Patches of so many antennas and subcarriers: real part, imaginary part, whether observed.

    What is missing to whole patches is filled up as not observed. Patches go through the
    subcarriers first.
    """
    rows, columns = -csi.shape[1] % antennas, -csi.shape[2] % subcarriers
    seen = (csi != 0).to(csi.real.dtype)
    planes = torch.cat([torch.view_as_real(csi), seen[..., None]], -1)
    planes = F.pad(planes, (0, 0, 0, columns, 0, rows))
    links, height, width, depth = planes.shape
    grid = planes.view(
        links, height // antennas, antennas, width // subcarriers, subcarriers, depth
    )
    return grid.permute(0, 1, 3, 2, 4, 5).flatten(3).flatten(1, 2)


def places(
    sounding: Sounding, antennas: int, subcarriers: int
) -> Float[Tensor, "link patch feature"]:
    """Where each patch of `cut` lies in the array and in the band, as bounded numbers."""
    antenna, antenna_step = _middles(sounding.antenna, antennas)
    frequency, frequency_step = _middles(sounding.frequency[..., None] / 1e6, subcarriers)
    rows = torch.cat([_waves(antenna, WAVELENGTHS), antenna_step], -1)
    columns = torch.cat([_waves(frequency, MEGAHERTZ), frequency_step], -1)
    links, height, width = len(rows), rows.shape[1], columns.shape[1]
    features = [
        rows[:, :, None].expand(links, height, width, -1),
        columns[:, None].expand(links, height, width, -1),
    ]
    return torch.cat(features, -1).flatten(1, 2)


def _middles(
    values: Float[Tensor, "link entry axis"], size: int
) -> tuple[Float[Tensor, "link group axis"], Float[Tensor, "link group axis"]]:
    """Mean of each `size` neighbours, and the mean step between them."""
    missing = -values.shape[1] % size
    padded = torch.cat([values, values[:, -1:].expand(-1, missing, -1)], 1)
    grouped = padded.view(len(padded), -1, size, padded.shape[-1])
    step = (grouped[:, :, -1] - grouped[:, :, 0]) / max(1, size - 1)
    return grouped.mean(2), step


def _waves(
    values: Float[Tensor, "link group axis"], periods: tuple[float, ...]
) -> Float[Tensor, "link group feature"]:
    turn = 2 * torch.pi * values[..., None] / values.new_tensor(periods)
    return torch.cat([turn.sin(), turn.cos()], -1).flatten(2)


class PatchTokens(nn.Module):
    """A linear view of each patch, with its place added to it."""

    def __init__(self, dim: int, antennas: int = 8, subcarriers: int = 8) -> None:
        super().__init__()
        self.patch = (antennas, subcarriers)
        self.values = nn.Linear(3 * antennas * subcarriers, dim)
        self.place = nn.Sequential(nn.Linear(PLACE_FEATURES, dim), nn.GELU(), nn.Linear(dim, dim))

    def forward(
        self, csi: Complex[Tensor, "link antenna subcarrier"], sounding: Sounding
    ) -> Float[Tensor, "link patch dim"]:
        """Tokens of the CSI, given apart since it may be scaled, with the sounding's places."""
        places_of = places(sounding, *self.patch)
        tokens: Tensor = self.values(cut(csi, *self.patch)) + self.place(places_of)
        return tokens
