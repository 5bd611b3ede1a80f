"""What people hand over for channels and stations, made what the library works with, or refused."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Complex
from numpy.typing import ArrayLike
from torch import Tensor

from radiofix.types import Station

FEWEST = 2
"""Subcarriers between which there is a delay to be seen."""


def given_csi(
    csi: Tensor | ArrayLike, antennas: int, subcarriers: int
) -> Complex[Tensor, "link antenna subcarrier"]:
    """CSI as complex64, if it is complex and of the channel's size.

    Args:
        csi: a tensor, or whatever NumPy takes for an array.
        antennas: of the channel.
        subcarriers: likewise.
    """
    values = csi if isinstance(csi, Tensor) else _tensor(csi)
    if not values.is_complex():
        raise ValueError(
            f"csi is real ({str(values.dtype).removeprefix('torch.')}): give complex numbers, "
            "real + 1j * imaginary"
        )
    if values.ndim != 3:
        raise ValueError(
            f"csi must be (link, antenna, subcarrier), got shape {tuple(values.shape)}: "
            "one link alone is csi[None]"
        )
    if tuple(values.shape[1:]) != (antennas, subcarriers):
        raise ValueError(
            f"csi has {values.shape[1]} antennas and {values.shape[2]} subcarriers, "
            f"the channel {antennas} and {subcarriers}: describe the channel it came through"
        )
    if subcarriers < FEWEST:
        raise ValueError(
            f"csi has {subcarriers} subcarrier, which tells no delay: give at least {FEWEST}"
        )
    return values.to(torch.complex64)


def given_stations(stations: Station | Sequence[Station], links: int) -> list[Station]:
    """The station of each link.

    Args:
        stations: one for all links or one for each.
        links: how many.
    """
    each = [stations] * links if isinstance(stations, Station) else list(stations)
    if len(each) != links:
        raise ValueError(f"{len(each)} stations for {links} links: give one, or one a link")
    return each


def _tensor(values: ArrayLike) -> Tensor:
    try:
        array = np.array(values)
        return torch.from_numpy(array)
    except (TypeError, ValueError):
        raise ValueError(
            f"csi must be an array of complex numbers, got {type(values).__name__}: "
            "make every link of the same antennas and subcarriers"
        ) from None
