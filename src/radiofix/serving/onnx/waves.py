"""The strongest wave, and a channel seen from it, without a complex number: ONNX has none.

The same search as `radiofix.physics.strongest`, whose tests its own are compared with.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from radiofix.physics.gaps import bridged_parts
from radiofix.physics.presence import beyond_chance
from radiofix.physics.strongest import FINER
from radiofix.types import SPEED_OF_LIGHT


@dataclass(frozen=True, slots=True)
class RealSounding:
    """A sounding whose CSI is two real tensors; what was not observed is 0 in both."""

    real: Float[Tensor, "link antenna subcarrier"]
    imaginary: Float[Tensor, "link antenna subcarrier"]
    frequency: Float[Tensor, "link subcarrier"]
    """From the carrier [Hz]."""
    antenna: Float[Tensor, "link antenna 3"]
    """In the station's frame [wavelengths]."""
    station_position: Float[Tensor, "link 3"]
    """[m]."""
    station_orientation: Float[Tensor, "link 3"]
    """Yaw, pitch, roll [rad]."""

    @property
    def station_pose(self) -> Float[Tensor, "link 6"]:
        """Where each link's station stands [m] and looks [rad]."""
        return torch.cat([self.station_position, self.station_orientation], -1).double()

    @property
    def bandwidth(self) -> Float[Tensor, " link"]:
        """Subcarriers times their spacing [Hz]."""
        span = self.frequency[:, -1] - self.frequency[:, 0]
        subcarriers = _count(self.frequency[0])
        return span * (subcarriers / (subcarriers - 1))

    @property
    def squared(self) -> Float[Tensor, "link antenna subcarrier"]:
        """|H|^2."""
        return self.real.square() + self.imaginary.square()

    @property
    def seen(self) -> Float[Tensor, "link antenna subcarrier"]:
        """1 where something was observed, 0 elsewhere."""
        return ((self.real != 0) | (self.imaginary != 0)).to(self.real.dtype)

    @property
    def power(self) -> Float[Tensor, " link"]:
        """Mean |H|^2 of each link over what was observed."""
        squared = self.squared.flatten(1)
        return squared.sum(-1) / (squared > 0).sum(-1).clamp(min=1)

    def where(self, heard: Bool[Tensor, " link"]) -> RealSounding:
        """The same, with zeros for the CSI of links that were not heard."""
        parts = (torch.where(heard[:, None, None], p, 0.0) for p in (self.real, self.imaginary))
        return dataclasses.replace(self, **dict(zip(("real", "imaginary"), parts, strict=True)))

    def at_unit_power(self, power: Float[Tensor, " link"]) -> tuple[Tensor, Tensor]:
        """Both parts over the root of each link's power; 0 stays 0."""
        scale = torch.where(power > 0, power, torch.ones_like(power)).rsqrt()[:, None, None]
        return self.real * scale, self.imaginary * scale


@dataclass(frozen=True, slots=True)
class RealWave:
    """`radiofix.physics.strongest.Wave` with its gain in two parts."""

    delay: Float[Tensor, " link"]
    """[s]."""
    direction: Float[Tensor, " link"]
    """Cosine of the angle to the array's y axis."""
    gain_real: Float[Tensor, " link"]
    gain_imaginary: Float[Tensor, " link"]

    @property
    def range(self) -> Float[Tensor, " link"]:
        """Length of the way [m]."""
        return SPEED_OF_LIGHT * self.delay

    @property
    def azimuth(self) -> Float[Tensor, " link"]:
        """Of a level wave from the front, in the station's frame [rad]."""
        return torch.asin(self.direction.clamp(-1, 1))


def strongest_wave(sounding: RealSounding) -> RealWave:
    """The highest peak over delays and level directions, between bins by parabolas."""
    antennas, subcarriers = sounding.real.shape[1:]
    order = torch.arange(FINER * antennas).to(sounding.real.dtype)
    late = torch.arange(FINER * subcarriers).to(sounding.real.dtype)
    every_beam, every_delay = _count(order), _count(late)
    direction = (order + 0.5) * (2 / every_beam) - 1
    power = _beam_power(sounding, direction, late)
    power = (power * (1 - 0.7 * late / every_delay)).flatten(1)
    peak, delays = power.argmax(-1), every_delay.long()
    row, column = peak // delays, peak % delays
    last = every_beam.long() - 1
    across = [torch.minimum((row + n).clamp(min=0), last) for n in (-1, 0, 1)]
    along = [(column + n) % delays for n in (-1, 0, 1)]
    beam = row + _vertex([_at(power, r * delays + column) for r in across])
    bin_ = column + _vertex([_at(power, row * delays + c) for c in along])
    found = ((beam + 0.5) * (2 / every_beam) - 1).clamp(-1, 1)
    spacing = sounding.frequency[:, 1] - sounding.frequency[:, 0]
    share = bin_ / every_delay
    delay = torch.where(share > 0.95, torch.zeros_like(share), share).clamp(min=0) / spacing
    return RealWave(delay, found, *_gain(sounding, delay, found))


