"""A wave is told from what white noise of as many entries shows by chance."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import beta

from physics.links import random_links
from radiofix.physics.arrays import uca, ula, upa
from radiofix.physics.channel import Channel
from radiofix.physics.impairments import Impairments
from radiofix.physics.ofdm import Pilots, srs_pilots
from radiofix.physics.presence import FALSE_ALARMS, beyond_chance, readable, shows_a_wave, surprise
from radiofix.physics.strongest import strongest_wave
from radiofix.physics.worlds import Worlds
from radiofix.types import Station

STATION = Station(torch.zeros(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64), 3.5e9)


def double(*values):
    return torch.tensor(values, dtype=torch.float64)


def shown(sounding):
    wave = strongest_wave(sounding.csi, sounding.frequency, sounding.antenna)
    return shows_a_wave(sounding.csi, sounding.frequency, sounding.antenna, wave).double().mean()


def noise(links, antennas, subcarriers, comb=1, size=1.0):
    generator = torch.Generator().manual_seed(antennas)
    csi = torch.randn(links, antennas, subcarriers, generator=generator, dtype=torch.complex64)
    csi = size * csi * (torch.arange(subcarriers) % comb == 0)
    return Channel(20e6, subcarriers, ula(antennas)).describe(csi, STATION)


@pytest.mark.parametrize("share", [0.02, 0.1, 0.6])
def test_in_one_dimension_the_surprise_is_that_of_the_beta_distribution(share):
    found = surprise(double(share), double(1), double(512))
    assert float(found) == pytest.approx(-beta(1, 511).logsf(share), rel=1e-9)


@pytest.mark.parametrize(("dimensions", "entries"), [(8, 512), (32, 128), (4, 20)])
def test_in_more_dimensions_it_bounds_the_beta_distribution(dimensions, entries):
    usual = (dimensions - 1) / (entries - 1)
    for share in np.linspace(1.01 * usual, 0.95, 30):
        found = float(surprise(double(share), double(dimensions), double(entries)))
        exact = -beta(dimensions, entries - dimensions).logsf(share)
        assert 0 <= found <= exact
    assert float(surprise(double(0.9 * usual), double(dimensions), double(entries))) == 0


@pytest.mark.parametrize(
    ("links", "antennas", "subcarriers", "comb"),
    [(2000, 8, 64, 1), (500, 32, 128, 1), (2000, 8, 64, 4), (2000, 1, 64, 1), (2000, 2, 8, 2)],
)
def test_at_most_one_in_two_hundred_links_of_pure_noise_shows_a_wave(
    links, antennas, subcarriers, comb
):
    assert FALSE_ALARMS <= 1e-3
    assert shown(noise(links, antennas, subcarriers, comb)) <= 0.005


def test_how_loud_noise_is_does_not_matter():
    for size in (1e-12, 1e-6, 1e6):
        assert shown(noise(200, 8, 64, size=size)) <= 0.01


@pytest.mark.parametrize("pilots", [Pilots(), srs_pilots(4)])
@pytest.mark.parametrize("array", [ula(8), ula(32), upa(4, 4), uca(8, 0.7)])
def test_streets_are_heard_at_0_db_by_any_array(array, pilots):
    generator = torch.Generator().manual_seed(0)
    faults = Impairments(common_phase=True)
    channel = Channel(20e6, 64, array, snr_db=0.0, pilots=pilots, impairments=faults)
    heard = shown(channel.sound(Worlds().draw(300, generator), generator))
    assert heard >= (0.99 if float(array.positions[:, 2].abs().max()) == 0 else 0.9)


def test_antennas_with_phases_of_their_own_are_heard_by_the_delay():
    generator = torch.Generator().manual_seed(1)
    channel = Channel(20e6, 64, ula(8), snr_db=0.0, impairments=Impairments(antenna_phase=3.0))
    assert shown(channel.sound(Worlds().draw(300, generator), generator)) >= 0.99


def test_one_entry_can_show_no_wave_and_two_hardly():
    cells = torch.tensor([4.0, 4.0])
    for entries in (1, 2):
        seen = torch.tensor([[entries]])
        whole = torch.tensor([1.0 - 1e-3 * (entries - 1)])
        found = beyond_chance(whole / entries, entries * whole[:, None], torch.ones(1), seen, cells)
        assert not found.any()


def test_the_threshold_is_the_chance_over_all_beams_and_delays():
    entries, cells = 512, torch.tensor([16.0, 128.0])
    limit = 1 - (FALSE_ALARMS / 2 / (16 * 128)) ** (1 / (entries - 1))
    seen = torch.full((2, 8), 64)
    share = double(limit * 0.999, limit * 1.001)
    found = beyond_chance(share / entries, torch.zeros(2, 8), torch.ones(2), seen, cells)
    assert found.tolist() == [False, True]
    assert limit == pytest.approx(math.log(16 * 128 / (FALSE_ALARMS / 2)) / entries, rel=0.02)


def test_only_finite_links_that_are_not_silent_can_be_read():
    power = torch.tensor([0.0, torch.nan, torch.inf, 1e-40, 1e30, 1e-20, 1.0])
    assert readable(power).tolist() == [False] * 5 + [True] * 2


def test_a_clean_link_shows_its_wave():
    assert shown(Channel(20e6, 64, ula(8)).sound(random_links(50))) == 1
