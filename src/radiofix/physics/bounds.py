"""Cramer-Rao bounds of delay, direction and position: what no unbiased estimator does better.

The channel is a sum of plane waves of unknown delay, direction and complex gain in white noise.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Complex, Float, Int
from torch import Tensor

from radiofix.physics.channel import Channel
from radiofix.physics.impairments import mean_power, noise_variance
from radiofix.physics.ofdm import Pilots
from radiofix.physics.rotation import angles, rotation
from radiofix.physics.synthesis import element_positions, local_direction, phasor
from radiofix.types import PER_LINK, SPEED_OF_LIGHT, Paths

FLOOR = 1e-13
"""Smallest singular value of the scaled derivatives that float64 tells from 0: what cannot be
resolved gets a large deviation of it, never none and never NaN."""
_IN_LINE = 1e-6
"""How far off the y axis through their middle antennas may be and still stand in line
[wavelengths]."""


@dataclass(frozen=True, slots=True)
class Bound:
    """The least deviations that unbiased estimates of each path can have; infinite without a path.

    The other paths asked about, and all complex gains, are unknown as well.
    """

    delay: Float[Tensor, "link path"]
    """[s]."""
    direction: Float[Tensor, "link path"]
    """Of the cosine of the angle to the array's y axis, u = sin(zenith) sin(azimuth) in its frame,
    the zenith unknown."""
    azimuth: Float[Tensor, "link path"]
    """Of the azimuth in the station's frame, the zenith known [rad]."""
    information: Float[Tensor, "link path 3 3"]
    """Of range [m], u and w = cos(zenith), all else unknown: the equivalent Fisher information. A
    line array tells nothing of w."""

    @property
    def range(self) -> Float[Tensor, "link path"]:
        """[m]."""
        return SPEED_OF_LIGHT * self.delay


