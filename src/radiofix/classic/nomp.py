"""Newtonised orthogonal matching pursuit: waves off the grid, and as many as the noise allows."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from radiofix.classic.omp import Grid, blocks, energy
from radiofix.classic.waves import Observed, Waves
from radiofix.types import Sounding

Place = tuple[Tensor, Tensor, Tensor]


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
            here = observed[active]
            t, u, g = (s[active, :wave] for s in (turn, direction, gain))
            rest = here.residual(t, u, g) if wave else here.csi
            start = self.grid.highest(rest, here, steering[active])
            fresh = refined(here, rest, *start, self.steps)
            kept = self._kept(
                fresh[2], g, energy(rest), here, None if noise is None else noise[active]
            )
            active = active[kept]
            if not len(active):
                break
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
        everyone = torch.ones_like(turn, dtype=torch.bool)
        for _ in range(self.rounds if waves > 1 else 0):
            for wave in range(waves):
                others = [n for n in range(waves) if n != wave]
                rest = observed.residual(turn[:, others], direction[:, others], gain[:, others])
                t, u, g = refined(observed, rest, turn[:, wave], direction[:, wave], 1)
                turn, direction, gain = turn.clone(), direction.clone(), gain.clone()
                turn[:, wave], direction[:, wave], gain[:, wave] = t, u, g
            gain = observed.gains(turn, direction, everyone)
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


def refined(
    observed: Observed,
    residual: Complex[Tensor, "link antenna subcarrier"],
    turn: Float[Tensor, " link"],
    direction: Float[Tensor, " link"],
    steps: int,
) -> tuple[Float[Tensor, " link"], Float[Tensor, " link"], Complex[Tensor, " link"]]:
    """Climbs |a^H R b*|^2 of one wave by Newton's method, its gain always the best.

    Newton's method sees the logarithm, which one wave alone makes concave over its whole main
    lobe. Where it is not, a step of Fisher scoring is taken, which leads up. The highest place
    that was visited is kept.
    """
    best = turn, direction, torch.zeros_like(residual[:, 0, 0])
    reach = 0.5 / observed.csi.shape[2], 1 / observed.csi.shape[1]
    for _ in range(steps):
        moments, spread = _moments(observed, residual, turn, direction)
        best = _higher(best, (turn, direction, moments[:, 0, 0].to(residual.dtype)))
        step = _newton(moments, spread)
        turn = turn + step[0].clamp(-reach[0], reach[0])
        direction = (direction + step[1].clamp(-reach[1], reach[1])).clamp(-1, 1)
    last = _correlation(observed, residual, turn, direction)
    turn, direction, height = _higher(best, (turn, direction, last))
    return turn, direction, height / observed.count


def _higher(first: Place, second: Place) -> Place:
    """Turn, direction and correlation of whichever correlates more."""
    better = second[2].abs() > first[2].abs()
    turn, direction, height = (
        torch.where(better, b, a) for a, b in zip(first, second, strict=True)
    )
    return turn, direction, height


def _correlation(
    observed: Observed,
    residual: Complex[Tensor, "link antenna subcarrier"],
    turn: Float[Tensor, " link"],
    direction: Float[Tensor, " link"],
) -> Complex[Tensor, " link"]:
    a, b = observed.over_antennas(direction[:, None]), observed.over_subcarriers(turn[:, None])
    return ((a.conj() @ residual) * b.conj()).sum((1, 2))


def _moments(
    observed: Observed,
    residual: Complex[Tensor, "link antenna subcarrier"],
    turn: Float[Tensor, " link"],
    direction: Float[Tensor, " link"],
) -> tuple[Complex[Tensor, "link 3 3"], Float[Tensor, "2 link"]]:
    """Derivatives of a^H R b*, by direction along rows, by turn along columns; and both spreads.

    A spread is the mean square of the phase's derivative: what one wave's curvature would be.
    """
    a, b = (
        observed.over_antennas(direction[:, None])[:, 0],
        observed.over_subcarriers(turn[:, None])[:, 0],
    )
    x, y = observed.antenna.unbind(-1)
    u = direction.to(x.dtype)[:, None]
    level = (1 - u.square()).clamp(min=1e-6)
    slope = 2 * math.pi * (y - x * u / level.sqrt())
    bend = -2 * math.pi * x / level**1.5
    across = torch.stack([a, 1j * slope * a, (1j * bend - slope.square()) * a], 1)
    rate = (2 * math.pi * observed.index).to(x.dtype)
    along = torch.stack([b, -1j * rate * b, -rate.square() * b], 1)
    moments = (across.conj() @ residual) @ along.conj().mT
    spread = torch.stack(
        [
            (rate.square() * observed.subcarrier_seen).sum(-1)
            / observed.subcarrier_seen.sum(-1).clamp(min=1),
            (slope.square() * observed.antenna_seen).sum(-1)
            / observed.antenna_seen.sum(-1).clamp(min=1),
        ]
    )
    return moments.to(torch.complex128), spread.double()


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
