"""Antenna arrays in the station's frame, and the patterns of their elements."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from radiofix.physics.rotation import wrap

Pattern = Callable[[Tensor, Tensor], Tensor]
"""Local azimuth and zenith [rad] to linear amplitude; 1 is an isotropic element."""


@dataclass(frozen=True, slots=True)
class Isotropic:
    """An element that sees every direction alike."""

    def __call__(self, azimuth: Tensor, zenith: Tensor) -> Tensor:
        """Amplitude 1 in every direction."""
        return torch.ones_like(azimuth)


ISOTROPIC = Isotropic()


@dataclass(frozen=True, slots=True)
class Sector:
    """The sector element of 3GPP TR 38.901, Table 7.3-1, that looks along local x."""

    beamwidth: float = math.radians(65)
    """Full width at half power, in azimuth and in zenith [rad]."""
    front_to_back: float = 30.0
    """A_max [dB]."""
    side_lobe: float = 30.0
    """SLA_V [dB]."""
    gain: float = 8.0
    """G_E,max [dBi]."""

    def __post_init__(self) -> None:
        if not 0 < self.beamwidth <= 2 * math.pi:
            raise ValueError(f"beamwidth must be in (0, 2 pi] rad, got {self.beamwidth:g}")
        for name in ("front_to_back", "side_lobe"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must be at least 0 dB, got {getattr(self, name):g}")

    def __call__(self, azimuth: Tensor, zenith: Tensor) -> Tensor:
        """Linear amplitude toward a local azimuth and zenith [rad]."""
        vertical = (12 * ((zenith - math.pi / 2) / self.beamwidth) ** 2).clamp(max=self.side_lobe)
        horizontal = (12 * (wrap(azimuth) / self.beamwidth) ** 2).clamp(max=self.front_to_back)
        loss = (vertical + horizontal).clamp(max=self.front_to_back)
        return torch.pow(10.0, (self.gain - loss) / 20)


@dataclass(frozen=True, slots=True, eq=False)
class Array:
    """Where a station's antennas sit, in its own frame (x: broadside, z: up)."""

    positions: Float[Tensor, "antenna 3"]
    unit: Literal["wavelength", "metre"] = "wavelength"
    """What `positions` count in; wavelengths scale with the carrier, metres do not."""
    pattern: Pattern = ISOTROPIC

    def __post_init__(self) -> None:
        shape = tuple(self.positions.shape)
        if len(shape) != 2 or shape[0] < 1 or shape[1] != 3:
            raise ValueError(f"positions must have shape (antenna, 3), got {shape}")
        if not bool(torch.isfinite(self.positions).all()):
            raise ValueError("positions must be finite: an antenna has NaN or infinite coordinates")
        if self.unit not in ("wavelength", "metre"):
            raise ValueError(f'unit must be "wavelength" or "metre", got {self.unit!r}')
        if not callable(self.pattern):
            raise ValueError(
                f"pattern must map azimuth and zenith to an amplitude, got {self.pattern!r}"
            )
        object.__setattr__(self, "positions", self.positions.double())

    def __len__(self) -> int:
        return len(self.positions)


def ula(antennas: int, spacing: float = 0.5, pattern: Pattern = ISOTROPIC) -> Array:
    """A uniform linear array along local y, centred, antenna 0 at the -y end.

    Args:
        antennas: how many.
        spacing: between neighbours [wavelengths].
        pattern: of every element.
    """
    return upa(1, antennas, column_spacing=spacing, pattern=pattern)


def upa(
    rows: int,
    columns: int,
    row_spacing: float = 0.5,
    column_spacing: float = 0.5,
    pattern: Pattern = ISOTROPIC,
) -> Array:
    """A uniform planar array in the local y-z plane, centred.

    Antennas go down a column (from +z) before the next column (from -y), which is the order of
    Sionna's PlanarArray: antenna = column * rows + row.

    Args:
        rows: along z.
        columns: along y.
        row_spacing: between rows [wavelengths].
        column_spacing: between columns [wavelengths].
        pattern: of every element.
    """
    _expect_count("antennas" if rows == 1 else "columns", columns)
    _expect_count("rows", rows)
    _expect_positive("spacing", row_spacing)
    _expect_positive("spacing", column_spacing)
    y = (torch.arange(columns, dtype=torch.float64) - (columns - 1) / 2) * column_spacing
    z = ((rows - 1) / 2 - torch.arange(rows, dtype=torch.float64)) * row_spacing
    y, z = torch.meshgrid(y, z, indexing="ij")
    return Array(torch.stack([torch.zeros_like(y), y, z], -1).reshape(-1, 3), pattern=pattern)


def uca(antennas: int, radius: float, pattern: Pattern = ISOTROPIC) -> Array:
    """A uniform circular array in the local x-y plane, antenna 0 on x, counter-clockwise.

    Args:
        antennas: how many.
        radius: of the circle [wavelengths].
        pattern: of every element, looking along local x.
    """
    _expect_count("antennas", antennas)
    _expect_positive("radius", radius)
    turn = 2 * math.pi * torch.arange(antennas, dtype=torch.float64) / antennas
    circle = torch.stack([turn.cos(), turn.sin(), torch.zeros_like(turn)], -1)
    return Array(radius * circle, pattern=pattern)


def elements(
    positions: Float[Tensor, "antenna 3"],
    pattern: Pattern = ISOTROPIC,
) -> Array:
    """An array of antennas at any positions in the station's frame [m]."""
    return Array(torch.as_tensor(positions), unit="metre", pattern=pattern)


def _expect_count(name: str, value: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")


def _expect_positive(name: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name} must be positive, got {value:g}")
