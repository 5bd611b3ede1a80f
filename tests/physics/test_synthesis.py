from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from physics.links import changed, one_path, random_links, reference, relative_error
from radiofix.physics.arrays import Sector, elements, uca, ula, upa
from radiofix.physics.channel import Channel
from radiofix.types import SPEED_OF_LIGHT

SUBCARRIERS = 24
ARRAYS = [ula(8), ula(5, spacing=0.7), upa(3, 4), uca(7, radius=1.0)]


def _grid(bandwidth: float, first: int = -(SUBCARRIERS // 2)) -> np.ndarray:
    return (first + np.arange(SUBCARRIERS)) * bandwidth / SUBCARRIERS


@pytest.mark.parametrize("array", ARRAYS)
@pytest.mark.parametrize("bandwidth", [5e6, 20e6])
def test_channel_is_the_sum_over_paths_in_ten_lines_of_numpy(array, bandwidth):
    for dtype, tolerance in ((torch.complex128, 1e-11), (torch.complex64, 1e-6)):
        paths = random_links(dtype=dtype)
        got = Channel(bandwidth, SUBCARRIERS, array).synthesize(paths)
        assert got.dtype == dtype
        assert got.shape == (6, len(array), SUBCARRIERS)
        expected = reference(paths, array.positions.numpy(), _grid(bandwidth))
        assert relative_error(got, expected) < tolerance


def test_float32_holds_over_thousands_of_subcarriers_and_kilometres():
    paths = random_links(2)
    paths = changed(paths, delay=paths.delay * 100)
    channel = Channel(98.28e6, 3276, ula(4))
    with pytest.warns(UserWarning, match="alias"):
        got = channel.synthesize(paths)
    expected = reference(paths, ula(4).positions.numpy(), channel.baseband_frequency.numpy())
    assert relative_error(got, expected) < 1e-6


def test_a_single_path_is_the_closed_form():
    azimuth, zenith, distance = 0.4, 1.2, 45.0
    got = Channel(20e6, SUBCARRIERS, ula(6)).synthesize(one_path(azimuth, zenith, distance))
    y = (np.arange(6) - 2.5) / 2
    steering = np.exp(2j * np.pi * y * np.sin(zenith) * np.sin(azimuth))
    wave = np.exp(-2j * np.pi * _grid(20e6) * distance / SPEED_OF_LIGHT)
    assert relative_error(got[0], np.outer(steering, wave)) < 1e-12


def test_the_papers_grid_starts_at_the_carrier():
    paths = random_links(dtype=torch.complex128)
    got = Channel(10e6, SUBCARRIERS, ula(4), first_subcarrier=0).synthesize(paths)
    expected = reference(paths, ula(4).positions.numpy(), _grid(10e6, first=0))
    assert relative_error(got, expected) < 1e-11


def test_elements_in_metres_are_wavelengths_at_the_link_s_own_carrier():
    paths = random_links(dtype=torch.complex128)
    assert len(paths.carrier_frequency.unique()) == 2
    metres = torch.randn(5, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    got = Channel(10e6, SUBCARRIERS, elements(metres)).synthesize(paths)
    for n, carrier in enumerate(paths.carrier_frequency.tolist()):
        wavelengths = metres.numpy() * carrier / SPEED_OF_LIGHT
        expected = reference(paths[n], wavelengths, _grid(10e6))
        assert relative_error(got[n : n + 1], expected) < 1e-10


def test_turning_station_and_world_together_changes_nothing():
    paths = one_path(azimuth=0.3, zenith=1.1)
    turned = changed(
        paths,
        station_azimuth=paths.station_azimuth + 0.8,
        station_orientation=torch.tensor([[0.8, 0.0, 0.0]], dtype=torch.float64),
    )
    channel = Channel(10e6, SUBCARRIERS, upa(2, 3, column_spacing=0.4))
    torch.testing.assert_close(channel.synthesize(turned), channel.synthesize(paths))


def test_the_sector_element_looks_where_the_station_looks():
    yaw = torch.tensor([[2.0, 0.0, 0.0]], dtype=torch.float64)
    ahead = changed(one_path(azimuth=2.0), station_orientation=yaw)
    behind = changed(one_path(azimuth=2.0 - math.pi), station_orientation=yaw)
    channel = Channel(10e6, SUBCARRIERS, ula(2, pattern=Sector()))
    for paths, gain_db in ((ahead, 8), (behind, 8 - 30)):
        power_db = 20 * channel.synthesize(paths).abs().log10()
        torch.testing.assert_close(power_db, torch.full_like(power_db, gain_db))


def _distance_to_image(paths, antennas: np.ndarray) -> np.ndarray:
    azimuth, zenith = float(paths.station_azimuth), float(paths.station_zenith)
    toward = np.array(
        [np.sin(zenith) * np.cos(azimuth), np.sin(zenith) * np.sin(azimuth), np.cos(zenith)]
    )
    return np.linalg.norm(float(paths.delay) * SPEED_OF_LIGHT * toward - antennas, axis=1)


@pytest.mark.parametrize("distance", [1.0, 7.0, 5000.0])
def test_a_spherical_wave_has_the_phase_and_amplitude_of_each_antenna_s_distance(distance):
    paths = one_path(0.7, 1.3, distance)
    wavelength = SPEED_OF_LIGHT / 3.5e9
    far = _distance_to_image(paths, upa(4, 16).positions.numpy() * wavelength)
    got = Channel(1.0, 1, upa(4, 16), wavefront="spherical").synthesize(paths)[0, :, 0]
    expected = distance / far * np.exp(-2j * np.pi * (far - distance) / wavelength)
    assert relative_error(got, expected) < 1e-8


def test_far_away_a_spherical_wave_is_planar():
    errors = []
    for distance in (50.0, 500.0, 5000.0):
        paths = one_path(0.7, 1.3, distance)
        channel = Channel(1e4, 4, ula(32))
        planar = channel.synthesize(paths).numpy()
        spherical = Channel(1e4, 4, ula(32), wavefront="spherical").synthesize(paths)
        errors.append(relative_error(spherical, planar))
    # The wave's curvature falls with the distance, tenfold with tenfold.
    assert errors[0] > 0.05
    np.testing.assert_allclose([errors[1] / errors[0], errors[2] / errors[1]], 0.1, rtol=0.02)


def test_squint_steers_at_each_subcarrier_s_own_frequency():
    carrier, bandwidth = 28e9, 2e9
    paths = one_path(0.9, 1.4, 2.0, carrier)
    got = Channel(bandwidth, SUBCARRIERS, ula(16), squint=True).synthesize(paths)[0]
    frequency = _grid(bandwidth)
    y = (np.arange(16) - 7.5) / 2 * SPEED_OF_LIGHT / carrier
    earlier = y * np.sin(1.4) * np.sin(0.9) / SPEED_OF_LIGHT
    wave = np.exp(-2j * np.pi * frequency * 2.0 / SPEED_OF_LIGHT)
    expected = np.exp(2j * np.pi * np.outer(earlier, carrier + frequency)) * wave
    assert relative_error(got, expected) < 1e-9
    without = Channel(bandwidth, SUBCARRIERS, ula(16)).synthesize(paths)[0]
    assert relative_error(without, expected) > 0.1


def test_squint_of_a_spherical_wave_is_the_true_delay_to_each_antenna():
    carrier, bandwidth, distance = 28e9, 1e9, 0.6
    paths = one_path(0.5, 1.2, distance, carrier)
    antennas = ula(16).positions.numpy() * SPEED_OF_LIGHT / carrier
    far = _distance_to_image(paths, antennas)
    array = ula(16)
    channel = Channel(bandwidth, SUBCARRIERS, array, wavefront="spherical", squint=True)
    got = channel.synthesize(paths)[0]
    late = np.outer((far - distance) / SPEED_OF_LIGHT, carrier + _grid(bandwidth))
    wave = np.exp(-2j * np.pi * _grid(bandwidth) * distance / SPEED_OF_LIGHT)
    expected = (distance / far)[:, None] * np.exp(-2j * np.pi * late) * wave
    assert relative_error(got, expected) < 1e-9


@pytest.mark.parametrize("wavefront", ["planar", "spherical"])
@pytest.mark.parametrize("squint", [False, True])
def test_a_link_without_paths_is_silent(wavefront, squint):
    paths = random_links(3)
    nothing = changed(
        paths,
        gain=torch.zeros_like(paths.gain),
        delay=torch.zeros_like(paths.delay),
        interactions=torch.full_like(paths.interactions, -1),
    )
    for array in (ula(3), ula(4)):
        channel = Channel(1e7, 8, array, snr_db=20.0, wavefront=wavefront, squint=squint)
        assert (channel.synthesize(nothing) == 0).all()


def test_the_channel_is_differentiable_in_the_delay():
    paths = one_path()
    delay = paths.delay.clone().requires_grad_()
    csi = Channel(10e6, 4, ula(2), first_subcarrier=1).synthesize(changed(paths, delay=delay))
    csi[0, 0, 0].angle().backward()
    torch.testing.assert_close(delay.grad, torch.full_like(delay, -2 * math.pi * 10e6 / 4))
