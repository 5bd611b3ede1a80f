"""Orthogonal matching pursuit on a grid of delays and directions: the LWLM paper's baseline."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor

from radiofix.classic.waves import Observed, Waves
from radiofix.types import Sounding

_BLOCK = {"cpu": 256, "cuda": 1024}
"""Links that are worked on at a time."""
_ON_GRID = 8
"""Links whose whole grid is looked at together on a CPU: what fits its cache."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Delays and directions that are tried."""

    finer: int = 2
    """For each that the band and the array resolve."""
    zoom: int = 1
    """So many times finer it is around its best place, which is where an even grid as fine would
    have its own, at a fraction of the work."""

    def __post_init__(self) -> None:
        for name in ("finer", "zoom"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")

    def directions(self, observed: Observed) -> Float[Tensor, " beam"]:
        """Evenly spaced cosines, ends left out."""
        span = float((observed.antenna.amax(1) - observed.antenna.amin(1)).max())
        beams = self.finer * max(observed.antenna.shape[1], math.ceil(2 * span) + 1)
        place = torch.arange(beams, device=observed.csi.device, dtype=torch.float64)
        return (place + 0.5) * (2 / beams) - 1

    def highest(
        self,
        residual: Complex[Tensor, "link antenna subcarrier"],
        observed: Observed,
        steering: Complex[Tensor, "link beam antenna"],
    ) -> tuple[Float[Tensor, " link"], Float[Tensor, " link"]]:
        """Turn (spacing times delay) and direction at which one wave explains most.

        Args:
            residual: what is to be explained.
            observed: the links, for their pilots.
            steering: over the antennas, of `directions`.
        """
        delays = self.finer * residual.shape[2]
        fits = _ON_GRID if residual.device.type == "cpu" else len(residual)
        peak = torch.cat(
            [
                self._peak(*(t[start : start + fits] for t in (residual, steering, observed.step)))
                for start in range(0, len(residual), fits)
            ]
        )
        row, column = peak // delays, peak % delays
        turn, direction = column.double() / delays, self.directions(observed)[row]
        if self.zoom == 1:
            return turn, direction
        return self._closer(residual, observed, turn, direction)

    def _peak(
        self,
        residual: Complex[Tensor, "link antenna subcarrier"],
        steering: Complex[Tensor, "link beam antenna"],
        step: Float[Tensor, " link"],
    ) -> Int[Tensor, " link"]:
        """Number of the highest place, delays of the first direction first."""
        delays = self.finer * residual.shape[2]
        view = torch.view_as_real(torch.fft.ifft(steering.conj() @ residual, n=delays, dim=-1))
        power = view[..., 0].square().addcmul_(view[..., 1], view[..., 1])
        if bool((step > 1).any()):
            # Beyond the pilots' alias the same waves come again, sampled elsewhere.
            late = torch.arange(delays, device=power.device) * step[:, None] >= delays
            power = power.masked_fill(late[:, None], 0.0)
        return power.flatten(1).argmax(-1)

    def _closer(
        self,
        residual: Complex[Tensor, "link antenna subcarrier"],
        observed: Observed,
        turn: Float[Tensor, " link"],
        direction: Float[Tensor, " link"],
    ) -> tuple[Float[Tensor, " link"], Float[Tensor, " link"]]:
        """The best place of a finer grid that reaches from a place to its neighbours."""
        step = torch.arange(-self.zoom, self.zoom + 1, device=turn.device).double() / self.zoom
        gap = 2 / len(self.directions(observed))
        turns = turn[:, None] + step / (self.finer * residual.shape[2])
        directions = (direction[:, None] + step * gap).clamp(-1, 1)
        match = (observed.over_antennas(directions).conj() @ residual) @ (
            observed.over_subcarriers(turns).conj().mT
        )
        best = match.abs().flatten(1).argmax(-1, keepdim=True)
        row, column = best // len(step), best % len(step)
        return turns.gather(1, column)[:, 0], directions.gather(1, row)[:, 0]


@dataclass(frozen=True, slots=True)
class Omp:
    """Wave after wave from the grid, all gains anew by least squares after each."""

    waves: int = 5
    """At most."""
    stop_db: float = 30.0
    """A link is done when what is left lies this far below the whole [dB]."""
    grid: Grid = field(default_factory=lambda: Grid(zoom=16))

    def __post_init__(self) -> None:
        if self.waves < 1:
            raise ValueError(f"waves must be at least 1, got {self.waves}")

    def __call__(self, sounding: Sounding) -> Waves:
        """The waves of each link, on the grid."""
        return Waves.join([self._block(Observed.of(sounding[b])) for b in blocks(sounding)])

    def _block(self, observed: Observed) -> Waves:
        steering = observed.over_antennas(self.grid.directions(observed)[None])
        whole = energy(observed.csi)
        residual = observed.csi
        turn = whole.new_zeros(len(whole), 0, dtype=torch.float64)
        direction, gain = turn, turn.to(observed.csi.dtype)
        found = torch.zeros_like(turn, dtype=torch.bool)
        for _ in range(self.waves):
            going = energy(residual) > whole * 10 ** (-self.stop_db / 10)
            next_turn, next_direction = self.grid.highest(residual, observed, steering)
            turn = torch.cat([turn, next_turn[:, None]], 1)
            direction = torch.cat([direction, next_direction[:, None]], 1)
            found = torch.cat([found, going[:, None]], 1)
            gain = observed.gains(turn, direction, found)
            residual = observed.residual(turn, direction, gain)
        return observed.waves(turn, direction, gain)


def blocks(sounding: Sounding, fits: Mapping[str, int] = _BLOCK) -> list[slice]:
    """Links that are worked on at a time, for the sake of cache and memory.

    Args:
        sounding: at least one link.
        fits: how many, by the kind of device; unknown ones take as many as CUDA.
    """
    if not len(sounding):
        raise ValueError("there are no waves in 0 links: give at least one")
    count = fits.get(sounding.csi.device.type, fits["cuda"])
    return [slice(start, start + count) for start in range(0, len(sounding), count)]


def energy(csi: Complex[Tensor, "link antenna subcarrier"]) -> Float[Tensor, " link"]:
    """Sum of |H|^2 of each link."""
    return torch.view_as_real(csi).square().flatten(1).sum(-1)