def shows_a_wave(sounding: RealSounding, wave: RealWave) -> Bool[Tensor, " link"]:
    """`radiofix.physics.presence.shows_a_wave`."""
    cos, sin = (part[:, None] for part in _turned(sounding, wave.delay))
    real = (sounding.real * cos - sounding.imaginary * sin).sum(-1)
    imaginary = (sounding.imaginary * cos + sounding.real * sin).sum(-1)
    beams, delays = FINER * _count(sounding.antenna[0, :, 0]), FINER * _count(sounding.frequency[0])
    return beyond_chance(
        gain=wave.gain_real.square() + wave.gain_imaginary.square(),
        matched=real.square() + imaginary.square(),
        energy=sounding.squared.sum((1, 2)),
        seen=sounding.seen.sum(-1),
        cells=torch.stack([beams, delays]),
    )


def from_wave(sounding: RealSounding, wave: RealWave) -> RealSounding:
    """The sounding with the wave's delay and phase taken off its CSI; its direction stays."""
    cos, sin = _turned(sounding, wave.delay)
    size = (wave.gain_real.square() + wave.gain_imaginary.square()).sqrt()
    size = torch.where(size > 0, size, torch.ones_like(size))
    unit_real = (wave.gain_real / size)[:, None]
    unit_imaginary = (wave.gain_imaginary / size)[:, None]
    # conj(exp(-j 2 pi f tau) g / |g|) = (cos + j sin)(g_r - j g_i) / |g|
    back_real = (cos * unit_real + sin * unit_imaginary)[:, None]
    back_imaginary = (sin * unit_real - cos * unit_imaginary)[:, None]
    return RealSounding(
        sounding.real * back_real - sounding.imaginary * back_imaginary,
        sounding.real * back_imaginary + sounding.imaginary * back_real,
        sounding.frequency,
        sounding.antenna,
        sounding.station_position,
        sounding.station_orientation,
    )


def bridged(sounding: RealSounding) -> RealSounding:
    """`radiofix.physics.gaps.bridged`."""
    real, imaginary = bridged_parts(sounding.real, sounding.imaginary)
    return dataclasses.replace(sounding, real=real, imaginary=imaginary)


def _beam_power(
    sounding: RealSounding, direction: Float[Tensor, " beam"], delay: Float[Tensor, " delay"]
) -> Float[Tensor, "link beam delay"]:
    """Power of every beam at every delay: two products with tables of cosines and sines."""
    cos, sin = _turns(-_cycles(sounding, direction))
    real = cos @ sounding.real - sin @ sounding.imaginary
    imaginary = cos @ sounding.imaginary + sin @ sounding.real
    # Whole turns are taken off: no phase is ever larger than one.
    delays = _count(delay)
    step = torch.arange(sounding.real.shape[2])[:, None] * delay
    table_cos, table_sin = _turns(torch.remainder(step, delays) / delays)
    parts = torch.cat([real, imaginary], -1)
    late_real = parts @ torch.cat([table_cos, -table_sin])
    late_imaginary = parts @ torch.cat([table_sin, table_cos])
    return (late_real.square() + late_imaginary.square()) / delays.square()


def _gain(
    sounding: RealSounding, delay: Float[Tensor, " link"], direction: Float[Tensor, " link"]
) -> tuple[Float[Tensor, " link"], Float[Tensor, " link"]]:
    """Of a wave, by its steering vectors over antennas and over subcarriers."""
    level = torch.stack([(1 - direction.square()).clamp(min=0).sqrt(), direction], -1)
    across = sounding.antenna[..., :2] @ level[..., None]
    cos, sin = (part.transpose(1, 2) for part in _turns(-across))
    real = (cos @ sounding.real - sin @ sounding.imaginary)[:, 0]
    imaginary = (cos @ sounding.imaginary + sin @ sounding.real)[:, 0]
    cos, sin = _turned(sounding, delay)
    observed = sounding.seen.sum((1, 2)).clamp(min=1)
    return (
        (real * cos - imaginary * sin).sum(1) / observed,
        (real * sin + imaginary * cos).sum(1) / observed,
    )


def _cycles(
    sounding: RealSounding, direction: Float[Tensor, " beam"]
) -> Float[Tensor, "link beam antenna"]:
    level = torch.stack([(1 - direction.square()).sqrt(), direction])
    return (sounding.antenna[..., :2] @ level).transpose(1, 2)


def _count(values: Float[Tensor, " entry"]) -> Float[Tensor, ""]:
    """How many there are, as a tensor: an exporter cannot follow sizes into every product."""
    return torch.ones_like(values).sum()


def _turned(
    sounding: RealSounding, delay: Float[Tensor, " link"]
) -> tuple[Float[Tensor, "link subcarrier"], Float[Tensor, "link subcarrier"]]:
    """Cosine and sine of +2 pi f tau."""
    # Whole turns are taken off in float64: 50 MHz times a microsecond is 50 of them.
    turns = sounding.frequency.double() * delay.double()[:, None]
    return _turns((turns - turns.round()).to(sounding.real.dtype))


def _turns(cycles: Tensor) -> tuple[Tensor, Tensor]:
    angle = 2 * math.pi * cycles
    return angle.cos(), angle.sin()


def _at(power: Float[Tensor, "link cell"], cell: Int[Tensor, " link"]) -> Float[Tensor, " link"]:
    return power.gather(1, cell[:, None])[:, 0]


def _vertex(around: list[Float[Tensor, " link"]]) -> Float[Tensor, " link"]:
    """How far beside its highest bin a peak lies, between -1/2 and 1/2."""
    before, here, after = around
    bend = before - 2 * here + after
    shift = 0.5 * (before - after) / torch.where(bend < 0, bend, -torch.ones_like(bend))
    return shift.clamp(-0.5, 0.5)
