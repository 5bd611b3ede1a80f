"""Plane waves of a channel, and what estimators of them share: steering, gains, the first path."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

from radiofix.physics.gaps import comb_step
from radiofix.physics.panels import SAME, in_line
from radiofix.physics.strongest import Wave
from radiofix.types import Sounding

BEFORE = 0.05
"""Share of the alias, its end, that is read as just before 0: a user beside the station."""
BEYOND = 1 / 16
"""How far noise may carry a cosine beyond an end of its line, and so onto the other end."""
RIDGE = 1e-9
"""Keeps the gains of waves that coincide finite, in units of a wave's own energy."""


@dataclass(frozen=True, slots=True)
class Waves:
    """The plane waves found in each link, in the order in which they were found."""

    delay: Float[Tensor, "link wave"]
    """From -5 % to 95 % of the alias at 1 / spacing of the pilots [s]."""
    direction: Float[Tensor, "link wave"]
    """Cosine of the angle to the array's y axis: sin(zenith) sin(azimuth); noise may carry it a
    little beyond 1."""
    gain: Complex[Tensor, "link wave"]
    """0 where there is no wave."""
    tells_delay: Bool[Tensor, " link"]
    """Whether more than one subcarrier was observed; otherwise a delay is one of many as good."""
    tells_direction: Bool[Tensor, " link"]
    """Whether antennas were observed at more than one place; likewise."""

    def __len__(self) -> int:
        return len(self.gain)

    def __getitem__(self, links: Any) -> Waves:
        """The waves of some links."""
        return Waves(*(getattr(self, f.name)[links] for f in fields(Waves)))

    @property
    def present(self) -> Bool[Tensor, "link wave"]:
        """Where there is a wave at all."""
        return self.gain != 0

    def first(self, within_db: float = 10.0) -> Wave:
        """The direct path, as far as can be told: the earliest of the waves that count.

        Delay and direction are NaN of a link in which no wave was found, or which tells none.

        Args:
            within_db: how much weaker than the strongest a wave may be to count [dB].
        """
        if not within_db >= 0:
            raise ValueError(f"within_db must be at least 0, got {within_db:g}")
        size = self.gain.abs()
        lowest = size.amax(-1, keepdim=True) * 10 ** (-within_db / 20)
        counts = self.present & (size >= lowest)
        first = torch.where(counts, self.delay, torch.inf).argmin(-1, keepdim=True)
        strongest = size.argmax(-1, keepdim=True)
        first = torch.where(self.tells_delay[:, None], first, strongest)
        delay, direction, gain = (
            t.gather(1, first)[:, 0] for t in (self.delay, self.direction, self.gain)
        )
        found = self.present.any(-1)
        return Wave(
            torch.where(found & self.tells_delay, delay.clamp(min=0), torch.nan),
            torch.where(found & self.tells_direction, direction.clamp(-1, 1), torch.nan),
            gain,
        )

    @staticmethod
    def join(parts: Sequence[Waves]) -> Waves:
        """The waves of several batches of links, in order."""
        return Waves(*(torch.cat([getattr(p, f.name) for p in parts]) for f in fields(Waves)))


