"""The strongest plane wave of a channel: a first guess at range and direction, for any array."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor

from radiofix.physics.sharpening import Aperture, PlaneWaves, sharpened
from radiofix.types import SPEED_OF_LIGHT

_IN_CACHE = 64
"""Links whose beams and delays a CPU looks through at a time: more of them only move memory."""
FINER = 2
"""Beams and delays that are tried, for each that the array and the band resolve."""
_SLACK = 1.15
"""An array may be longer than half a wavelength an antenna by this much before it gets more beams:
so little leaves no gaps between them."""
LONGEST = 512.0
"""Of an array [wavelengths]: what is longer was told in another unit."""
_BETWEEN, _LAST = 2, 4
"""Rounds of sharpening after each new wave, and after the last."""


@dataclass(frozen=True, slots=True)
class Wave:
    """One plane wave a link, as a station sees it."""

    delay: Float[Tensor, " link"]
    """From 0 to below the alias at 1 / spacing; of `Waves.first` NaN where none is told [s]."""
    direction: Float[Tensor, " link"]
    """Cosine of the angle to the array's y axis, -1 to 1: sin(azimuth) of a level wave. NaN
    likewise."""
    gain: Complex[Tensor, " link"]

    def __getitem__(self, links: slice) -> Wave:
        """The waves of some links."""
        return Wave(self.delay[links], self.direction[links], self.gain[links])

    @property
    def range(self) -> Float[Tensor, " link"]:
        """Length of the way [m]."""
        return SPEED_OF_LIGHT * self.delay

    @property
    def azimuth(self) -> Float[Tensor, " link"]:
        """Of a level wave from the front, in the station's frame [rad]."""
        return torch.asin(self.direction.clamp(-1, 1))


def strongest_wave(
    csi: Complex[Tensor, "link antenna subcarrier"],
    frequency: Float[Tensor, "link subcarrier"],
    antenna: Float[Tensor, "link antenna 3"],
) -> Wave:
    """The highest peak over delays and level directions, between bins by parabolas.

    Where a comb of pilots shows one wave at several places alike, the earliest delay is taken, and
    any of the directions.

    Args:
        csi: zeros where nothing was observed; subcarriers evenly spaced.
        frequency: of each subcarrier, from the carrier [Hz].
        antenna: in the station's frame [wavelengths].
    """
    return _strongest(csi, frequency, antenna, count_beams(antenna))


def _strongest(
    csi: Complex[Tensor, "link antenna subcarrier"],
    frequency: Float[Tensor, "link subcarrier"],
    antenna: Float[Tensor, "link antenna 3"],
    beams: int,
) -> Wave:
    if csi.is_cpu and len(csi) > _IN_CACHE:
        pieces = zip(*(torch.split(t, _IN_CACHE) for t in (csi, frequency, antenna)), strict=True)
        waves = [_strongest(heard, tones, places, beams) for heard, tones, places in pieces]
        return Wave(*(torch.cat([getattr(w, n) for w in waves]) for n in Wave.__slots__))
    delays = FINER * csi.shape[2]
    direction = (torch.arange(beams, device=csi.device) + 0.5) * (2 / beams) - 1
    level = torch.stack([(1 - direction.square()).sqrt(), direction], -1)
    cycles = torch.einsum("lac,bc->lba", antenna[..., :2].to(level.dtype), level)
    steered = torch.polar(torch.ones_like(cycles), -2 * math.pi * cycles).to(csi.dtype) @ csi
    view = torch.view_as_real(torch.fft.ifft(steered, n=delays, dim=-1))
    power = view[..., 0].square().addcmul_(view[..., 1], view[..., 1])
    late = torch.arange(delays, device=csi.device) / delays
    # Pilots in a comb see waves several times over, equally high: the earliest is meant.
    power = power * (1 - 0.7 * late)
    peak = power.flatten(1).argmax(-1)
    row, column = peak // delays, peak % delays
    beam = row + _vertex(power, row, column, (1, 0))
    bin_ = column + _vertex(power, row, column, (0, 1))
    found = ((beam + 0.5) * (2 / beams) - 1).clamp(-1, 1)
    spacing = _spacing(frequency).to(frequency.dtype)
    # The last bins are those just before 0: a user beside the station, not one at the alias.
    share = bin_ / delays
    delay = torch.where(share > 0.95, 0.0, share).clamp(min=0) / spacing
    wave = Wave(delay, found, torch.ones_like(delay, dtype=csi.dtype))
    observed = (csi != 0).sum((1, 2)).clamp(min=1)
    gain = (csi * steering(wave, frequency, antenna).conj()).sum((1, 2)) / observed
    return Wave(delay, found, gain)


