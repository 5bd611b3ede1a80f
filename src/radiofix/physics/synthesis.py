"""Paths to channels: H[a, k] = sum_p g_p exp(-j 2 pi f_k tau_p) exp(+j 2 pi r_a . u_p / lambda)."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor

from radiofix.physics.arrays import Array, Isotropic
from radiofix.physics.impairments import Faults
from radiofix.physics.rotation import angles, rotation, unit_vector
from radiofix.types import SPEED_OF_LIGHT, Paths

Wavefront = Literal["planar", "spherical"]
NO_FAULTS = Faults()
FINE = 16
"""Neighbouring subcarriers whose phasors are made at once."""


def response(
    paths: Paths,
    array: Array,
    spacing: Float[Tensor, " link"],
    index: Int[Tensor, " subcarrier"],
    wavefront: Wavefront = "planar",
    squint: bool = False,
    faults: Faults = NO_FAULTS,
) -> Complex[Tensor, "link antenna subcarrier"]:
    """The channel of each link without noise, as complex as `paths.gain` is.

    Args:
        paths: of the links.
        array: of the stations, turned into the scene by each station's orientation.
        spacing: of the subcarriers [Hz].
        index: whole numbers k of the subcarriers, f_k = k * spacing.
        wavefront: "spherical" puts each path's source at its image, c tau away: exact in phase and
            amplitude for the direct path and for reflections by planes.
        squint: whether the steering follows the subcarrier (carrier + f_k) instead of the carrier.
        faults: of the hardware, as drawn by `Impairments`.
    """
    direction = local_direction(paths)
    positions = element_positions(array, paths.carrier_frequency)
    image = SPEED_OF_LIGHT * paths.delay.double()
    gain = paths.gain[:, None, :]
    if wavefront == "spherical":
        excess = excess_distance(positions, direction, image)
        # A source spreads with distance: an antenna nearer to the image than r = 0 sees more.
        distance = (image[:, None, :] + excess).clamp(min=1e-9)
        gain = gain * (image[:, None, :] / distance).to(gain.dtype)
    else:
        excess = -positions @ direction.mT
    if not isinstance(array.pattern, Isotropic):
        gain = gain * array.pattern(*angles(direction))[:, None, :].to(gain.dtype)
    carrier = paths.carrier_frequency.double()[:, None, None]
    steering = gain * phasor(-excess * (carrier / SPEED_OF_LIGHT), gain.dtype)
    if faults.factor is not None:
        steering = steering * faults.factor[:, :, None].to(steering.dtype)
    delay = paths.delay.double()
    if faults.clock is not None:
        delay = delay + faults.clock[:, None]
    wave = waveform(delay, spacing, index, gain.dtype)
    if not squint:
        return steering @ wave
    # What reaches an antenna later than r = 0 by excess / c is a steeper phase over the band.
    turn = (spacing.double()[:, None, None] / SPEED_OF_LIGHT * excess)[..., None] * index
    per_antenna = wave[:, None] * phasor(-turn, gain.dtype)
    return (steering[:, :, None, :] @ per_antenna)[:, :, 0, :]


def local_direction(paths: Paths) -> Float[Tensor, "link path 3"]:
    """Unit vectors toward where each path comes from, in the station's frame (float64)."""
    scene = unit_vector(paths.station_azimuth.double(), paths.station_zenith.double())
    # Rows times R are R transposed times columns: out of the scene's frame into the station's.
    return scene @ rotation(paths.station_orientation.double())


def element_positions(
    array: Array, carrier_frequency: Float[Tensor, " link"]
) -> Float[Tensor, "link antenna 3"]:
    """Antenna positions at each link's carrier, in the station's frame [m]."""
    positions = array.positions.to(carrier_frequency.device)
    if array.unit == "metre":
        return positions.expand(len(carrier_frequency), -1, -1)
    wavelength = SPEED_OF_LIGHT / carrier_frequency.double()
    return positions * wavelength[:, None, None]


def excess_distance(
    positions: Float[Tensor, "link antenna 3"],
    direction: Float[Tensor, "link path 3"],
    image: Float[Tensor, "link path"],
) -> Float[Tensor, "link antenna path"]:
    """How much farther each path's image is from an antenna than from the array's origin [m].

    |i u - r| - i, written (|r|^2 - 2 i u.r) / (|i u - r| + i), which does not subtract two nearly
    equal distances; far away it becomes -u.r, the planar wave.
    """
    image = image[:, None, :]
    squared = positions.square().sum(-1)[:, :, None]
    difference = squared - 2 * image * (positions @ direction.mT)
    distance = (image.square() + difference).clamp(min=0).sqrt()
    return difference / (distance + image).clamp(min=1e-9)


def waveform(
    delay: Float[Tensor, "link path"],
    spacing: Float[Tensor, " link"],
    index: Int[Tensor, " subcarrier"],
    dtype: torch.dtype = torch.complex64,
) -> Complex[Tensor, "link path subcarrier"]:
    """exp(-j 2 pi f_k tau) of each path; the numbers of `index` follow each other."""
    # k is whole, so that whole turns of spacing * delay can go before k multiplies the rounding.
    cycles = spacing.double()[:, None] * delay.double()
    turn = -(cycles - cycles.round())[..., None]
    # Subcarriers follow each other, so that few phasors multiplied give all of them:
    # exp(j (16 m + n) x) = exp(j 16 m x) exp(j n x).
    coarse = phasor(turn * index[::FINE], dtype)
    fine = phasor(turn * torch.arange(FINE, device=turn.device), dtype)
    every = (coarse[..., :, None] * fine[..., None, :]).flatten(-2)
    return every[..., : len(index)]


def phasor(cycles: Float[Tensor, "*batch"], dtype: torch.dtype) -> Complex[Tensor, "*batch"]:
    """exp(j 2 pi cycles), whole cycles taken off in float64 before anything is rounded."""
    real = torch.float64 if dtype == torch.complex128 else torch.float32
    phase = (cycles - cycles.round()).to(real) * (2 * torch.pi)
    return torch.complex(phase.cos(), phase.sin())
