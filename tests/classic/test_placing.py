"""Delay and direction of a user put it where it stands, for any station, in front of it."""

import dataclasses
import math

import torch

from physics.links import random_links
from radiofix.classic.placing import azimuth, place, place_within
from radiofix.physics.arrays import ula
from radiofix.physics.channel import Channel
from radiofix.physics.rotation import rotation
from radiofix.types import SPEED_OF_LIGHT

HEIGHT = 1.5


def stations(links=200, tilt=0.3, seed=0):
    """Soundings of stations that look anywhere, and users in front of them."""
    generator = torch.Generator().manual_seed(seed)
    draw = torch.rand(links, 8, generator=generator, dtype=torch.float64)
    orientation = torch.stack(
        [2 * math.pi * draw[:, 0], tilt * (draw[:, 1] - 0.5), tilt * (draw[:, 2] - 0.5)], -1
    )
    position = torch.stack([100 * draw[:, 3], 100 * draw[:, 4], 6 + 20 * draw[:, 5]], -1)
    paths = dataclasses.replace(
        random_links(links, 1), station_position=position, station_orientation=orientation
    )
    bearing = orientation[:, 0] + 2.6 * (draw[:, 6] - 0.5)
    distance = 40 + 200 * draw[:, 7]
    away = torch.stack([distance * bearing.cos(), distance * bearing.sin()], -1)
    user = torch.cat([position[:, :2] + away, torch.full((links, 1), HEIGHT).double()], -1)
    return Channel(1e6, 8, ula(4)).sound(paths), user


def seen(sounding, user):
    toward = user - sounding.station_position
    distance = toward.norm(dim=-1)
    axis = rotation(sounding.station_orientation.double())[:, :, 1]
    return distance / SPEED_OF_LIGHT, (toward * axis).sum(-1) / distance


def test_what_a_user_in_front_is_seen_under_leads_back_to_it():
    sounding, user = stations()
    assert torch.allclose(place(sounding, *seen(sounding, user), HEIGHT), user, atol=1e-6)


def test_a_user_behind_a_level_station_is_put_at_its_mirror_in_front():
    sounding, user = stations(tilt=0.0)
    toward = user - sounding.station_position
    front = rotation(sounding.station_orientation)[:, :, 0]
    behind = user - 2 * (toward * front).sum(-1, keepdim=True) * front
    found = place(sounding, *seen(sounding, behind), HEIGHT)
    assert torch.allclose(found, user, atol=1e-6)


def test_the_height_counts_where_a_user_is_near():
    sounding, _ = stations(1, tilt=0.0)
    station = sounding.station_position
    near = station + torch.tensor([[6.0, 0.0, HEIGHT - float(station[0, 2])]])
    turned = rotation(sounding.station_orientation)
    near = station + (turned @ (near - station)[..., None])[..., 0]
    delay, direction = seen(sounding, near)
    right = place(sounding, delay, direction, HEIGHT)
    level = place(sounding, delay, direction, float(station[0, 2]))
    assert torch.allclose(right, near, atol=1e-6)
    assert float((level - near).norm(dim=-1)) > 2


def test_heights_may_differ_from_link_to_link():
    sounding, user = stations(5)
    higher = user + torch.tensor([0.0, 0.0, 1.0]) * torch.arange(5)[:, None]
    found = place(sounding, *seen(sounding, higher), higher[:, 2])
    assert torch.allclose(found, higher, atol=1e-6)


def test_what_is_impossible_is_brought_to_the_nearest_that_is_not():
    sounding, user = stations(20, tilt=0.0)
    station = sounding.station_position
    short = place(sounding, torch.full((20,), 1e-10), torch.zeros(20), HEIGHT)
    assert torch.allclose(short[:, :2], station[:, :2], atol=1e-6)
    delay, _ = seen(sounding, user)
    beyond = place(sounding, delay, torch.full((20,), 1.2), HEIGHT)
    axis = rotation(sounding.station_orientation)[:, :, 1]
    away = beyond - station
    level = away[:, :2].norm(dim=-1)
    assert torch.allclose((away * axis).sum(-1), level, rtol=1e-9)
    assert torch.allclose(away.norm(dim=-1), SPEED_OF_LIGHT * delay, rtol=1e-9)


def test_the_azimuth_is_that_in_the_stations_own_frame():
    sounding, user = stations(50, tilt=0.0)
    toward = user - sounding.station_position
    bearing = torch.atan2(toward[:, 1], toward[:, 0]) - sounding.station_orientation[:, 0]
    difference = azimuth(sounding, user) - bearing
    assert torch.allclose(torch.sin(difference), torch.zeros(50).double(), atol=1e-12)
    assert torch.allclose(torch.cos(difference), torch.ones(50).double())


def test_of_directions_that_look_alike_the_one_that_leads_into_the_street_is_taken():
    sounding, user = stations(50, tilt=0.0)
    delay, direction = seen(sounding, user)
    alias = torch.full((50,), 0.4)
    for link in range(50):
        one = slice(link, link + 1)
        turns = (torch.arange(-4, 5) * 0.4 + direction[link]).abs() <= 1
        others = (torch.arange(-4, 5) * 0.4 + direction[link])[turns]
        # A square about the user as a street; whichever of its aliases is told leads there.
        square = torch.stack([user[link, :2] - 5.0, user[link, :2] + 5.0])
        for told in others:
            found = place_within(sounding[one], delay[one], told[None], alias[one], square, HEIGHT)
            assert torch.allclose(found, user[one], atol=1e-5)


def test_where_no_direction_or_the_told_one_leads_into_the_street_it_stays():
    sounding, user = stations(50, tilt=0.0)
    told, alias = seen(sounding, user), torch.full((50,), 0.4)
    nowhere = torch.tensor([[1e6, 1e6], [2e6, 2e6]])
    everywhere = torch.tensor([[-1e6, -1e6], [1e6, 1e6]])
    for area in (nowhere, everywhere):
        assert torch.allclose(place_within(sounding, *told, alias, area, HEIGHT), user, atol=1e-6)