def count_beams(antenna: Float[Tensor, "link antenna 3"]) -> int:
    """Directions that are tried: enough for the longest of the arrays, however few its antennas."""
    antennas = antenna.shape[1]
    if not antenna.numel():
        return FINER * antennas
    span = float((antenna[..., :2].amax(1) - antenna[..., :2].amin(1)).max())
    needed = math.ceil(2 * min(span, LONGEST)) + 1
    return FINER * (antennas if needed <= _SLACK * antennas + 1 else needed)


def strongest_waves(
    csi: Complex[Tensor, "link antenna subcarrier"],
    frequency: Float[Tensor, "link subcarrier"],
    antenna: Float[Tensor, "link antenna 3"],
    count: int,
) -> list[Wave]:
    """One after the other, each the strongest of what those before it leave; then all sharpened.

    Args:
        csi: zeros where nothing was observed; subcarriers evenly spaced.
        frequency: of each subcarrier, from the carrier [Hz].
        antenna: in the station's frame [wavelengths].
        count: of waves that are looked for.
    """
    seen, left = csi != 0, csi
    spacing = _spacing(frequency)
    aperture = Aperture.of(frequency / spacing[:, None], antenna)
    observed = seen.sum((1, 2)).clamp(min=1)
    found, beams = PlaneWaves.none(csi), count_beams(antenna)
    for wave in range(count):
        fresh = _strongest(left, frequency, antenna, beams)
        turn, direction = (fresh.delay.double() * spacing)[:, None], fresh.direction[:, None]
        gain = aperture.match(left, turn, direction.double()) / observed[:, None]
        found = found.joined(PlaneWaves(turn, direction.double(), gain))
        found, left = sharpened(csi, aperture, found, _LAST if wave == count - 1 else _BETWEEN)
    delay = (found.turn / spacing[:, None]).clamp(min=0)
    gain = aperture.from_origin(found)
    return [Wave(*parts) for parts in zip(delay.T, found.direction.T, gain.T, strict=True)]


def _spacing(frequency: Float[Tensor, "link subcarrier"]) -> Float[Tensor, " link"]:
    """Of the subcarriers, 1 where there is but one [Hz]."""
    if frequency.shape[1] == 1:
        return frequency.new_ones(len(frequency)).double()
    return (frequency[:, 1] - frequency[:, 0]).double()


def steering(
    wave: Wave,
    frequency: Float[Tensor, "link subcarrier"],
    antenna: Float[Tensor, "link antenna 3"],
) -> Complex[Tensor, "link antenna subcarrier"]:
    """What the wave makes of a gain of 1 at each antenna and subcarrier."""
    level = torch.stack([(1 - wave.direction.square()).clamp(min=0).sqrt(), wave.direction], -1)
    across = (antenna[..., :2].to(level.dtype) @ level[..., None])[..., 0]
    # Whole turns are taken off in float64: 50 MHz times a microsecond is 50 of them.
    turns = frequency.double() * wave.delay.double()[:, None]
    along = (turns - turns.round()).to(level.dtype)
    phase = 2 * math.pi * (across[:, :, None] - along[:, None, :])
    return torch.polar(torch.ones_like(phase), phase)


def _vertex(
    power: Float[Tensor, "link beam delay"],
    row: Int[Tensor, " link"],
    column: Int[Tensor, " link"],
    step: tuple[int, int],
) -> Float[Tensor, " link"]:
    """How far beside its highest bin a peak lies along one axis, between -1/2 and 1/2."""
    links = torch.arange(len(power), device=power.device)
    beams, delays = power.shape[1:]
    around = [
        power[links, (row + n * step[0]).clamp(0, beams - 1), (column + n * step[1]) % delays]
        for n in (-1, 0, 1)
    ]
    bend = around[0] - 2 * around[1] + around[2]
    shift = 0.5 * (around[0] - around[2]) / torch.where(bend < 0, bend, -torch.ones_like(bend))
    return shift.clamp(-0.5, 0.5)
