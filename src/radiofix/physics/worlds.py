"""Random worlds of mirror images: paths by the billion, without any scene.

Each link gets a street of its own: a wall behind the station, one across the street, sometimes one
at either end, the ground, a few scatterers. Reflections are mirror images of the user (up to three
walls, with or without the ground) with Fresnel's coefficients. Nothing is taken from a scene that
models are judged on: every length is drawn from a range of one to two orders of magnitude.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Complex, Float, Int
from torch import Tensor

from radiofix.types import SPEED_OF_LIGHT, Paths

WALLS = 4
"""Across the street, behind the station, and the two ends."""
BOUNCES = (
    (),
    *((wall,) for wall in range(WALLS)),
    *((0, 1), (1, 0), (2, 3), (3, 2)),
    *itertools.product((0, 1), (2, 3)),
    *((0, 1, 0), (1, 0, 1), (0, 1, 2), (0, 1, 3), (1, 0, 2), (1, 0, 3)),
)
"""Walls in the order in which a user's signal meets them.

An end stands at right angles to the walls beside the street: in either order the two have one
image, and a user sees it once. Each image is here once.
"""


@dataclass(frozen=True, slots=True)
class Worlds:
    """From what ranges worlds are drawn; a pair is (lowest, highest)."""

    station_height: tuple[float, float] = (3.0, 25.0)
    """[m]."""
    user_height: tuple[float, float] = (1.0, 2.0)
    """[m]."""
    street_width: tuple[float, float] = (8.0, 100.0)
    """From the station to the wall across, log-uniform [m]."""
    wall_behind: tuple[float, float] = (0.3, 15.0)
    """From the station to the wall at its back, log-uniform [m]."""
    range: tuple[float, float] = (3.0, 400.0)
    """Of users along the street, half of them uniform, half log-uniform [m]."""
    street_end: tuple[float, float] = (2.0, 300.0)
    """From the user to a wall that ends the street, log-uniform [m]."""
    aligned: float = 0.7
    """Share of stations whose array lies along the street, to a few degrees."""
    walls: tuple[float, float] = (0.85, 0.3)
    """Probability of each wall beside the street, and of each at its ends."""
    lost: float = 0.15
    """Probability that a reflection is missing: walls have gaps."""
    blocked: float = 0.15
    """Probability that the straight way is attenuated by `blockage`."""
    blockage: tuple[float, float] = (10.0, 35.0)
    """[dB]."""
    scatterers: int = 3
    power_deviation: float = 4.0
    """Of a link's power as a whole: stations are not calibrated alike [dB]."""
    carrier_frequency: float = 3.5e9
    """[Hz]."""
    paths: int = 8
    """Strongest that are kept."""

    def draw(self, links: int, generator: torch.Generator) -> Paths:
        """Draws one world a link; the station at the origin, its frame the scene's, on any device.

        Heights count from the station's: a user is below it.
        """
        draw = _Draw(links, generator)
        station_height = draw.uniform(*self.station_height)
        user_height = draw.uniform(*self.user_height)
        user, normal, offset = self._street(draw)
        there = torch.cat(
            [draw.uniform(0.0, 1.0, 2) < self.walls[0], draw.uniform(0.0, 1.0, 2) < self.walls[1]],
            -1,
        )
        wall_permittivity = draw.uniform(2.0, 10.0, WALLS)
        ground_permittivity = draw.uniform(2.0, 14.0)
        blockage = torch.where(
            draw.uniform(0.0, 1.0) < self.blocked, _amplitude(-draw.uniform(*self.blockage)), 1.0
        )
        sources, factors, bounces = [], [], []
        for walls, ground in itertools.product(BOUNCES, (False, True)):
            image = user
            present = torch.ones_like(there[:, 0])
            for wall in walls:
                image = _mirror(image, normal[:, wall], offset[:, wall])
                present = present & there[:, wall]
            height = (-user_height if ground else user_height) - station_height
            source = torch.cat([image, height[:, None]], -1)
            factor = _reflections(source, walls, normal, wall_permittivity)
            if ground:
                factor = factor * fresnel_parallel(_cosine(source, 2), ground_permittivity)
            if walls:
                present = present & (draw.uniform(0.0, 1.0) > self.lost)
            else:
                factor = factor * blockage
            sources.append(source)
            factors.append(torch.where(present, factor, 0.0))
            bounces.append(len(walls) + ground)
        source, factor = torch.stack(sources, 1), torch.stack(factors, 1)
        distance = source.norm(dim=-1)
        wavelength = SPEED_OF_LIGHT / self.carrier_frequency
        gain = (
            factor
            * (wavelength / (4 * math.pi) / distance)
            * torch.exp(-2j * math.pi * (distance / wavelength))
        )
        position = torch.cat([user, (user_height - station_height)[:, None]], -1)
        scattered, detour, toward = self._scatter(draw, position, wavelength)
        gain = torch.cat([gain, scattered], 1) * _amplitude(
            self.power_deviation * draw.normal()
        ).unsqueeze(1)
        count = torch.tensor(bounces + [1] * self.scatterers, device=gain.device)
        return self._strongest(
            gain,
            torch.cat([distance, detour], 1),
            torch.cat([source, toward], 1),
            count.expand(links, -1),
            position,
        )

    def _street(
        self, draw: _Draw
    ) -> tuple[Float[Tensor, "link 2"], Float[Tensor, "link wall 2"], Float[Tensor, "link wall"]]:
        """Where the user stands, and the walls as normal . x = offset, both ends inside."""
        width, behind = draw.log_uniform(*self.street_width), draw.log_uniform(*self.wall_behind)
        turned = math.pi * (draw.uniform(0.0, 1.0) - 0.5)
        aligned = draw.uniform(0.0, 1.0) < self.aligned
        turn = torch.where(aligned, 0.05 * draw.normal(), turned)
        far = torch.where(
            draw.uniform(0.0, 1.0) < 0.5,
            draw.uniform(0.0, self.range[1]),
            draw.log_uniform(*self.range),
        )
        along = far * (draw.uniform(0.0, 1.0) - 0.5).sign()
        across = width * draw.uniform(0.02, 0.98)
        first = torch.stack([turn.cos(), turn.sin()], -1)
        second = torch.stack([-turn.sin(), turn.cos()], -1)
        user = across[:, None] * first + along[:, None] * second
        ends = draw.log_uniform(*self.street_end), draw.log_uniform(*self.street_end)
        offset = [width, behind, along.clamp(min=0) + ends[0], (-along).clamp(min=0) + ends[1]]
        # A line array cannot tell front from back: what stands behind it is mirrored to the front.
        front = torch.ones_like(user)
        front[:, 0] = torch.where(user[:, 0] < 0, -1.0, 1.0)
        normal = torch.stack([first, -first, second, -second], 1) * front[:, None]
        return user * front, normal, torch.stack(offset, 1)

    def _scatter(
        self, draw: _Draw, user: Float[Tensor, "link 3"], wavelength: float
    ) -> tuple[
        Complex[Tensor, "link scatterer"],
        Float[Tensor, "link scatterer"],
        Float[Tensor, "link scatterer 3"],
    ]:
        """Gain, length and direction of single scattering at points about the straight way."""
        count = self.scatterers
        spread = draw.log_uniform(3.0, 60.0, count)[..., None]
        place = user[:, None] * draw.uniform(0.0, 1.0, count)[..., None]
        place = place + F.pad(spread * draw.normal(count, 2), (0, 1))
        length = place.norm(dim=-1) + (place - user[:, None]).norm(dim=-1)
        present = draw.uniform(0.0, 1.0, count) < 0.5
        size = wavelength / (4 * math.pi * length) * _amplitude(-draw.uniform(6.0, 26.0, count))
        phase = 2 * math.pi * draw.uniform(0.0, 1.0, count)
        gain = torch.polar(torch.where(present, size, 0.0), phase)
        return gain, length, place

    def _strongest(
        self,
        gain: Complex[Tensor, "link path"],
        distance: Float[Tensor, "link path"],
        source: Float[Tensor, "link path 3"],
        bounces: Int[Tensor, "link path"],
        position: Float[Tensor, "link 3"],
    ) -> Paths:
        order = gain.abs().argsort(dim=1, descending=True, stable=True)[:, : self.paths]
        gain, distance, bounces = (t.gather(1, order) for t in (gain, distance, bounces))
        source = source.gather(1, order[..., None].expand(-1, -1, 3))
        present: Bool[Tensor, "link path"] = gain.abs() > 0
        azimuth = torch.atan2(source[..., 1], source[..., 0]).float()
        zenith = torch.acos((source[..., 2] / source.norm(dim=-1)).clamp(-1, 1)).float()
        nowhere = torch.zeros_like(position)
        return Paths(
            gain=gain.to(torch.complex64),
            delay=torch.where(present, distance / SPEED_OF_LIGHT, 0.0).float(),
            station_azimuth=azimuth,
            station_zenith=zenith,
            # Not worked out: a user's antenna sees every direction alike.
            user_azimuth=torch.zeros_like(azimuth),
            user_zenith=torch.full_like(zenith, math.pi / 2),
            interactions=torch.where(present, bounces, -1).to(torch.int8),
            diffracted=torch.zeros_like(present),
            user_position=position,
            station_position=nowhere,
            station_orientation=nowhere,
            carrier_frequency=torch.full_like(position[:, 0], self.carrier_frequency),
            user=torch.arange(len(gain), device=gain.device),
            station=torch.zeros(len(gain), dtype=torch.int64, device=gain.device),
        )


