"""A map brings the waves of one user together, or it is told of; no true place is asked for."""

import dataclasses
import math
import warnings

import numpy as np
import pytest
import torch

from models.sites import HEIGHT, SOUTH, STATIONS, street
from radiofix.models.map_waves import clear_links, expect_waves
from radiofix.physics.arrays import ula
from radiofix.physics.channel import Channel
from radiofix.types import SPEED_OF_LIGHT, Paths, Sounding

CARRIER = 3.5e9
WAVELENGTH = SPEED_OF_LIGHT / CARRIER
LOSS = 0.6


def in_the_street(users: int = 40) -> Sounding:
    """Users north of the middle of the street, seen, and heard in the southern front as well."""
    rng = np.random.default_rng(0)
    place = np.column_stack([rng.uniform(-40, 15, users), rng.uniform(2, 7, users)])
    place = torch.tensor(np.column_stack([place, np.full(users, HEIGHT)]))
    image = place * torch.tensor([1.0, -1.0, 1.0]) + torch.tensor([0.0, 2 * SOUTH, 0.0])
    station = torch.tensor(STATIONS[0])
    away = torch.stack([place, image], 1) - station
    length = away.norm(dim=-1)
    loss = torch.tensor([1.0, -LOSS])
    gain = loss * WAVELENGTH / (4 * math.pi * length)
    none = torch.zeros(users, 2)
    paths = Paths(
        gain=torch.polar(gain.abs(), -2 * math.pi * length / WAVELENGTH).to(torch.complex64),
        delay=(length / SPEED_OF_LIGHT).float(),
        station_azimuth=torch.atan2(away[..., 1], away[..., 0]).float(),
        station_zenith=torch.acos(away[..., 2] / length).float(),
        user_azimuth=none,
        user_zenith=none,
        interactions=torch.tensor([0, 1], dtype=torch.int8).expand(users, 2),
        diffracted=torch.zeros(users, 2, dtype=torch.bool),
        user_position=place,
        station_position=station.expand(users, 3),
        station_orientation=torch.tensor([-math.pi / 2, 0.0, 0.0]).double().expand(users, 3),
        carrier_frequency=torch.full((users,), CARRIER, dtype=torch.float64),
        user=torch.arange(users),
        station=torch.zeros(users, dtype=torch.long),
    )
    return Channel(50e6, 64, ula(32)).sound(paths)


def wavelength(sounding):
    return torch.full((len(sounding),), WAVELENGTH, dtype=torch.float64)


def changed(walls, levels=lambda h: h):
    site_map = street()
    return dataclasses.replace(
        site_map, walls=walls(site_map.walls), levels=levels(site_map.levels)
    )


def test_the_right_map_brings_both_waves_of_each_user_to_one_place():
    sounding = in_the_street()
    clear = clear_links(street(), sounding, wavelength(sounding))
    assert len(clear.met) > 36
    assert clear.share > 0.9
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        expect_waves("street", street(), sounding, wavelength(sounding))


@pytest.mark.parametrize(
    "wrong",
    [
        changed(lambda w: w.flip(-1).flip(1)),
        changed(lambda w: w + 20.0),
        changed(lambda w: w * 3.28, lambda h: h * 3.28),
        changed(lambda w: w + torch.tensor([0.0, -5.0])),
    ],
    ids=["mirrored", "20 m off", "in feet", "5 m off"],
)
def test_a_wrong_map_is_told_of(wrong):
    sounding = in_the_street()
    assert clear_links(wrong, sounding, wavelength(sounding)).share < 0.1
    with pytest.warns(
        UserWarning, match=r"street: walls of the map bring .* on [\d.]+% of the links"
    ):
        expect_waves("street", wrong, sounding, wavelength(sounding))


def test_along_an_endless_front_nothing_can_be_told():
    sounding = in_the_street()
    along = changed(lambda w: w + torch.tensor([-8.0, 0.0]))
    assert clear_links(along, sounding, wavelength(sounding)).share > 0.9


@pytest.mark.parametrize("factor", [1e3, 1e-3], ids=["too loud", "too quiet"])
def test_amplitudes_that_are_not_absolute_say_nothing(factor):
    sounding = in_the_street()
    heard = sounding.with_csi(factor * sounding.csi)
    assert len(clear_links(street(), heard, wavelength(heard)).met) == 0
    with pytest.warns(UserWarning, match="not held against the channels: 0 of 40 links have two"):
        expect_waves("street", street(), heard, wavelength(heard))


def test_a_few_links_say_nothing():
    few = in_the_street(12)
    with pytest.warns(UserWarning, match="not held against the channels: 12 of 12 links"):
        expect_waves("street", changed(lambda w: w + 20.0), few, wavelength(few))


def test_links_that_are_spread_over_many_stations_say_nothing():
    sounding = in_the_street(12)
    each = [
        dataclasses.replace(
            sounding, station_position=sounding.station_position + torch.tensor([n, 0.0, 0.0])
        )
        for n in range(4)
    ]
    spread = Sounding.join([one[:6] for one in each])
    with pytest.warns(UserWarning, match="not held against the channels: 0 of 24 links"):
        expect_waves("street", street(), spread, wavelength(spread))
