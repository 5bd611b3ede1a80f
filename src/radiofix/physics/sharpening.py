"""Waves of a link to a fraction of what array and band resolve: all of them fitted at once."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
from jaxtyping import Complex, Float
from torch import Tensor

_SURE, _DOUBTFUL = 0.3, 5.0
"""What becomes of the damping after a step that helped, and after one that did not."""
_DAMPING = 1e-2
"""To begin with, as a share of the normal equations' diagonal."""


@dataclass(frozen=True, slots=True)
class PlaneWaves:
    """Several plane waves a link, as its array and band see them."""

    turn: Float[Tensor, "link wave"]
    """Of the phase from one subcarrier to the next: spacing times delay [cycles]."""
    direction: Float[Tensor, "link wave"]
    """Cosine of the angle to the array's y axis."""
    gain: Complex[Tensor, "link wave"]
    """In the middle of the array and of the band."""

    @staticmethod
    def none(csi: Complex[Tensor, "link antenna subcarrier"]) -> PlaneWaves:
        """No waves yet."""
        none = torch.zeros(len(csi), 0, dtype=torch.float64, device=csi.device)
        return PlaneWaves(none, none, none.to(csi.dtype))

    def joined(self, more: PlaneWaves) -> PlaneWaves:
        """These and more of the same links."""
        return PlaneWaves(
            *(torch.cat([getattr(self, f.name), getattr(more, f.name)], 1) for f in fields(self))
        )

    def where(self, better: Tensor, other: PlaneWaves) -> PlaneWaves:
        """These where they are better, else the others."""
        return PlaneWaves(
            *(
                torch.where(better[:, None], getattr(self, f.name), getattr(other, f.name))
                for f in fields(PlaneWaves)
            )
        )


@dataclass(frozen=True, slots=True)
class Aperture:
    """What a link was observed with: antennas and subcarriers, counted from their middles."""

    antenna: Float[Tensor, "link antenna 2"]
    """x and y [wavelengths]."""
    index: Float[Tensor, "link subcarrier"]
    """In float64 [spacings]."""
    middle: Float[Tensor, "link 2"]
    """Of the array, from its own origin [wavelengths]."""
    index_middle: Float[Tensor, " link"]
    """Of the band, from the carrier [spacings]."""

    @staticmethod
    def of(
        index: Float[Tensor, "link subcarrier"], antenna: Float[Tensor, "link antenna 3"]
    ) -> Aperture:
        """Counts from the middle.

        Args:
            index: of subcarriers [spacings].
            antenna: in the station's frame [wavelengths].
        """
        level, index = antenna[..., :2].float(), index.double()
        middle, centre = level.mean(1), index.mean(1)
        return Aperture(level - middle[:, None], index - centre[:, None], middle, centre)

    def from_origin(self, waves: PlaneWaves) -> Complex[Tensor, "link wave"]:
        """The gains at the array's origin and the carrier."""
        x, y = self.middle.double()[:, None].unbind(-1)
        u = waves.direction.double()
        cycles = waves.turn.double() * self.index_middle[:, None] - y * u
        cycles = cycles - x * (1 - u.square()).clamp(min=0).sqrt()
        turned = torch.polar(torch.ones_like(cycles), 2 * math.pi * cycles)
        return waves.gain * turned.to(waves.gain.dtype)

    def match(
        self,
        csi: Complex[Tensor, "link antenna subcarrier"],
        turn: Float[Tensor, "link wave"],
        direction: Float[Tensor, "link wave"],
    ) -> Complex[Tensor, "link wave"]:
        """What each wave alone has in common with the CSI: its gain, times observed entries."""
        across, along = self.over_antennas(direction)[0], self.over_subcarriers(turn)[0]
        matched: Tensor = ((across.conj() @ csi) * along.conj()).sum(-1)
        return matched

    def over_antennas(
        self, direction: Float[Tensor, "link wave"]
    ) -> tuple[Complex[Tensor, "link wave antenna"], Complex[Tensor, "link wave antenna"]]:
        """Steering vectors and their derivatives by the direction."""
        x, y = self.antenna[:, None].unbind(-1)
        u = direction.to(x.dtype)[..., None]
        front = (1 - u.square()).clamp(min=1e-6).sqrt()
        cycles = y * u + x * front
        steering = torch.polar(torch.ones_like(cycles), 2 * math.pi * cycles)
        return steering, 2j * math.pi * (y - x * u / front) * steering

    def over_subcarriers(
        self, turn: Float[Tensor, "link wave"]
    ) -> tuple[Complex[Tensor, "link wave subcarrier"], Complex[Tensor, "link wave subcarrier"]]:
        """Phases over the subcarriers and their derivatives by the turn."""
        cycles = self.index[:, None] * turn.double()[..., None]
        phase = (-2 * math.pi * (cycles - cycles.round())).to(self.antenna.dtype)
        rotating = torch.polar(torch.ones_like(phase), phase)
        return rotating, -2j * math.pi * self.index[:, None].to(phase.dtype) * rotating


