"""Worlds of mirror images obey the mirror, Friis and Fresnel."""

import math

import numpy as np
import pytest
import torch

from radiofix.physics.worlds import Worlds, fresnel_parallel, fresnel_perpendicular
from radiofix.types import SPEED_OF_LIGHT

STATION, USER = 10.0, 1.5
OPEN = Worlds(
    station_height=(STATION, STATION),
    user_height=(USER, USER),
    walls=(0.0, 0.0),
    blocked=0.0,
    scatterers=0,
    power_deviation=0.0,
)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_without_walls_there_are_the_straight_way_and_the_ground():
    paths = OPEN.draw(200, seeded())
    user = paths.user_position.numpy()
    level = np.hypot(user[:, 0], user[:, 1])
    assert np.allclose(user[:, 2], USER - STATION)
    straight = np.hypot(level, STATION - USER)
    ground = np.hypot(level, STATION + USER)
    assert (paths.present.sum(-1) == 2).all()
    delay = np.sort(paths.delay[:, :2].double().numpy(), -1) * SPEED_OF_LIGHT
    assert np.allclose(delay, np.stack([straight, ground], -1), rtol=1e-6)
    wavelength = SPEED_OF_LIGHT / 3.5e9
    direct = paths.gain[paths.interactions == 0].to(torch.complex128).numpy()
    friis = wavelength / (4 * np.pi * straight)
    assert np.allclose(np.abs(direct), friis, rtol=1e-6)
    assert np.allclose(direct / friis, np.exp(-2j * np.pi * straight / wavelength), atol=1e-5)


@pytest.mark.parametrize(("wall", "offset"), [("across", 30.0), ("behind", 4.0)])
def test_a_bounce_comes_from_the_mirror_image_in_its_wall(wall, offset):
    worlds = Worlds(
        station_height=(STATION, STATION),
        user_height=(USER, USER),
        street_width=(30.0, 30.0),
        wall_behind=(4.0, 4.0),
        walls=(1.0, 0.0),
        aligned=1.0,
        lost=0.0,
        blocked=0.0,
        scatterers=0,
        paths=24,
    )
    paths = worlds.draw(50, seeded(1))
    azimuth, zenith = paths.station_azimuth.double(), paths.station_zenith.double()
    distance = SPEED_OF_LIGHT * paths.delay.double()
    image = distance[..., None] * torch.stack(
        [zenith.sin() * azimuth.cos(), zenith.sin() * azimuth.sin(), zenith.cos()], -1
    )
    single = (paths.interactions == 1) & ((image[..., 2] - (USER - STATION)).abs() < 0.05)
    assert (single.sum(-1) == 2).all()  # one a wall; the ground's own is lower
    between = image - paths.user_position[:, None]
    normal = between[..., :2] / between[..., :2].norm(dim=-1, keepdim=True)
    middle = paths.user_position[:, None, :2] + between[..., :2] / 2
    found = (middle * normal).sum(-1)[single].reshape(50, 2).sort(-1).values
    expected = {"across": found[:, 1], "behind": found[:, 0]}[wall]
    assert torch.allclose(expected, torch.full_like(expected, offset), atol=0.02)


def test_of_a_corner_there_is_one_image_in_whichever_order_its_walls_are_met():
    worlds = Worlds(walls=(1.0, 1.0), lost=0.0, blocked=0.0, scatterers=0, paths=64)
    paths = worlds.draw(50, seeded(3))
    azimuth, zenith = paths.station_azimuth.double(), paths.station_zenith.double()
    way = torch.stack(
        [zenith.sin() * azimuth.cos(), zenith.sin() * azimuth.sin(), zenith.cos()], -1
    )
    image = SPEED_OF_LIGHT * paths.delay.double()[..., None] * way
    for link in range(50):
        heard = image[link][paths.present[link]]
        assert len(heard) == 2 * 19  # straight; 4, 8 and 6 of one, two and three walls; the ground
        assert (torch.cdist(heard, heard) + 99 * torch.eye(len(heard))).min() > 0.01


def test_fresnel_at_normal_grazing_and_brewster_incidence():
    permittivity = torch.tensor([2.0, 5.0, 9.0], dtype=torch.float64)
    one = torch.ones_like(permittivity)
    normal = (1 - permittivity.sqrt()) / (1 + permittivity.sqrt())
    assert torch.allclose(fresnel_perpendicular(one, permittivity), normal)
    assert torch.allclose(fresnel_parallel(one, permittivity), -normal)
    assert torch.allclose(fresnel_perpendicular(0 * one, permittivity), -one)
    assert torch.allclose(fresnel_parallel(0 * one, permittivity), -one)
    brewster = torch.cos(torch.atan(permittivity.sqrt()))
    assert fresnel_parallel(brewster, permittivity).abs().max() < 1e-12


def test_paths_are_strongest_first_and_none_comes_before_the_straight_way():
    paths = Worlds().draw(500, seeded(2))
    size = paths.gain.abs()
    assert (size[:, 1:] <= size[:, :-1]).all()
    straight = paths.user_position.norm(dim=-1) / SPEED_OF_LIGHT
    early = paths.delay.double() < straight[:, None] * (1 - 1e-6)
    assert not (early & paths.present).any()
    assert ((paths.delay == 0) == ~paths.present).all()


def test_users_stand_in_front_of_their_station_and_all_over_the_ranges():
    worlds = Worlds()
    user = worlds.draw(4000, seeded(3)).user_position
    assert (user[:, 0] >= 0).all()
    distance = user[:, :2].norm(dim=-1)
    assert distance.min() < 6
    assert 380 < distance.max() < math.hypot(400, 100)
    assert abs(float((user[:, 1] > 0).double().mean()) - 0.5) < 0.03


def test_a_blocked_straight_way_loses_what_the_blockage_says():
    blocked = Worlds(**{**settings(OPEN), "blocked": 1.0, "blockage": (20.0, 20.0)})
    free, lost = OPEN.draw(20, seeded(4)), blocked.draw(20, seeded(4))
    assert torch.allclose(lost.gain.abs(), 0.1 * free.gain.abs())


def test_the_same_seed_gives_the_same_worlds():
    first, again, other = (Worlds().draw(5, seeded(s)) for s in (5, 5, 6))
    assert torch.equal(first.gain, again.gain)
    assert not torch.equal(first.gain, other.gain)


def settings(worlds):
    return {name: getattr(worlds, name) for name in worlds.__dataclass_fields__}
