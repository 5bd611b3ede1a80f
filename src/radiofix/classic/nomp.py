"""Newtonised orthogonal matching pursuit: waves off the grid, and as many as the noise allows."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from radiofix.classic.newton import Rest, Steered, refined
from radiofix.classic.omp import Grid, blocks, energy
from radiofix.classic.waves import Observed, Waves
from radiofix.types import Sounding


@dataclass(frozen=True, slots=True)
class Nomp:
    """Wave after wave: a peak on a grid, Newton's method, then all waves so far in turn.

    A wave is kept if noise alone would show a peak as high in `false_alarm` of the links.
    """

    waves: int = 5
    """At most."""
    false_alarm: float = 0.01
    """Probability that a link of noise alone is given a wave."""
    steps: int = 3
    """Of Newton's method for a new wave."""
    rounds: int = 3
    """Through all waves, after each new one."""
    range_db: float = 60.0
    """Waves weaker than the strongest by more are left out: rounding looks like waves [dB]."""
    grid: Grid = field(default_factory=Grid)

    def __post_init__(self) -> None:
        for name in ("waves", "steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0 < self.false_alarm < 1:
            raise ValueError(f"false_alarm must be between 0 and 1, got {self.false_alarm:g}")

    def __call__(
        self, sounding: Sounding, noise_variance: Float[Tensor, " link"] | None = None
    ) -> Waves:
        """The waves of each link.

        Args:
            sounding: of the links.
            noise_variance: E|n|^2 of an entry of the CSI; None takes what the waves leave.
        """
        parts = []
        for block in blocks(sounding):
            noise = None if noise_variance is None else noise_variance[block]
            parts.append(self._block(Observed.of(sounding[block]), noise))
        return Waves.join(parts)

    def _block(self, observed: Observed, noise: Float[Tensor, " link"] | None) -> Waves:
        links, device = len(observed.csi), observed.csi.device
        turn = torch.zeros(links, self.waves, dtype=torch.float64, device=device)
        direction = torch.zeros_like(turn)
        gain = torch.zeros(links, self.waves, dtype=observed.csi.dtype, device=device)
        steering = observed.over_antennas(self.grid.directions(observed)[None])
        active = energy(observed.csi).nonzero()[:, 0]
        for wave in range(self.waves):
            if not len(active):
                break
            here = observed[active]
            t, u, g = (s[active, :wave] for s in (turn, direction, gain))
            rest = here.residual(t, u, g) if wave else here.csi
            start = self.grid.highest(rest, here, steering[active])
            best = refined(here, Rest.whole(rest), Steered.at(here, *start), self.steps)
            fresh = best.peak(here)
            kept = self._kept(
                fresh[2], g, energy(rest), here, None if noise is None else noise[active]
            )
            active = active[kept]
            found = [
                torch.cat([s, f[:, None]], 1)[kept] for s, f in zip((t, u, g), fresh, strict=True)
            ]
            t, u, g = self._in_turn(observed[active], *found)
            turn[active, : wave + 1], direction[active, : wave + 1] = t, u
            gain[active, : wave + 1] = g
        return observed.waves(turn, direction, gain)

    def _kept(
        self,
        fresh: Complex[Tensor, " link"],
        gain: Complex[Tensor, "link wave"],
        left: Float[Tensor, " link"],
        observed: Observed,
        noise: Float[Tensor, " link"] | None,
    ) -> Tensor:
        """Whether a new wave stands out of the noise, and is not rounding of a stronger one."""
        height = observed.count * fresh.abs().square()
        if noise is None:
            noise = (left - height).clamp(min=0) / observed.count
        threshold = peak_threshold(observed.count, self.false_alarm)
        strongest = torch.cat([gain, fresh[:, None]], 1).abs().amax(-1)
        return (height > threshold * noise) & (
            fresh.abs() >= strongest * 10 ** (-self.range_db / 20)
        )

    def _in_turn(
        self,
        observed: Observed,
        turn: Float[Tensor, "link wave"],
        direction: Float[Tensor, "link wave"],
        gain: Complex[Tensor, "link wave"],
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Each wave again, on what the others leave; then all gains together."""
        waves = turn.shape[1]
        if waves == 1:
            return turn, direction, gain
        everyone = torch.ones_like(turn, dtype=torch.bool)
        turn, direction, gain = turn.clone(), direction.clone(), gain.clone()
        antennas, subcarriers = observed.over_antennas(direction), observed.over_subcarriers(turn)
        unseen = torch.zeros_like(gain[:, 0])
        for _ in range(self.rounds):
            for wave in range(waves):
                others = [n for n in range(waves) if n != wave]
                rest = Rest(
                    observed.csi, gain[:, others], antennas[:, others], subcarriers[:, others]
                )
                t, u, a, b = (s[:, wave] for s in (turn, direction, antennas, subcarriers))
                best = refined(observed, rest, Steered(t, u, a, b, unseen), 1)
                turn[:, wave], direction[:, wave], gain[:, wave] = best.peak(observed)
                antennas[:, wave], subcarriers[:, wave] = best.antennas, best.subcarriers
            gain = observed.solved(antennas, subcarriers, everyone)
        return turn, direction, gain


def peak_threshold(count: Float[Tensor, " link"], false_alarm: float) -> Float[Tensor, " link"]:
    """Height of a peak over the noise's variance that noise alone reaches with a probability.

    Of `count` entries of noise the expected number of peaks above x is about
    count (pi / 3) x exp(-x) in two dimensions (Rice's formula), solved for x by iteration.
    """
    scale = math.pi / 3 * count / -math.log1p(-false_alarm)
    threshold = (scale + math.e).log()
    for _ in range(10):
        threshold = (scale * threshold.clamp(min=1)).log().clamp(min=1)
    return threshold