def sharpened(
    csi: Complex[Tensor, "link antenna subcarrier"],
    aperture: Aperture,
    start: PlaneWaves,
    rounds: int,
) -> tuple[PlaneWaves, Complex[Tensor, "link antenna subcarrier"]]:
    """Least squares over delays, directions and gains of all waves at once.

    Levenberg's and Marquardt's steps; what does not lower a link's residual is not taken. Where
    observed entries are no whole rows and columns their normal equations are those of a like share
    of all entries; the gradient is exact.

    Args:
        csi: zeros where nothing was observed.
        aperture: of the links.
        start: where to begin.
        rounds: of steps.

    Returns:
        The waves, and what they leave of the CSI.
    """
    seen = csi != 0
    share = seen.flatten(1).double().mean(1).clamp(min=1e-6)
    waves, left = start, _left(csi, seen, aperture, start)
    energy = _energy(left)
    damping = torch.full_like(energy, _DAMPING)
    for _ in range(rounds):
        tried = _step(left, aperture, waves, share, damping)
        rest = _left(csi, seen, aperture, tried)
        lower = _energy(rest)
        better = lower < energy
        waves = tried.where(better, waves)
        left = torch.where(better[:, None, None], rest, left)
        energy = torch.where(better, lower, energy)
        damping = damping * torch.where(better, _SURE, _DOUBTFUL)
    return waves, left


def _left(
    csi: Complex[Tensor, "link antenna subcarrier"],
    seen: Tensor,
    aperture: Aperture,
    waves: PlaneWaves,
) -> Complex[Tensor, "link antenna subcarrier"]:
    """What the waves leave of what was observed."""
    across, along = (
        aperture.over_antennas(waves.direction)[0],
        aperture.over_subcarriers(waves.turn)[0],
    )
    weighted = (waves.gain[..., None] * across).mT
    return torch.baddbmm(csi, weighted, along, alpha=-1) * seen


def _energy(csi: Complex[Tensor, "link antenna subcarrier"]) -> Float[Tensor, " link"]:
    return torch.view_as_real(csi).square().flatten(1).sum(-1).double()


def _step(
    left: Complex[Tensor, "link antenna subcarrier"],
    aperture: Aperture,
    waves: PlaneWaves,
    share: Float[Tensor, " link"],
    damping: Float[Tensor, " link"],
) -> PlaneWaves:
    """The waves after one step."""
    count = waves.turn.shape[1]
    a, a_slope = aperture.over_antennas(waves.direction)
    b, b_slope = aperture.over_subcarriers(waves.turn)
    # Of each wave: itself, its derivative by the turn, and by the direction.
    across, along = torch.cat([a, a, a_slope], 1), torch.cat([b, b_slope, b], 1)
    double = torch.complex128
    gram = (across.conj() @ across.mT).to(double) * (along.conj() @ along.mT).to(double)
    match = ((across.conj() @ left) * along.conj()).sum(-1).to(double)
    # A gain's real and imaginary part are two numbers of the same shape.
    shape = torch.arange(3 * count, device=left.device)
    shape = torch.cat([shape[:count], shape])
    gain = waves.gain.to(double)
    ones = torch.ones_like(gain)
    factor = torch.cat([ones, 1j * ones, gain, gain], 1)
    normal = gram[:, shape][:, :, shape] * factor.conj()[:, :, None] * factor[:, None]
    normal = normal.real * share[:, None, None]
    slope = (match[:, shape] * factor.conj()).real
    diagonal = normal.diagonal(dim1=-2, dim2=-1)
    ridge = damping[:, None] * diagonal + 1e-9 * diagonal.amax(-1, keepdim=True) + 1e-30
    solved = torch.linalg.solve(normal + torch.diag_embed(ridge), slope[..., None])[..., 0]
    real, imaginary, turn, direction = solved.split(count, 1)
    # No further at once than what array and band resolve.
    antennas, subcarriers = left.shape[1:]
    turn = turn.clamp(-0.5 / subcarriers, 0.5 / subcarriers)
    direction = direction.clamp(-1 / antennas, 1 / antennas)
    return PlaneWaves(
        waves.turn + turn,
        (waves.direction + direction).clamp(-1, 1),
        waves.gain + torch.complex(real, imaginary).to(waves.gain.dtype),
    )
