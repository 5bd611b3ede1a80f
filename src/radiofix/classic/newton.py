"""One wave's turn and direction climbed by Newton's method, on what other waves leave."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from radiofix.classic.waves import Observed

Peak = tuple[Tensor, Tensor, Tensor]
"""Turn, direction and gain of each link's wave."""


@dataclass(frozen=True, slots=True)
class Rest:
    """CSI less some waves. It is never formed: what is seen of the waves is taken off after."""

    csi: Complex[Tensor, "link antenna subcarrier"]
    gain: Complex[Tensor, "link wave"]
    antennas: Complex[Tensor, "link wave antenna"]
    subcarriers: Complex[Tensor, "link wave subcarrier"]

    @staticmethod
    def whole(csi: Complex[Tensor, "link antenna subcarrier"]) -> Rest:
        """Less no wave at all."""
        return Rest(
            csi, csi.new_empty(len(csi), 0), csi.new_empty(len(csi), 0, csi.shape[1]), csi[:, :0]
        )

    def seen(
        self,
        across: Complex[Tensor, "link row antenna"],
        along: Complex[Tensor, "link column subcarrier"],
    ) -> Complex[Tensor, "link row column"]:
        """a^H (H - sum of g a_w b_w^T) b* of all rows a and columns b."""
        across, along = across.conj(), along.conj().mT
        found = (across @ self.csi) @ along
        weighted = (across @ self.antennas.mT) * self.gain[:, None]
        return torch.baddbmm(found, weighted, self.subcarriers @ along, alpha=-1)


@dataclass(frozen=True, slots=True)
class Steered:
    """One wave a link, with its phases over the array and the band."""

    turn: Float[Tensor, " link"]
    direction: Float[Tensor, " link"]
    antennas: Complex[Tensor, "link antenna"]
    subcarriers: Complex[Tensor, "link subcarrier"]
    height: Complex[Tensor, " link"]
    """a^H R b*; 0 until it was seen."""

    @staticmethod
    def at(
        observed: Observed, turn: Float[Tensor, " link"], direction: Float[Tensor, " link"]
    ) -> Steered:
        """A wave that has yet to be correlated."""
        antennas = observed.over_antennas(direction[:, None])[:, 0]
        subcarriers = observed.over_subcarriers(turn[:, None])[:, 0]
        return Steered(turn, direction, antennas, subcarriers, torch.zeros_like(antennas[:, 0]))

    def peak(self, observed: Observed) -> Peak:
        """Where it is, and the gain at which it explains most."""
        return self.turn, self.direction, self.height / observed.count

    def or_higher(self, other: Steered) -> Steered:
        """Of each link, whichever correlates more; this one, if both do alike."""
        better = other.height.abs() > self.height.abs()
        wide = better[:, None]
        return Steered(
            torch.where(better, other.turn, self.turn),
            torch.where(better, other.direction, self.direction),
            torch.where(wide, other.antennas, self.antennas),
            torch.where(wide, other.subcarriers, self.subcarriers),
            torch.where(better, other.height, self.height),
        )


def refined(observed: Observed, rest: Rest, wave: Steered, steps: int) -> Steered:
    """Climbs |a^H R b*|^2 of one wave by Newton's method, its gain always the best.

    Newton's method sees the logarithm, which one wave alone makes concave over its whole main
    lobe. Where it is not, a step of Fisher scoring is taken, which leads up. The highest place
    that was visited is kept.
    """
    best = wave
    reach = 0.5 / observed.csi.shape[2], 1 / observed.csi.shape[1]
    for _ in range(steps):
        moments, spread = _moments(observed, rest, wave)
        wave = replace(wave, height=moments[:, 0, 0].to(observed.csi.dtype))
        best = best.or_higher(wave)
        step = _newton(moments, spread)
        turn = wave.turn + step[0].clamp(-reach[0], reach[0])
        direction = (wave.direction + step[1].clamp(-reach[1], reach[1])).clamp(-1, 1)
        wave = Steered.at(observed, turn, direction)
    seen = rest.seen(wave.antennas[:, None], wave.subcarriers[:, None])[:, 0, 0]
    return best.or_higher(replace(wave, height=seen))


def _moments(
    observed: Observed, rest: Rest, wave: Steered
) -> tuple[Complex[Tensor, "link 3 3"], Float[Tensor, "2 link"]]:
    """Derivatives of a^H R b*, by direction along rows, by turn along columns; and both spreads.

    A spread is the mean square of the phase's derivative: what one wave's curvature would be.
    """
    a, b = wave.antennas, wave.subcarriers
    x, y = observed.antenna.unbind(-1)
    u = wave.direction.to(x.dtype)[:, None]
    level = (1 - u.square()).clamp(min=1e-6)
    slope = 2 * math.pi * (y - x * u / level.sqrt())
    bend = -2 * math.pi * x / (level * level.sqrt())
    across = torch.stack([a, 1j * slope * a, (1j * bend - slope.square()) * a], 1)
    rate = (2 * math.pi * observed.index).to(x.dtype)
    along = torch.stack([b, -1j * rate * b, -rate.square() * b], 1)
    spread = torch.stack(
        [
            (rate.square() * observed.subcarrier_seen).sum(-1)
            / observed.subcarrier_seen.sum(-1).clamp(min=1),
            (slope.square() * observed.antenna_seen).sum(-1)
            / observed.antenna_seen.sum(-1).clamp(min=1),
        ]
    )
    return rest.seen(across, along).to(torch.complex128), spread.double()


def _newton(
    moments: Complex[Tensor, "link 3 3"], spread: Float[Tensor, "2 link"]
) -> tuple[Float[Tensor, " link"], Float[Tensor, " link"]]:
    """The step in turn and direction that the logarithm of |z|^2 asks for."""
    z, z_t, z_u = moments[:, 0, 0], moments[:, 0, 1], moments[:, 1, 0]
    power = z.abs().square().clamp(min=1e-300)
    slope_t, slope_u = ((z.conj() * d).real for d in (z_t, z_u))
    bend_t = (z.conj() * moments[:, 0, 2]).real + z_t.abs().square() - 2 * slope_t**2 / power
    bend_u = (z.conj() * moments[:, 2, 0]).real + z_u.abs().square() - 2 * slope_u**2 / power
    mixed = (z.conj() * moments[:, 1, 1] + z_u.conj() * z_t).real - 2 * slope_t * slope_u / power
    determinant = bend_t * bend_u - mixed.square()
    round_ = (bend_t < 0) & (bend_u < 0) & (determinant > 0)
    safe = torch.where(round_, determinant, 1.0)
    step_t = torch.where(
        round_,
        (mixed * slope_u - bend_u * slope_t) / safe,
        slope_t / (power * spread[0].clamp(min=1e-12)),
    )
    step_u = torch.where(
        round_,
        (mixed * slope_t - bend_t * slope_u) / safe,
        slope_u / (power * spread[1].clamp(min=1e-12)),
    )
    return step_t, step_u
