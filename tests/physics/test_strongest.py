"""One wave alone is found where it is; the strongest of several wins."""

import math

import numpy as np
import pytest
import torch

from radiofix.physics.arrays import ula
from radiofix.physics.channel import Channel
from radiofix.physics.strongest import (
    Wave,
    count_beams,
    steering,
    strongest_wave,
    strongest_waves,
)
from radiofix.types import SPEED_OF_LIGHT, Station

ANTENNAS, SUBCARRIERS = 16, 64


def grid(links, bandwidth=20e6):
    index = torch.arange(SUBCARRIERS) - SUBCARRIERS // 2
    frequency = (bandwidth / SUBCARRIERS * index).expand(links, -1)
    antenna = torch.zeros(links, ANTENNAS, 3)
    antenna[..., 1] = 0.5 * torch.arange(ANTENNAS)
    return frequency, antenna


def random_wave(links, seed=0, most=0.9):
    generator = torch.Generator().manual_seed(seed)
    delay = 1e-6 * torch.rand(links, generator=generator)
    direction = most * (2 * torch.rand(links, generator=generator) - 1)
    gain = torch.randn(links, generator=generator, dtype=torch.complex64)
    return Wave(delay, direction, gain)


def seen(wave, frequency, antenna):
    return wave.gain[:, None, None] * steering(wave, frequency, antenna)


def test_steering_is_the_channels_own():
    wave = random_wave(3)
    frequency, antenna = grid(3)
    expected = np.exp(
        2j * np.pi * (antenna[..., 1].numpy() * wave.direction[:, None].numpy())[:, :, None]
        - 2j * np.pi * (frequency.numpy() * wave.delay[:, None].numpy())[:, None, :]
    )
    assert np.allclose(steering(wave, frequency, antenna).numpy(), expected, atol=1e-4)


def test_a_single_wave_is_found_far_within_a_bin():
    wave, (frequency, antenna) = random_wave(200), grid(200)
    found = strongest_wave(seen(wave, frequency, antenna), frequency, antenna)
    assert ((found.delay - wave.delay).abs() * 20e6).max() < 0.05
    assert ((found.direction - wave.direction).abs() * ANTENNAS / 2).max() < 0.05
    close = (found.gain - wave.gain).abs() / wave.gain.abs()
    assert close.max() < 0.3


def test_the_stronger_of_two_waves_is_found_and_noise_changes_little():
    frequency, antenna = grid(50)
    strong, weak = random_wave(50, 1), random_wave(50, 2)
    strong = Wave(strong.delay, strong.direction, 2 * torch.ones(50, dtype=torch.complex64))
    weak = Wave(weak.delay, weak.direction, 0.5 * torch.ones(50, dtype=torch.complex64))
    both = seen(strong, frequency, antenna) + seen(weak, frequency, antenna)
    noise = torch.randn(both.shape, dtype=both.dtype, generator=torch.Generator().manual_seed(3))
    found = strongest_wave(both + 0.2 * noise, frequency, antenna)
    assert ((found.delay - strong.delay).abs() * 20e6).quantile(0.9) < 0.3
    assert ((found.direction - strong.direction).abs() * ANTENNAS / 2).quantile(0.9) < 0.3


def test_a_comb_of_pilots_leaves_the_delay_and_the_direction_up_to_its_lobes():
    frequency, antenna = grid(40)
    wave = random_wave(40, 4)
    csi = seen(wave, frequency, antenna)
    comb = torch.zeros(ANTENNAS, SUBCARRIERS)
    comb[::3, ::3] = 1
    found = strongest_wave(csi * comb, frequency, antenna)
    assert ((found.delay - wave.delay).abs() * 20e6).max() < 0.1
    lobes = (found.direction - wave.direction) / (2 / 3)
    assert ((lobes - lobes.round()).abs() * ANTENNAS / 3).max() < 0.35


def test_range_and_azimuth_are_those_of_the_user():
    from physics.links import one_path

    azimuth = torch.tensor(0.6)
    paths = one_path(distance=120.0, azimuth=float(azimuth))
    sounding = Channel(20e6, SUBCARRIERS, ula(ANTENNAS)).sound(paths)
    found = strongest_wave(sounding.csi, sounding.frequency, sounding.antenna)
    assert float(found.range) == pytest.approx(120.0, abs=0.05 * SPEED_OF_LIGHT / 20e6)
    assert float(found.azimuth) == pytest.approx(0.6, abs=math.radians(1))


def test_silence_and_a_single_subcarrier_give_finite_waves():
    frequency, antenna = grid(2)
    found = strongest_wave(
        torch.zeros(2, ANTENNAS, SUBCARRIERS, dtype=torch.complex64), frequency, antenna
    )
    assert found.delay.isfinite().all()
    assert (found.gain == 0).all()
    one = torch.ones(2, ANTENNAS, 1, dtype=torch.complex64)
    assert strongest_wave(one, frequency[:, :1], antenna).direction.abs().max() < 0.1


