"""NOMP reaches the bound, tells waves apart, and leaves noise alone."""

import dataclasses
import math

import pytest
import torch

from classic.scenes import (
    ANTENNAS,
    BANDWIDTH,
    CHANNEL,
    SUBCARRIERS,
    links_of,
    noisy,
    root_mean_square,
    single_waves,
)
from radiofix.classic.nomp import Nomp, peak_threshold
from radiofix.physics.arrays import uca, ula
from radiofix.physics.bounds import bound
from radiofix.physics.channel import Channel
from radiofix.physics.ofdm import Pilots
from radiofix.physics.synthesis import local_direction


@pytest.mark.parametrize("snr_db", [0.0, 10.0, 20.0, 30.0])
def test_a_single_wave_is_found_as_well_as_the_bound_allows(snr_db):
    paths = single_waves(400)
    channel = dataclasses.replace(CHANNEL, snr_db=snr_db)
    found = Nomp()(channel.sound(paths, noisy())).first()
    least = bound(paths, channel)
    delay = (found.delay - paths.delay[:, 0]) / least.delay[:, 0]
    direction = (found.direction - local_direction(paths)[:, 0, 1]) / least.direction[:, 0]
    assert 0.85 < root_mean_square(delay) < 1.2
    assert 0.85 < root_mean_square(direction) < 1.2


def two_waves(links, delays, directions, ratio=0.6):
    phase = 2 * math.pi * torch.rand(links, 2, generator=noisy(3), dtype=torch.float64)
    size = 1e-4 * torch.tensor([1.0, ratio]).double()
    return links_of(
        torch.tensor(delays).double().expand(links, 2),
        torch.tensor(directions).double().expand(links, 2),
        torch.polar(size.expand(links, 2), phase),
    )


def test_two_waves_apart_are_both_found_at_the_bound_of_both_jointly():
    paths = two_waves(300, [0.40e-6, 0.52e-6], [0.2, 0.5])
    waves = Nomp()(CHANNEL.sound(paths, noisy()))
    assert (waves.present.sum(1) == 2).float().mean() > 0.95
    least = bound(paths, CHANNEL)
    # Found in the order of their strength, which is that of the paths.
    for wave in range(2):
        delay = (waves.delay - paths.delay[0, wave])[:, wave] / least.delay[:, wave]
        direction = waves.direction[:, wave] - local_direction(paths)[:, wave, 1]
        assert root_mean_square(delay) < 1.5
        assert root_mean_square(direction / least.direction[:, wave]) < 1.5


def test_waves_half_a_bin_apart_are_separated_where_a_grid_would_merge_them():
    paths = two_waves(100, [0.40e-6, 0.40e-6 + 0.5 / BANDWIDTH], [0.2, 0.2], 0.9)
    channel = dataclasses.replace(CHANNEL, snr_db=30.0)
    first = Nomp(rounds=10)(channel.sound(paths, noisy())).first(6.0)
    # The first peak alone lies between the two, a quarter of a bin late.
    assert float((first.delay - 0.40e-6).abs().median()) * BANDWIDTH < 0.1


def test_the_gains_rebuild_the_channel():
    paths = two_waves(20, [0.3e-6, 0.9e-6], [-0.4, 0.7])
    clean = dataclasses.replace(CHANNEL, snr_db=None, first_subcarrier=0)
    waves = Nomp(range_db=40.0)(clean.sound(paths))
    rebuilt = links_of(waves.delay, waves.direction.clamp(-1, 1), waves.gain)
    csi = clean.synthesize(paths)
    left = (csi - clean.synthesize(rebuilt)).abs().square().mean() / csi.abs().square().mean()
    assert float(left) < 1e-6


def test_noise_alone_is_given_waves_as_often_as_asked():
    sounding = CHANNEL.sound(single_waves(1500), noisy())
    noise = torch.randn(sounding.csi.shape, dtype=torch.complex64, generator=noisy(5))
    silent = sounding.with_csi(3 * noise)
    estimated = Nomp(waves=1, false_alarm=0.1)(silent).present.float().mean()
    known = Nomp(waves=1, false_alarm=0.1)(silent, torch.full((1500,), 9.0)).present.float().mean()
    assert 0.06 < float(estimated) < 0.14
    assert 0.06 < float(known) < 0.14


