"""MUSIC comes near the bound, counts waves, and pulls coherent ones apart."""

import dataclasses
import math

import pytest
import torch

from classic.scenes import (
    BANDWIDTH,
    CHANNEL,
    SUBCARRIERS,
    links_of,
    noisy,
    root_mean_square,
    single_waves,
)
from radiofix.classic.music import Given, Music, aic, mdl
from radiofix.physics.arrays import uca, ula
from radiofix.physics.bounds import bound
from radiofix.physics.channel import Channel
from radiofix.physics.ofdm import Pilots
from radiofix.physics.synthesis import local_direction


@pytest.mark.parametrize("snr_db", [0.0, 10.0, 20.0, 30.0])
def test_a_single_wave_is_found_within_twice_the_bound(snr_db):
    paths = single_waves(150)
    channel = dataclasses.replace(CHANNEL, snr_db=snr_db)
    waves = Music()(channel.sound(paths, noisy()))
    found, least = waves.first(), bound(paths, channel)
    direction = found.direction - local_direction(paths)[:, 0, 1]
    assert 1.0 < root_mean_square((found.delay - paths.delay[:, 0]) / least.delay[:, 0]) < 2
    assert 1.0 < root_mean_square(direction / least.direction[:, 0]) < 2
    assert (waves.present.sum(1) == 1).float().mean() > 0.98


def pair(links, gap, ratio=0.8):
    phase = 2 * math.pi * torch.rand(links, 2, generator=noisy(3), dtype=torch.float64)
    return links_of(
        torch.tensor([0.40e-6, 0.40e-6 + gap / BANDWIDTH]).double().expand(links, 2),
        torch.tensor([0.2, 0.35]).double().expand(links, 2),
        torch.polar(torch.tensor([1.0, ratio]).double().expand(links, 2), phase),
    )


def test_two_coherent_waves_a_bin_apart_are_counted_and_told_apart():
    paths = pair(60, 1.5)
    waves = Music()(CHANNEL.sound(paths, noisy()))
    assert (waves.present.sum(1) == 2).float().mean() > 0.95
    order = waves.delay[:, :2].argsort(1)
    delay = waves.delay[:, :2].gather(1, order)
    direction = waves.direction[:, :2].gather(1, order)
    assert float(((delay - paths.delay) * BANDWIDTH).abs().median()) < 0.05
    assert float((direction - local_direction(paths)[..., 1]).abs().median()) < 0.02
    gain = waves.gain[:, :2].gather(1, order)
    assert float((gain.abs() - paths.gain.abs()).abs().median()) < 0.1


def test_a_given_order_is_kept():
    waves = Music(order=Given(2))(CHANNEL.sound(pair(10, 2.0), noisy()))
    assert (waves.present.sum(1) == 2).all()


def test_orders_by_description_length_follow_their_formula():
    values = torch.tensor([[100.0, 50.0, 1.2, 1.0, 0.9, 0.8], [1.3, 1.2, 1.0, 1.0, 0.9, 0.8]])
    snapshots = torch.tensor([50.0, 50.0])
    for rule, price in ((mdl, 0.5 * math.log(50)), (aic, 1.0)):
        expected = []
        for row in values.tolist():
            costs = []
            for order in range(6):
                tail = row[order:]
                mean = sum(tail) / len(tail)
                geometric = math.exp(sum(math.log(v) for v in tail) / len(tail))
                surprise = 50 * len(tail) * math.log(mean / geometric)
                costs.append(surprise + price * order * (12 - order))
            expected.append(costs.index(min(costs)))
        assert rule(values, snapshots).tolist() == expected
    assert mdl(values, snapshots).tolist() == [2, 0]


def test_evenly_spaced_pilots_are_an_array_and_a_band_of_their_own():
    channel = dataclasses.replace(CHANNEL, pilots=Pilots(every_subcarrier=3))
    paths = single_waves(60, latest=0.7e-6)
    found, least = Music()(channel.sound(paths, noisy())).first(), bound(paths, channel)
    assert root_mean_square((found.delay - paths.delay[:, 0]) / least.delay[:, 0]) < 2


def test_what_smoothing_cannot_do_is_refused_in_a_line():
    paths = single_waves(2)
    ring = Channel(BANDWIDTH, SUBCARRIERS, uca(8, 1.0)).sound(paths)
    with pytest.raises(ValueError, match="needs a uniform line array"):
        Music()(ring)
    sounding = CHANNEL.sound(paths, noisy())
    csi = sounding.csi.clone()
    csi[:, :, [1, 2, 7]] = 0
    with pytest.raises(ValueError, match="needs evenly spaced subcarriers"):
        Music()(sounding.with_csi(csi))
    mixed = sounding.csi.clone()
    mixed[1, :, 1::2] = 0
    with pytest.raises(ValueError, match="needs the same pilots in all links"):
        Music()(sounding.with_csi(mixed))
    with pytest.raises(ValueError, match="antenna_share must be between 0 and 1, got 1"):
        Music(antenna_share=1.0)


def test_a_silent_link_among_others_has_no_waves():
    sounding = CHANNEL.sound(single_waves(3), noisy())
    csi = sounding.csi.clone()
    csi[1] = 0
    waves = Music()(sounding.with_csi(csi))
    assert waves.present.any(1).tolist() == [True, False, True]
    assert waves.first().delay.isnan().tolist() == [False, True, False]


@pytest.mark.parametrize("apart", [1.0, 2.0])
def test_antennas_far_apart_hear_each_wave_once_and_not_in_every_alias(apart):
    direction = torch.tensor([0.1, -0.15]).double().expand(60, 2)
    phase = 2 * math.pi * torch.rand(60, 2, generator=noisy(4), dtype=torch.float64)
    gain = torch.polar(torch.tensor([1.0, 0.7]).double().expand(60, 2), phase)
    paths = links_of(torch.tensor([4e-7, 5.5e-7]).double().expand(60, 2), direction, gain)
    channel = Channel(BANDWIDTH, SUBCARRIERS, ula(16, apart), snr_db=25.0)
    waves = Music()(channel.sound(paths, noisy()))
    assert (waves.present.sum(1) == 2).float().mean() > 0.95
    found = waves.direction[:, :2].gather(1, waves.delay[:, :2].argsort(1))
    assert float((found - direction).abs().quantile(0.9)) < 0.01
