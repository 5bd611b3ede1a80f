"""Which entries of a channel are hidden from the encoder, for every link anew."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Complex, Int
from torch import Tensor


class Mask(ABC):
    """A way to hide entries."""

    @abstractmethod
    def __call__(
        self, csi: Complex[Tensor, "link antenna subcarrier"], generator: torch.Generator
    ) -> Bool[Tensor, "link antenna subcarrier"]:
        """Draws what is hidden (True) of each link, whether or not it looks at the CSI."""


@dataclass(frozen=True, slots=True)
class AntennaSubcarrierMask(Mask):
    """Some antennas and some subcarriers, as published (Table I: 16 of 32 and 64 of 128)."""

    masked_antennas: int = 16
    masked_subcarriers: int = 64
    run: int = 1
    """Neighbours that are hidden together: 1, 2, 4, 8 for a curriculum."""

    def __call__(
        self, csi: Complex[Tensor, "link antenna subcarrier"], generator: torch.Generator
    ) -> Bool[Tensor, "link antenna subcarrier"]:
        """Draws what is hidden (True) of each link."""
        links, antennas, subcarriers = csi.shape
        hidden = (self.masked_antennas, self.masked_subcarriers)
        return antenna_subcarrier_mask(
            links, antennas, subcarriers, *hidden, generator, csi.device, self.run
        )


@dataclass(frozen=True, slots=True)
class GridMask(Mask):
    """Some whole patches."""

    masked_patches: int
    patch: tuple[int, int]
    """Antennas and subcarriers of a patch."""

    def __call__(
        self, csi: Complex[Tensor, "link antenna subcarrier"], generator: torch.Generator
    ) -> Bool[Tensor, "link antenna subcarrier"]:
        """Draws what is hidden (True) of each link."""
        links, antennas, subcarriers = csi.shape
        return grid_mask(
            links, antennas, subcarriers, self.masked_patches, self.patch, generator, csi.device
        )


@dataclass(frozen=True, slots=True)
class StripMask(Mask):
    """One strip of neighbouring antennas and one of neighbouring subcarriers."""

    masked_antennas: int
    masked_subcarriers: int

    def __call__(
        self, csi: Complex[Tensor, "link antenna subcarrier"], generator: torch.Generator
    ) -> Bool[Tensor, "link antenna subcarrier"]:
        """Draws what is hidden (True) of each link."""
        links, antennas, subcarriers = csi.shape
        hidden = (self.masked_antennas, self.masked_subcarriers)
        return strip_mask(links, antennas, subcarriers, *hidden, generator, csi.device)


def antenna_subcarrier_mask(
    links: int,
    antennas: int,
    subcarriers: int,
    masked_antennas: int,
    masked_subcarriers: int,
    generator: torch.Generator,
    device: torch.device,
    run: int = 1,
) -> Bool[Tensor, "link antenna subcarrier"]:
    """The complement of eq. 7's M: True where the antenna or the subcarrier is hidden.

    Runs of neighbours begin anywhere and wrap round, so that they keep no step with the patches.
    """
    rows = _runs(links, antennas, masked_antennas, run, generator, "antennas").to(device)
    columns = _runs(links, subcarriers, masked_subcarriers, run, generator, "subcarriers")
    return rows[:, :, None] | columns.to(device)[:, None, :]


def grid_mask(
    links: int,
    antennas: int,
    subcarriers: int,
    masked_patches: int,
    patch: tuple[int, int],
    generator: torch.Generator,
    device: torch.device,
) -> Bool[Tensor, "link antenna subcarrier"]:
    """True over whole patches, drawn singly."""
    if antennas % patch[0] or subcarriers % patch[1]:
        raise ValueError(
            f"{antennas} antennas and {subcarriers} subcarriers do not divide into patches "
            f"of {patch[0]} and {patch[1]}"
        )
    rows, columns = antennas // patch[0], subcarriers // patch[1]
    _expect_some_left(masked_patches, rows * columns, "patches")
    hidden = _order(links, rows * columns, generator) < masked_patches
    grid = hidden.to(device).reshape(links, rows, columns)
    return grid.repeat_interleave(patch[0], 1).repeat_interleave(patch[1], 2)


def strip_mask(
    links: int,
    antennas: int,
    subcarriers: int,
    masked_antennas: int,
    masked_subcarriers: int,
    generator: torch.Generator,
    device: torch.device,
) -> Bool[Tensor, "link antenna subcarrier"]:
    """True over one strip of antennas and one of subcarriers, anywhere, in one piece."""
    rows = _strip(links, antennas, masked_antennas, generator, "antennas").to(device)
    columns = _strip(links, subcarriers, masked_subcarriers, generator, "subcarriers")
    return rows[:, :, None] | columns.to(device)[:, None, :]


def _runs(
    links: int, length: int, masked: int, run: int, generator: torch.Generator, what: str
) -> Bool[Tensor, "link index"]:
    _expect_some_left(masked, length, what)
    if run < 1 or length % run or masked % run:
        raise ValueError(f"run={run} must divide both {length} {what} and the {masked} masked")
    chosen = _order(links, length // run, generator) < masked // run
    start = torch.randint(run, (links, 1), generator=generator, device=generator.device)
    place = (torch.arange(length, device=generator.device) + start) % length
    return chosen.gather(1, place // run)


def _strip(
    links: int, length: int, masked: int, generator: torch.Generator, what: str
) -> Bool[Tensor, "link index"]:
    _expect_some_left(masked, length, what)
    device = generator.device
    start = torch.randint(length - masked + 1, (links, 1), generator=generator, device=device)
    place = torch.arange(length, device=device)
    return (place >= start) & (place < start + masked)


def _order(links: int, length: int, generator: torch.Generator) -> Int[Tensor, "link index"]:
    """A permutation for each link."""
    draw = torch.rand(links, length, generator=generator, device=generator.device)
    return draw.argsort(-1)


def _expect_some_left(masked: int, length: int, what: str) -> None:
    if not 0 <= masked < length:
        raise ValueError(f"{masked} of {length} {what} masked: some must stay visible")
