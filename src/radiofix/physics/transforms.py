"""The delay-angle view of a channel (LWLM, section IV-B), and what its bins mean."""

from __future__ import annotations

import torch
from jaxtyping import Complex, Float
from torch import Tensor

_GRID = (-2, -1)


def delay_angle(
    csi: Complex[Tensor, "*batch antenna subcarrier"],
) -> Complex[Tensor, "*batch angle delay"]:
    """Delay-angle view W_theta^H H W_tau^* of the channel, with unitary DFT matrices W.

    This is T^DTI of the LWLM paper's section IV-B, the target of its eq. (10).
    """
    view: Tensor = torch.fft.ifft2(csi, dim=_GRID, norm="ortho")
    return view


def spatial_frequency(
    view: Complex[Tensor, "*batch angle delay"],
) -> Complex[Tensor, "*batch antenna subcarrier"]:
    """The channel that a delay-angle view was made of, W_theta V W_tau: `delay_angle` undone."""
    csi: Tensor = torch.fft.fft2(view, dim=_GRID, norm="ortho")
    return csi


def bin_delay(subcarriers: int, spacing: float) -> Float[Tensor, " delay"]:
    """Delay of each bin, from 0 up to just below the alias at 1 / spacing [s]."""
    return torch.arange(subcarriers, dtype=torch.float64) / (subcarriers * spacing)


def bin_direction(antennas: int, antenna_spacing: float = 0.5) -> Float[Tensor, " angle"]:
    """Direction cosine along a ULA of each bin; at half a wavelength from -1 to just below 1.

    The steering exp(+j 2 pi d u a) and the transform's own exp(+j 2 pi a i / antennas) cancel at
    i = -d u antennas, so that bins count the direction downward, modulo 1 / d.
    """
    bins = torch.arange(antennas, dtype=torch.float64) / antennas
    cycles = torch.remainder(0.5 - bins, 1.0) - 0.5
    return cycles / antenna_spacing
