"""The grid of subcarriers, the pilots on it, and 5G NR's numbers for both."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

RESOURCE_BLOCK = 12
"""Subcarriers in a resource block of NR."""
MOST_RESOURCE_BLOCKS = 275
"""The widest NR carrier (TS 38.211, 4.4.2)."""


def subcarrier_index(
    count: int, first: int | None = None, device: torch.device | str | None = None
) -> Int[Tensor, " subcarrier"]:
    """Whole numbers k of the subcarriers, at f_k = k * spacing from the carrier.

    Args:
        count: how many.
        first: the lowest k; None puts the carrier in the middle, k from -floor(count / 2). The
            LWLM paper and DeepMIMO count from 0.
        device: where the result lives.
    """
    if count < 1:
        raise ValueError(f"subcarriers must be at least 1, got {count}")
    start = -(count // 2) if first is None else first
    return torch.arange(start, start + count, device=device)


def comb(
    antennas: int,
    subcarriers: int,
    every_antenna: int = 1,
    every_subcarrier: int = 1,
    offset: int = 0,
    device: torch.device | str | None = None,
) -> Bool[Tensor, "antenna subcarrier"]:
    """True where a comb has a pilot: on every n-th antenna, every m-th subcarrier from `offset`."""
    antenna = torch.arange(antennas, device=device) % every_antenna == 0
    subcarrier = torch.arange(subcarriers, device=device) % every_subcarrier == offset
    return antenna[:, None] & subcarrier


@dataclass(frozen=True, slots=True)
class Pilots:
    """A comb of pilots; by default one on every antenna and subcarrier."""

    every_antenna: int = 1
    every_subcarrier: int = 1
    offset: int = 0
    """First subcarrier with a pilot (NR's comb offset)."""

    def __post_init__(self) -> None:
        for name in ("every_antenna", "every_subcarrier"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0 <= self.offset < self.every_subcarrier:
            raise ValueError(
                f"offset must be from 0 to {self.every_subcarrier - 1} for "
                f"every_subcarrier={self.every_subcarrier}, got {self.offset}"
            )

    @property
    def everywhere(self) -> bool:
        """Whether every antenna and subcarrier has a pilot."""
        return self.every_antenna == self.every_subcarrier == 1

    def mask(
        self, antennas: int, subcarriers: int, device: torch.device | str | None = None
    ) -> Bool[Tensor, "antenna subcarrier"]:
        """True where there is a pilot."""
        step = (self.every_antenna, self.every_subcarrier)
        return comb(antennas, subcarriers, *step, self.offset, device)


def nr_spacing(numerology: int) -> float:
    """Subcarrier spacing of an NR numerology, 15 kHz * 2^mu (TS 38.211, Table 4.2-1) [Hz]."""
    if numerology not in range(7):
        raise ValueError(f"numerology must be a whole number from 0 to 6, got {numerology!r}")
    return 15e3 * float(2**numerology)


def nr_subcarriers(resource_blocks: int) -> int:
    """Subcarriers of a number of NR resource blocks."""
    if resource_blocks not in range(1, MOST_RESOURCE_BLOCKS + 1):
        raise ValueError(
            f"resource_blocks must be a whole number from 1 to {MOST_RESOURCE_BLOCKS}, "
            f"got {resource_blocks!r}"
        )
    return RESOURCE_BLOCK * resource_blocks


def srs_pilots(transmission_comb: int, offset: int = 0) -> Pilots:
    """Pilots of NR's sounding reference signal, comb 2, 4 or 8 (TS 38.211, 6.4.1.4.3)."""
    if transmission_comb not in (2, 4, 8):
        raise ValueError(f"comb must be 2, 4 or 8, got {transmission_comb!r}")
    return Pilots(every_subcarrier=transmission_comb, offset=offset)
