"""OMP finds waves that lie on its grid exactly, and others to the nearest of its places."""

import dataclasses

import numpy as np
import pytest
import torch

from classic.scenes import links_of, single_waves
from radiofix.classic.nomp import Nomp
from radiofix.classic.omp import Grid, Omp
from radiofix.physics.arrays import ula
from radiofix.physics.channel import Channel
from radiofix.physics.ofdm import Pilots
from radiofix.physics.synthesis import local_direction

BANDWIDTH, SUBCARRIERS, ANTENNAS = 20e6, 32, 8
CHANNEL = Channel(BANDWIDTH, SUBCARRIERS, ula(ANTENNAS))


def on_the_grid(links=20):
    """Three waves a link, far from each other, where a grid twice as fine has its places."""
    delay = torch.tensor([10, 24, 40]).double() / (2 * BANDWIDTH)
    direction = torch.tensor([3, 9, 14]).double()
    direction = (direction + 0.5) * (2 / (2 * ANTENNAS)) - 1
    phase = 2 * torch.pi * torch.rand(links, 3, generator=torch.Generator().manual_seed(0))
    gain = torch.polar(torch.tensor([3.0, 2.0, 1.0]).expand(links, 3), phase)
    return links_of(delay.expand(links, 3), direction.expand(links, 3), gain)


def test_waves_on_the_grid_are_found_as_they_are_with_their_gains():
    paths = on_the_grid()
    waves = Omp(waves=3, grid=Grid(2))(CHANNEL.sound(paths))
    assert torch.allclose(waves.delay, paths.delay, atol=1e-12)
    assert torch.allclose(waves.direction, local_direction(paths)[..., 1], atol=1e-6)
    assert torch.allclose(waves.gain, paths.gain, atol=1e-4)


def test_it_is_the_textbooks_pursuit():
    paths = single_waves(4, seed=3)
    sounding = dataclasses.replace(CHANNEL, snr_db=5.0).sound(
        paths, torch.Generator().manual_seed(1)
    )
    waves = Omp(waves=3, stop_db=300.0, grid=Grid(2))(sounding)
    csi = sounding.csi.numpy().reshape(4, -1).astype(complex)
    delay = np.arange(2 * SUBCARRIERS) / (2 * BANDWIDTH)
    direction = (np.arange(2 * ANTENNAS) + 0.5) / ANTENNAS - 1
    place = 0.5 * (np.arange(ANTENNAS) - (ANTENNAS - 1) / 2)
    frequency = CHANNEL.baseband_frequency.numpy()
    atoms = np.einsum(
        "ua,tk->utak",
        np.exp(2j * np.pi * np.outer(direction, place)),
        np.exp(-2j * np.pi * np.outer(delay, frequency)),
    ).reshape(len(direction) * len(delay), -1)
    for link in range(4):
        chosen, left = [], csi[link]
        for _ in range(3):
            chosen.append(int(np.abs(atoms.conj() @ left).argmax()))
            gains = np.linalg.lstsq(atoms[chosen].T, csi[link], rcond=None)[0]
            left = csi[link] - gains @ atoms[chosen]
        row, column = np.divmod(chosen, len(delay))
        late = delay[column]
        late = np.where(late > 0.95 * SUBCARRIERS / BANDWIDTH, late - SUBCARRIERS / BANDWIDTH, late)
        assert np.allclose(waves.delay[link].numpy(), late, atol=1e-12)
        assert np.allclose(waves.direction[link].numpy(), direction[row], atol=1e-6)
        assert np.allclose(waves.gain[link].numpy(), gains, rtol=1e-3, atol=1e-8)


def test_it_stops_when_little_is_left():
    waves = Omp(waves=5, stop_db=20.0, grid=Grid(2))(CHANNEL.sound(on_the_grid()))
    assert (waves.present.sum(1) == 3).all()


def test_its_grid_is_what_keeps_it_from_nomps_precision():
    paths = single_waves(200, latest=1e-6)
    sounding = dataclasses.replace(CHANNEL, snr_db=20.0).sound(
        paths, torch.Generator().manual_seed(1)
    )
    coarse = Omp(waves=1, grid=Grid(finer=4))
    error = (coarse(sounding).delay - paths.delay).abs() * BANDWIDTH
    refined = (Nomp(waves=1)(sounding).delay - paths.delay).abs() * BANDWIDTH
    # A place every quarter of a bin: an error up to an eighth, a sixteenth on average.
    assert float(error.max()) < 0.15
    assert 0.05 < float(error.mean()) < 0.075
    assert float(refined.mean()) < 0.2 * float(error.mean())


def test_looked_at_again_a_coarse_grid_finds_the_places_of_a_fine_one():
    gain = torch.tensor([1.0, 0.6, 0.3]) + 0j
    delay, direction = (
        low + (high - low) * torch.rand(60, 3, generator=torch.Generator().manual_seed(n)).double()
        for n, (low, high) in enumerate(((0.1e-6, 1.2e-6), (-0.9, 0.9)))
    )
    sounding = CHANNEL.sound(links_of(delay, direction, gain.expand(60, 3)))
    fine, zoomed = (
        Omp(waves=1, grid=grid)(sounding) for grid in (Grid(finer=16), Grid(finer=4, zoom=4))
    )
    # Directions of the two lie half a step apart; delays are the same places.
    step, beam = 1 / (16 * BANDWIDTH), 2 / (16 * ANTENNAS)
    assert float(((fine.delay - zoomed.delay).abs() <= 1.01 * step).double().mean()) > 0.97
    assert float(((fine.direction - zoomed.direction).abs() <= 1.6 * beam).double().mean()) > 0.97
    assert torch.allclose(fine.gain.abs(), zoomed.gain.abs(), rtol=0.02)


def test_by_default_its_places_are_close_enough_not_to_matter():
    paths = single_waves(200, latest=1e-6)
    sounding = dataclasses.replace(CHANNEL, snr_db=0.0).sound(
        paths, torch.Generator().manual_seed(1)
    )
    error, refined = (
        (finder(sounding).delay - paths.delay).square().mean().sqrt()
        for finder in (Omp(waves=1), Nomp(waves=1))
    )
    assert float(error) < 1.1 * float(refined)


def test_pilots_in_a_comb_give_the_earliest_delay_that_explains_them():
    channel = dataclasses.replace(CHANNEL, pilots=Pilots(every_subcarrier=4))
    paths = single_waves(50, latest=0.35e-6)
    found = Omp(waves=1)(channel.sound(paths))
    assert float((found.delay - paths.delay).abs().max()) * BANDWIDTH < 0.15


def test_impossible_settings_are_refused_in_a_line():
    with pytest.raises(ValueError, match="waves must be at least 1, got 0"):
        Omp(waves=0)
    with pytest.raises(ValueError, match="finer must be at least 1, got 0"):
        Grid(0)
    with pytest.raises(ValueError, match="zoom must be at least 1, got 0"):
        Grid(zoom=0)