@dataclass(frozen=True, slots=True)
class Observed:
    """CSI with its array and band counted from the middle of what was observed.

    So counted, a wave's delay, direction and phase can be told from each other.
    """

    csi: Complex[Tensor, "link antenna subcarrier"]
    antenna: Float[Tensor, "link antenna 2"]
    """x and y from the centre [wavelengths]."""
    index: Float[Tensor, "link subcarrier"]
    """Of subcarriers from the centre, in float64 [spacings]."""
    antenna_seen: Float[Tensor, "link antenna"]
    """1 where anything was observed, else 0."""
    subcarrier_seen: Float[Tensor, "link subcarrier"]
    spacing: Float[Tensor, " link"]
    """Of the subcarriers [Hz]."""
    step: Float[Tensor, " link"]
    """Of the pilots [subcarriers]: delays alias at 1 / (step spacing)."""
    antenna_centre: Float[Tensor, "link 2"]
    """[wavelengths]."""
    index_centre: Float[Tensor, " link"]
    """[spacings]."""

    @classmethod
    def of(cls, sounding: Sounding) -> Observed:
        """Reads what was observed off the zeros: whole antennas and whole subcarriers.

        A panel is heard as one row, see `in_line`.
        """
        sounding = in_line(sounding)
        csi, frequency = sounding.csi, sounding.frequency.double()
        subcarriers = csi.shape[2]
        nonzero = csi != 0
        antenna_seen = nonzero.any(2).to(csi.real.dtype)
        subcarrier_seen = nonzero.any(1).to(csi.real.dtype)
        span = (frequency[:, -1] - frequency[:, 0]) / max(1, subcarriers - 1)
        spacing = torch.where(span > 0, span, torch.ones_like(span))
        index = frequency / spacing[:, None]
        level = sounding.antenna[..., :2].to(csi.real.dtype)
        index_centre = _centre(index[..., None], subcarrier_seen)[:, 0]
        antenna_centre = _centre(level, antenna_seen)
        return cls(
            csi=csi,
            antenna=level - antenna_centre[:, None],
            index=index - index_centre[:, None],
            antenna_seen=antenna_seen,
            subcarrier_seen=subcarrier_seen,
            spacing=spacing,
            step=comb_step(subcarrier_seen > 0),
            antenna_centre=antenna_centre,
            index_centre=index_centre,
        )

    def __getitem__(self, links: Any) -> Observed:
        """Some of the links."""
        return Observed(*(getattr(self, f.name)[links] for f in fields(Observed)))

    @property
    def count(self) -> Float[Tensor, " link"]:
        """Observed antennas times observed subcarriers; at least 1."""
        return (self.antenna_seen.sum(-1) * self.subcarrier_seen.sum(-1)).clamp(min=1)

    def over_antennas(
        self, direction: Float[Tensor, "link wave"]
    ) -> Complex[Tensor, "link wave antenna"]:
        """Steering over the antennas, 0 where none was observed."""
        x, y = self.antenna[:, None].unbind(-1)
        u = direction.to(x.dtype)[..., None]
        cycles = y * u + x * (1 - u.square()).clamp(min=0).sqrt()
        return torch.polar(self.antenna_seen[:, None].expand_as(cycles), 2 * math.pi * cycles)

    def over_subcarriers(
        self, turn: Float[Tensor, "link wave"]
    ) -> Complex[Tensor, "link wave subcarrier"]:
        """Phases over the subcarriers, 0 where none was observed.

        Args:
            turn: of the phase from one subcarrier to the next, spacing times delay [cycles].
        """
        cycles = self.index[:, None] * turn.double()[..., None]
        phase = (-2 * math.pi * (cycles - cycles.round())).to(self.csi.real.dtype)
        return torch.polar(self.subcarrier_seen[:, None].expand_as(phase), phase)

    def gains(
        self,
        turn: Float[Tensor, "link wave"],
        direction: Float[Tensor, "link wave"],
        present: Bool[Tensor, "link wave"],
    ) -> Complex[Tensor, "link wave"]:
        """Gains of all present waves of a link together, by least squares, at the centre."""
        return self.solved(self.over_antennas(direction), self.over_subcarriers(turn), present)

    def solved(
        self,
        antennas: Complex[Tensor, "link wave antenna"],
        subcarriers: Complex[Tensor, "link wave subcarrier"],
        present: Bool[Tensor, "link wave"],
    ) -> Complex[Tensor, "link wave"]:
        """The same of waves whose phases over the array and the band are known."""
        seen = ((antennas.conj() @ self.csi) * subcarriers.conj()).sum(-1)
        double = torch.complex128
        antennas, subcarriers = (antennas * present[..., None]).to(double), subcarriers.to(double)
        gram = (antennas.conj() @ antennas.mT) * (subcarriers.conj() @ subcarriers.mT)
        ridge = RIDGE * self.count.double()[:, None].expand(-1, antennas.shape[1])
        solved: Tensor = torch.linalg.solve(
            gram + torch.diag_embed(ridge).to(double), seen.to(double) * present
        )
        return solved.to(self.csi.dtype)

    def residual(
        self,
        turn: Float[Tensor, "link wave"],
        direction: Float[Tensor, "link wave"],
        gain: Complex[Tensor, "link wave"],
    ) -> Complex[Tensor, "link antenna subcarrier"]:
        """What the waves leave of the CSI."""
        weighted = gain[..., None] * self.over_antennas(direction)
        return torch.baddbmm(self.csi, weighted.mT, self.over_subcarriers(turn), alpha=-1)

    def waves(
        self,
        turn: Float[Tensor, "link wave"],
        direction: Float[Tensor, "link wave"],
        gain: Complex[Tensor, "link wave"],
    ) -> Waves:
        """Out of the centre's terms into those of the sounding, each wave within one alias.

        Directions may alias as well, see `one_side`.
        """
        alias = 1 / self.step.double()[:, None]
        late = turn.double()
        turn = (torch.remainder(late / alias + BEFORE, 1.0) - BEFORE) * alias
        u = direction.double()
        sided = one_side(u, gain, self.direction_alias, self.antenna_seen.sum(-1))
        x, y = self.antenna_centre.double().unbind(-1)
        cycles = late * self.index_centre[:, None] - y[:, None] * u
        cycles = cycles - x[:, None] * (1 - u.square()).clamp(min=0).sqrt()
        # What an alias is worth in phase, read off the first place that was observed.
        cycles = cycles - self._first(self.index, self.subcarrier_seen, self.index_centre) * (
            late - turn
        )
        cycles = cycles + self._first(self.antenna[..., 1], self.antenna_seen, y) * (u - sided)
        moved = gain * torch.polar(torch.ones_like(cycles), 2 * math.pi * cycles).to(gain.dtype)
        present = gain != 0
        delay = turn / self.spacing[:, None]
        return Waves(
            torch.where(present, delay, 0.0),
            torch.where(present, sided, 0.0),
            moved,
            tells_delay=self.subcarrier_seen.sum(-1) > 1,
            tells_direction=self._stand_apart,
        )

    @property
    def _stand_apart(self) -> Bool[Tensor, " link"]:
        """Whether any two antennas that were observed do, seen from above."""
        seen = self.antenna_seen[..., None] > 0
        low = torch.where(seen, self.antenna, torch.inf).amin(1)
        high = torch.where(seen, self.antenna, -torch.inf).amax(1)
        apart: Tensor = (high - low > SAME).any(-1)
        return apart

    @property
    def direction_alias(self) -> Float[Tensor, " link"]:
        """How far apart directions look alike to a uniform line array; more than 2 for others."""
        gaps = self.antenna.double().diff(dim=1)
        if not gaps.shape[1]:
            return torch.full_like(self.spacing, 4.0)
        bend = (gaps - gaps[:, :1]).abs().amax((1, 2)) + gaps[..., 0].abs().amax(1)
        gap = gaps[:, 0, 1].abs() * comb_step(self.antenna_seen > 0)
        return torch.where((bend < 1e-3) & (gap > 0.25), 1 / gap.clamp(min=0.25), 4.0)

    @staticmethod
    def _first(
        place: Float[Tensor, "link point"],
        seen: Float[Tensor, "link point"],
        centre: Float[Tensor, " link"],
    ) -> Float[Tensor, "link 1"]:
        first = seen.argmax(1, keepdim=True)
        return place.double().gather(1, first) + centre[:, None]