class _Draw:
    """Random numbers of each link, float64."""

    def __init__(self, links: int, generator: torch.Generator) -> None:
        self.links = links
        self.generator = generator

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        unit = torch.rand(
            self.links,
            *shape,
            generator=self.generator,
            device=self.generator.device,
            dtype=torch.float64,
        )
        return low + (high - low) * unit

    def log_uniform(self, low: float, high: float, *shape: int) -> Tensor:
        return self.uniform(math.log(low), math.log(high), *shape).exp()

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(
            self.links,
            *shape,
            generator=self.generator,
            device=self.generator.device,
            dtype=torch.float64,
        )


def fresnel_perpendicular(
    cosine: Float[Tensor, "*batch"], permittivity: Float[Tensor, "*batch"]
) -> Float[Tensor, "*batch"]:
    """Reflection of a field perpendicular to the plane of incidence: upright field, upright wall.

    Args:
        cosine: of the angle of incidence, from the surface's normal.
        permittivity: of the wall, relative and without loss.
    """
    root = (permittivity - 1 + cosine.square()).sqrt()
    return (cosine - root) / (cosine + root)


def fresnel_parallel(
    cosine: Float[Tensor, "*batch"], permittivity: Float[Tensor, "*batch"]
) -> Float[Tensor, "*batch"]:
    """Reflection of a field in the plane of incidence: upright field, level ground."""
    root = (permittivity - 1 + cosine.square()).sqrt()
    return (permittivity * cosine - root) / (permittivity * cosine + root)