def test_the_threshold_solves_its_equation():
    count = torch.tensor([64.0, 4096.0])
    height = peak_threshold(count, 0.01)
    expected = math.pi / 3 * count * height * (-height).exp()
    assert torch.allclose(expected, torch.full((2,), -math.log(0.99)), rtol=1e-4)


def test_a_louder_noise_that_is_known_hides_weak_waves():
    paths = two_waves(50, [0.3e-6, 0.9e-6], [-0.4, 0.7], ratio=0.03)
    sounding = dataclasses.replace(CHANNEL, snr_db=40.0).sound(paths, noisy())
    power = torch.full((50,), 1e-8)
    assert (Nomp()(sounding, 1e-4 * power).present.sum(1) == 2).all()
    assert (Nomp()(sounding, 1e-1 * power).present.sum(1) == 1).all()


@pytest.mark.parametrize("pilots", [Pilots(every_subcarrier=3), Pilots(2, 4, 1)])
def test_pilots_in_a_comb_reach_their_own_bound(pilots):
    array = ula(ANTENNAS, 0.25)
    channel = Channel(BANDWIDTH, SUBCARRIERS, array, snr_db=20.0, pilots=pilots)
    paths = single_waves(200, latest=0.7e-6)
    found = Nomp()(channel.sound(paths, noisy())).first()
    least = bound(paths, channel)
    assert root_mean_square((found.delay - paths.delay[:, 0]) / least.delay[:, 0]) < 1.2
    direction = found.direction - local_direction(paths)[:, 0, 1]
    assert root_mean_square(direction / least.direction[:, 0]) < 1.2


def test_a_ring_of_antennas_reaches_its_bound_to_the_front():
    channel = Channel(BANDWIDTH, SUBCARRIERS, uca(12, 1.0), snr_db=20.0)
    paths = single_waves(200, widest=0.8)
    found = Nomp()(channel.sound(paths, noisy())).first()
    least = bound(paths, channel)
    direction = found.direction - local_direction(paths)[:, 0, 1]
    assert root_mean_square(direction / least.direction[:, 0]) < 1.2


def test_a_silent_link_has_no_waves_and_its_neighbours_are_not_disturbed():
    sounding = CHANNEL.sound(single_waves(5), noisy())
    csi = sounding.csi.clone()
    csi[2] = 0
    waves = Nomp()(sounding.with_csi(csi))
    whole = Nomp()(sounding)
    assert not waves.present[2].any()
    assert torch.equal(waves.first().delay[:2], whole.first().delay[:2])
    first = waves.first()
    assert (
        first.delay.isnan().tolist()
        == first.direction.isnan().tolist()
        == [n == 2 for n in range(5)]
    )


def test_the_first_path_is_the_earliest_that_is_strong_enough():
    paths = two_waves(10, [0.9e-6, 0.3e-6], [-0.4, 0.7], ratio=0.5)
    waves = Nomp()(CHANNEL.sound(paths, noisy()))
    assert torch.allclose(waves.first(10.0).delay, torch.tensor(0.3e-6).double(), atol=2e-9)
    assert torch.allclose(waves.first(3.0).delay, torch.tensor(0.9e-6).double(), atol=2e-9)
    with pytest.raises(ValueError, match="within_db must be at least 0, got -1"):
        waves.first(-1.0)


def test_impossible_settings_are_refused_in_a_line():
    with pytest.raises(ValueError, match="waves must be at least 1, got 0"):
        Nomp(waves=0)
    with pytest.raises(ValueError, match="false_alarm must be between 0 and 1, got 1"):
        Nomp(false_alarm=1.0)


def test_links_of_nothing_but_zeros_have_no_wave():
    sounding = CHANNEL.sound(single_waves(3), noisy())
    waves = Nomp()(sounding.with_csi(torch.zeros_like(sounding.csi)))
    assert len(waves) == 3
    assert not bool(waves.present.any())
    assert bool(waves.delay.isfinite().all() & waves.direction.isfinite().all())