def one_side(
    direction: Float[Tensor, "link wave"],
    gain: Complex[Tensor, "link wave"],
    period: Float[Tensor, " link"],
    antennas: Float[Tensor, " link"],
) -> Float[Tensor, "link wave"]:
    """Directions that may as well be an alias away, brought to the likelier of both.

    Half a wavelength apart, antennas take the two ends of their line for each other. A wave within
    a beam of the strongest wave's alias belongs to the strongest (and may so come out a little
    beyond 1). A wave within half a beam of an end belongs to the end where the other waves' power
    comes from: what reflects off a street's walls arrives from the user's side. No wave comes from
    beyond an end, and noise carries none further than `BEYOND`: of few antennas, whose beam is
    wider, only waves as near to an end as that are moved out of the line.

    Args:
        direction: cosines to the array's y axis.
        gain: 0 where there is no wave.
        period: after which directions look alike.
        antennas: observed: a beam is period / antennas wide.
    """
    period = period[:, None]
    beam = period / antennas[:, None].clamp(min=1)
    strongest = direction.gather(1, gain.abs().argmax(-1, keepdim=True))
    across = direction - strongest
    nearest = across - period * (across / period).round()
    margin = beam.clamp(max=BEYOND)
    moved = strongest + nearest
    near = (nearest.abs() < beam) & (moved.abs() < 1 + margin)
    beside = torch.where(near, moved, direction)
    end = 1 - margin / 2
    other = beside - period * beside.sign()
    # Beyond an end only what was moved there is found, which is as doubtful.
    doubtful = (beside.abs() > end) & ((other.abs() - 1).abs() < margin)
    vote = (gain.abs().square() * beside * ~doubtful).sum(1, keepdim=True)
    return torch.where(doubtful & (vote * beside < 0), other, beside)


def _centre(
    place: Float[Tensor, "link point axis"], seen: Float[Tensor, "link point"]
) -> Float[Tensor, "link axis"]:
    weight = seen.to(place.dtype)[..., None]
    return (weight * place).sum(1) / weight.sum(1).clamp(min=1)
