"""Views of random links, and encoders that show what reaches them, for the tests of objectives."""

from __future__ import annotations

import torch
from torch import nn

from models.soundings import ANTENNAS, SUBCARRIERS, normal, random_sounding
from radiofix.models.decoders import ContrastDecoder, ReconstructionDecoder
from radiofix.models.latent import Latent
from radiofix.models.lwlm import LwlmEncoder
from radiofix.objectives.dti import Dti
from radiofix.objectives.masking import AntennaSubcarrierMask
from radiofix.objectives.objective import Objective, Views
from radiofix.objectives.picl import Picl
from radiofix.objectives.sfmcm import Sfmcm
from radiofix.types import Sounding

PARTS = {"sfmcm": (0, 12), "dti": (12, 24), "picl": (24, 32)}
DIM = 32


def random_views(links: int = 6, seed: int = 0) -> Views:
    """Three different channels of each user."""
    first, second, widest = (random_sounding(links, seed + i) for i in range(3))
    return Views(first, second, widest)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def decoder(dim: int) -> ReconstructionDecoder:
    return ReconstructionDecoder(dim, 1, 2, 16, ANTENNAS, SUBCARRIERS, (4, 4), dropout=0.0)


def small_objectives() -> dict[str, Objective]:
    """The three published objectives, small, their weights always the same."""
    torch.manual_seed(0)
    mask = AntennaSubcarrierMask(4, 8)
    return {
        "sfmcm": Sfmcm(decoder(12), mask, PARTS["sfmcm"]),
        "dti": Dti(decoder(12), PARTS["dti"]),
        "picl": Picl(ContrastDecoder(8, 6), PARTS["picl"]),
    }


class CountingEncoder(nn.Module):
    """A small published encoder that remembers how many links each call brought it."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.dim = DIM
        self.inner = LwlmEncoder(ANTENNAS, SUBCARRIERS, DIM, 1, 2, 16, dropout=0.0)
        self.calls: list[int] = []

    def forward(self, sounding: Sounding) -> Latent:
        self.calls.append(len(sounding))
        return self.inner(sounding)


class Answer(nn.Module):
    """A decoder that says what it is told to, whatever the latent."""

    def __init__(self, dim: int, answer: torch.Tensor) -> None:
        super().__init__()
        self.dim = dim
        self.answer = answer

    def forward(self, part: Latent) -> torch.Tensor:
        return self.answer


def any_grid(links: int = 6, seed: int = 9) -> torch.Tensor:
    """Complex numbers in the shape of the channels."""
    return normal(links, ANTENNAS, SUBCARRIERS, seed=seed)