def bound(paths: Paths, channel: Channel, noise: Float[Tensor, " link"] | None = None) -> Bound:
    """The bound of all paths of each link jointly.

    Planar waves without squint or faults. For a line array u is all there is of a direction; what
    has rows or depth as well sees cos(zenith) too, which is another unknown of every path.

    Args:
        paths: of the links; one path a link (`each_alone`) gives the bound of that path when no
            other disturbs it.
        channel: band, array, pilots.
        noise: variance E|n|^2 of an entry; None takes the channel's own SNR or link budget.
    """
    if noise is None:
        noise = noise_of(paths, channel)
    derivatives, present = _derivatives(paths, channel)
    scale = torch.linalg.vector_norm(derivatives, dim=1)
    there = scale > 0
    scale = torch.where(there, scale, 1.0)
    # Singular values of the derivatives, not eigenvalues of the information: the square root of
    # its condition, so that paths far within a bin still count right.
    _, singular, turned = torch.linalg.svd(derivatives / scale[:, None], full_matrices=False)
    inverse = turned.mT / singular.clamp(min=FLOOR)[:, None]
    covariance = (inverse @ inverse.mT) / (scale[:, :, None] * scale[:, None, :])
    covariance = covariance * (noise.double() / 2)[:, None, None]
    count = paths.gain.shape[1]
    path = torch.arange(count, device=paths.gain.device)
    # Delays are counted as ranges: metres and cosines are numbers of a size.
    told = torch.stack([path + count * n for n in range(derivatives.shape[2] // count - 2)], -1)
    block = covariance[:, told[:, :, None], told[:, None, :]]
    information = _inverse(block) * present[..., None, None]
    level = _inverse(information[..., :2, :2]).diagonal(dim1=-2, dim2=-1).sqrt()
    deviation = block.diagonal(dim1=-2, dim2=-1).sqrt()
    missing = 3 - information.shape[-1]
    across = local_direction(paths)[..., 0].abs().clamp(min=1e-12)
    return Bound(
        delay=(deviation[..., 0] / SPEED_OF_LIGHT).masked_fill(~present, torch.inf),
        direction=deviation[..., 1].masked_fill(~present, torch.inf),
        azimuth=(level[..., 1] / across).masked_fill(~present, torch.inf),
        information=torch.nn.functional.pad(information, (0, missing, 0, missing)),
    )


def noise_of(paths: Paths, channel: Channel) -> Float[Tensor, " link"]:
    """Variance of the noise that the channel adds to an entry of each link's CSI."""
    spacing = torch.as_tensor(channel.spacing, dtype=torch.float64, device=paths.gain.device)
    if channel.tx_power_dbm is not None and channel.noise_figure_db is not None:
        power, figure = channel.tx_power_dbm, channel.noise_figure_db
        return noise_variance(spacing.expand(len(paths)), channel.subcarriers, power, figure)
    if channel.snr_db is None:
        raise ValueError("a channel without noise has no bound: give snr_db or a link budget")
    everywhere = dataclasses.replace(channel.noiseless, pilots=Pilots())
    ratio = 10 ** (torch.as_tensor(channel.snr_db, dtype=torch.float64) / 10)
    return mean_power(everywhere.synthesize(paths)).double() / ratio.to(paths.gain.device)


def each_alone(paths: Paths) -> Paths:
    """Every path as a link of its own, link after link."""
    count = paths.gain.shape[1]
    fields = {f.name: getattr(paths, f.name) for f in dataclasses.fields(paths)}
    spread = {
        name: value.repeat_interleave(count, 0) if name in PER_LINK else value.reshape(-1, 1)
        for name, value in fields.items()
    }
    return Paths(**spread)


def position_information(paths: Paths, found: Bound) -> Float[Tensor, "link 2 2"]:
    """Information on the user's x and y [1/m^2] that the direct path's range and direction hold.

    F = J^T I J with J the derivatives of range, u and w by the position, the height known; zero
    where there is no line of sight. Add up over stations for the bound of several.
    """
    direct = (paths.interactions == 0).to(torch.int8).argmax(-1)
    information = found.information[torch.arange(len(paths), device=direct.device), direct]
    away = paths.user_position.double() - paths.station_position.double()
    distance = torch.linalg.vector_norm(away, dim=-1, keepdim=True).clamp(min=1e-9)
    toward = away / distance
    _, *axes = rotation(paths.station_orientation.double()).unbind(-1)
    turning = [(a - (toward * a).sum(-1, keepdim=True) * toward) / distance for a in axes]
    jacobian = torch.stack([toward, *turning], 1)[..., :2]
    whole = jacobian.mT @ information @ jacobian
    return torch.where(paths.line_of_sight[:, None, None], whole, 0.0)


def position_error_bound(information: Float[Tensor, "*batch 2 2"]) -> Float[Tensor, "*batch"]:
    """Root of the trace of the inverse information: the least RMS error of x and y [m]."""
    return _inverse(information).diagonal(dim1=-2, dim2=-1).sum(-1).sqrt()


def of_users(
    paths: Paths, channel: Channel, alone: bool = False
) -> tuple[Int[Tensor, " fix"], Float[Tensor, " fix"]]:
    """Users, ascending, and the position-error bound of each from all of its links [m].

    Args:
        paths: of the links.
        channel: with an SNR or a link budget.
        alone: whether the direct path is taken as if no other disturbed it, the noise the same.
    """
    noise = noise_of(paths, channel)
    if not alone:
        information = position_information(paths, bound(paths, channel, noise))
    else:
        direct = (paths.interactions == 0).to(torch.int8).argmax(-1)
        count = paths.gain.shape[1]
        link = torch.arange(len(paths), device=direct.device)
        single = each_alone(paths)[link * count + direct]
        information = position_information(single, bound(single, channel, noise))
    users, whole = together(information, paths.user)
    return users, position_error_bound(whole)


def together(
    information: Float[Tensor, "link 2 2"], user: Int[Tensor, " link"]
) -> tuple[Int[Tensor, " fix"], Float[Tensor, "fix 2 2"]]:
    """Users, ascending, and the information on each from all of its links."""
    users, row = torch.unique(user, return_inverse=True)
    whole = information.new_zeros(len(users), 2, 2).index_add_(0, row, information)
    return users, whole


def _derivatives(
    paths: Paths, channel: Channel
) -> tuple[Float[Tensor, "link entry parameter"], Bool[Tensor, "link path"]]:
    """Of all entries by range, u, w if the array sees it, both parts of the gain, in this order.

    Antennas and subcarriers are turned into orthonormal bases of what the paths' factors span,
    which leaves all inner products as they are and few entries.
    """
    direction = local_direction(paths)
    gain = paths.gain.to(torch.complex128)
    gain = gain * channel.array.pattern(*angles(direction)).to(gain.dtype)
    present = gain.abs() > 0
    over_antennas = _over_antennas(paths, channel, direction)
    over_subcarriers = _over_subcarriers(paths, channel)
    antennas = torch.linalg.qr(torch.cat(over_antennas, 1).mT).R.mT
    subcarriers = torch.linalg.qr(torch.cat(over_subcarriers, 1).mT).R.mT
    a, *a_slopes = antennas.chunk(len(over_antennas), 1)
    b, b_slope = subcarriers.chunk(2, 1)
    plain = _outer(a, b) * present[..., None].to(a.dtype)
    columns = torch.cat(
        [
            gain[..., None] * _outer(a, b_slope),
            *(gain[..., None] * _outer(a_slope, b) for a_slope in a_slopes),
            plain,
            1j * plain,
        ],
        1,
    )
    return torch.cat([columns.real, columns.imag], -1).mT, present


def _over_antennas(
    paths: Paths, channel: Channel, direction: Float[Tensor, "link path 3"]
) -> list[Complex[Tensor, "link path antenna"]]:
    """Steering vectors and their derivatives by u and, unless antennas stand in line, by w."""
    wavelength = SPEED_OF_LIGHT / paths.carrier_frequency.double()
    place = element_positions(channel.array, paths.carrier_frequency) / wavelength[:, None, None]
    seen = channel.pilots.mask(len(channel.array), channel.subcarriers, place.device).any(1)
    place = place[:, seen]
    steering = phasor(direction @ place.mT, torch.complex128)
    x, u, w = direction.unbind(-1)
    front = torch.where(x.abs() < 1e-9, 1e-9, x)
    # Slopes count from the middle: a gain's phase, unknown anyhow, takes up the rest.
    place = place - place.mean(1, keepdim=True)
    depth, along, up = place[:, None].unbind(-1)
    slopes = [along - depth * (u / front)[..., None]]
    if max(float(depth.abs().max()), float(up.abs().max())) > _IN_LINE:
        slopes.append(up - depth * (w / front)[..., None])
    return [steering, *(2j * torch.pi * slope * steering for slope in slopes)]


def _over_subcarriers(
    paths: Paths, channel: Channel
) -> tuple[Complex[Tensor, "link path subcarrier"], Complex[Tensor, "link path subcarrier"]]:
    frequency = channel.baseband_frequency.to(paths.gain.device).expand(len(paths), -1)
    seen = channel.pilots.mask(len(channel.array), channel.subcarriers, frequency.device).any(0)
    frequency = frequency[:, seen]
    wave = phasor(-paths.delay.double()[..., None] * frequency[:, None], torch.complex128)
    slope = frequency - frequency.mean(1, keepdim=True)
    return wave, -2j * torch.pi / SPEED_OF_LIGHT * slope[:, None] * wave


def _outer(
    first: Complex[Tensor, "link path row"], second: Complex[Tensor, "link path column"]
) -> Complex[Tensor, "link path entry"]:
    return (first[..., :, None] * second[..., None, :]).flatten(-2)


def _inverse(matrix: Float[Tensor, "*batch told told"]) -> Float[Tensor, "*batch told told"]:
    """Of a covariance or an information; where it is singular, large numbers."""
    scale = matrix.diagonal(dim1=-2, dim2=-1).clamp(min=1e-60).sqrt()
    outer = scale[..., :, None] * scale[..., None, :]
    value, vector = torch.linalg.eigh(matrix / outer)
    value = value.clamp(min=1e-15)
    inverse: Tensor = (vector / value[..., None, :]) @ vector.mT / outer
    return inverse