def _reflections(
    source: Float[Tensor, "link 3"],
    walls: tuple[int, ...],
    normal: Float[Tensor, "link wall 2"],
    permittivity: Float[Tensor, "link wall"],
) -> Float[Tensor, " link"]:
    """What is left of the field after the walls, seen backward from the station."""
    way = source / source.norm(dim=-1, keepdim=True)
    factor = torch.ones_like(way[:, 0])
    for wall in reversed(walls):
        across = (way[:, :2] * normal[:, wall]).sum(-1)
        factor = factor * fresnel_perpendicular(across.abs(), permittivity[:, wall])
        turned = way[:, :2] - 2 * across[:, None] * normal[:, wall]
        way = torch.cat([turned, way[:, 2:]], -1)
    return factor


def _mirror(
    point: Float[Tensor, "link 2"], normal: Float[Tensor, "link 2"], offset: Float[Tensor, " link"]
) -> Float[Tensor, "link 2"]:
    """The image of a point in the wall normal . x = offset."""
    return point - 2 * ((point * normal).sum(-1) - offset)[:, None] * normal


def _cosine(vector: Float[Tensor, "link 3"], axis: int) -> Float[Tensor, " link"]:
    cosine: Tensor = vector[:, axis].abs() / vector.norm(dim=-1)
    return cosine


def _amplitude(decibel: Tensor) -> Tensor:
    amplitude: Tensor = (decibel * (math.log(10) / 20)).exp()
    return amplitude