def test_a_user_beside_the_station_is_not_put_at_the_alias():
    frequency, antenna = grid(20)
    near = Wave(torch.linspace(0, 5e-9, 20), torch.zeros(20), torch.ones(20, dtype=torch.complex64))
    late = Wave(near.delay + 30e-9, torch.zeros(20), -0.5 * near.gain)
    both = seen(near, frequency, antenna) + seen(late, frequency, antenna)
    assert strongest_wave(both, frequency, antenna).range.max() < 15


def test_waves_come_one_after_the_other_with_the_gains_that_they_have_together():
    frequency, antenna = grid(40)
    one = torch.ones(40)
    strong = Wave(2e-7 * one, 0.5 * one, torch.full((40,), 2.0 + 0j, dtype=torch.complex64))
    weak = Wave(6e-7 * one, -0.4 * one, torch.full((40,), 0.6j, dtype=torch.complex64))
    both = seen(strong, frequency, antenna) + seen(weak, frequency, antenna)
    found = strongest_waves(both, frequency, antenna, 2)
    for wave, true in zip(found, (strong, weak), strict=True):
        assert ((wave.delay - true.delay).abs() * 20e6).max() < 0.1
        assert ((wave.direction - true.direction).abs() * ANTENNAS / 2).max() < 0.1
        assert ((wave.gain - true.gain).abs() / true.gain.abs()).max() < 0.3
    # Least squares over both shapes, by NumPy.
    shapes = np.stack([steering(w, frequency, antenna)[0].numpy().ravel() for w in found], 1)
    expected = np.linalg.lstsq(shapes, both[0].numpy().ravel(), rcond=None)[0]
    told = np.array([complex(w.gain[0]) for w in found])
    np.testing.assert_allclose(told, expected, rtol=2e-3)


def test_a_channel_that_was_not_heard_has_waves_without_gain():
    frequency, antenna = grid(2)
    silent = torch.zeros(2, ANTENNAS, SUBCARRIERS, dtype=torch.complex64)
    assert all((w.gain == 0).all() for w in strongest_waves(silent, frequency, antenna, 3))


def test_conjugating_turns_both_signs_and_reversing_the_antennas_turns_one_back():
    channel, here = Channel(20e6, 64, ula(8)), Station([0, 0, 6], [0, 0, 0], 3.5e9)
    delay, direction = 60e-9, 0.45
    along = torch.exp(-2j * torch.pi * channel.baseband_frequency * delay)
    across = torch.exp(2j * torch.pi * channel.array.positions[:, 1] * direction)

    def seen(csi):
        sounding = channel.describe(csi[None], here)
        wave = strongest_wave(sounding.csi, sounding.frequency, sounding.antenna)
        return float(wave.delay), float(wave.direction)

    ours = pytest.approx((delay, direction), rel=0.05)
    assert seen(torch.outer(across, along)) == ours
    late, mirrored = torch.outer(across, along.conj()), torch.outer(across.conj(), along)
    assert seen(late)[0] != pytest.approx(delay, rel=0.5)
    assert seen(mirrored) == pytest.approx((delay, -direction), rel=0.05)
    assert seen(late.conj()) == pytest.approx((delay, -direction), rel=0.05)
    assert seen(late.conj().flip(0)) == ours
    assert seen(mirrored.flip(0)) == ours
    assert seen(torch.outer(across.conj(), along.conj()).conj()) == ours


@pytest.mark.parametrize("apart", [1.0, 2.0, 4.0])
def test_antennas_further_apart_are_looked_through_with_as_many_beams_as_they_are_long(apart):
    links, antennas = 100, 8
    generator = torch.Generator().manual_seed(6)
    frequency, antenna = grid(links)
    antenna = antenna[:, :antennas].clone()
    antenna[..., 1] = apart * (torch.arange(antennas) - (antennas - 1) / 2)
    wave = Wave(
        1e-6 * torch.rand(links, generator=generator),
        1.8 * torch.rand(links, generator=generator) - 0.9,
        torch.ones(links, dtype=torch.complex64),
    )
    csi = seen(wave, frequency, antenna)
    found = strongest_wave(csi, frequency, antenna)
    assert ((found.delay - wave.delay).abs() * 20e6).max() < 0.1
    assert float(found.gain.abs().min()) > 0.8
    aliases = (found.direction - wave.direction) * apart
    assert (aliases - aliases.round()).abs().max() < 0.05 * apart


def test_half_a_wavelength_apart_there_are_two_beams_an_antenna():
    for antennas in (1, 2, 8, 31, 32, 64):
        place = torch.zeros(3, antennas, 3)
        place[..., 1] = 0.5 * torch.arange(antennas) + 1e-5 * torch.arange(antennas) / antennas
        assert count_beams(place) == 2 * antennas
    # Stations of a little higher carriers have no other beams than those that they were made for.
    assert count_beams(1.1 * place) == 2 * antennas
    assert count_beams(2 * place) > 2 * antennas
    assert count_beams(1e30 * place) < 3000
