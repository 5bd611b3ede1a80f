"""The bounds against closed forms and against the information written out in NumPy."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from physics.links import random_links
from radiofix.physics.arrays import elements, uca, ula, upa
from radiofix.physics.bounds import (
    bound,
    each_alone,
    noise_of,
    of_users,
    position_error_bound,
    position_information,
    together,
)
from radiofix.physics.channel import Channel
from radiofix.physics.impairments import mean_power
from radiofix.physics.ofdm import Pilots
from radiofix.physics.rotation import rotation
from radiofix.physics.synthesis import element_positions, local_direction
from radiofix.types import SPEED_OF_LIGHT

ANTENNAS, SUBCARRIERS, BANDWIDTH = 6, 10, 8e6
SCATTERED = 0.05 * torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
CHANNEL = Channel(BANDWIDTH, SUBCARRIERS, ula(ANTENNAS), snr_db=10.0)


def direct(links=3, seed=0):
    """One direct path a link, where the user truly stands, stations turned at will."""
    paths = random_links(links, 1, seed, torch.complex128)
    distance = SPEED_OF_LIGHT * paths.delay
    zenith, azimuth = paths.station_zenith.double(), paths.station_azimuth.double()
    toward = torch.stack(
        [zenith.sin() * azimuth.cos(), zenith.sin() * azimuth.sin(), zenith.cos()], -1
    )[:, 0]
    return dataclasses.replace(
        paths,
        user_position=distance * toward,
        interactions=torch.zeros_like(paths.interactions),
    )


def written_out(paths, channel, noise):
    """Deviations of every range and direction: the information by its definition, inverted."""
    place = (
        element_positions(channel.array, paths.carrier_frequency)
        / (SPEED_OF_LIGHT / paths.carrier_frequency.double())[:, None, None]
    ).numpy()
    frequency = channel.baseband_frequency.numpy()
    mask = channel.pilots.mask(len(channel.array), channel.subcarriers).numpy()
    direction, delay = local_direction(paths).numpy(), paths.delay.double().numpy()
    deviations = []
    for link in range(len(paths)):
        # Range, u, w, and both parts of the gain; a line array sees nothing of w.
        columns = [[], [], [], [], []]
        for path in range(paths.gain.shape[1]):
            x, u, z = direction[link, path]
            phase = 2 * np.pi * (place[link] @ np.array([x, u, z]))[:, None]
            wave = mask * np.exp(1j * phase - 2j * np.pi * frequency * delay[link, path])
            slopes = place[link][:, 1:] - place[link][:, :1] * np.array([u, z]) / x
            g = complex(paths.gain[link, path])
            columns[0].append(g * wave * (-2j * np.pi * frequency / SPEED_OF_LIGHT))
            columns[1].append(g * wave * (2j * np.pi * slopes[:, 0])[:, None])
            columns[2].append(g * wave * (2j * np.pi * slopes[:, 1])[:, None])
            columns[3].append(wave)
            columns[4].append(1j * wave)
        if not np.abs(place[link][:, [0, 2]]).max() > 1e-6:
            columns.pop(2)
        derivative = np.stack([entry for column in columns for entry in column]).reshape(
            len(columns) * paths.gain.shape[1], -1
        )
        information = 2 / float(noise[link]) * (derivative.conj() @ derivative.T).real
        deviations.append(np.sqrt(np.diag(np.linalg.inv(information))))
    return np.array(deviations)


def test_a_single_path_has_the_textbook_bound():
    paths = direct()
    noise = torch.full((3,), 1e-9)
    found = bound(paths, CHANNEL, noise)
    snr = paths.gain.abs()[:, 0] ** 2 / noise * ANTENNAS * SUBCARRIERS
    # Mean square bandwidth and aperture of uniform grids about their middle.
    band = (BANDWIDTH / SUBCARRIERS) ** 2 * (SUBCARRIERS**2 - 1) / 12
    aperture = 0.5**2 * (ANTENNAS**2 - 1) / 12
    delay = 1 / (8 * math.pi**2 * snr * band).sqrt()
    direction = 1 / (8 * math.pi**2 * snr * aperture).sqrt()
    assert torch.allclose(found.delay[:, 0], delay, rtol=1e-9)
    assert torch.allclose(found.range, SPEED_OF_LIGHT * found.delay)
    assert torch.allclose(found.direction[:, 0], direction, rtol=1e-9)
    forward = local_direction(paths)[..., 0].abs()
    assert torch.allclose(found.azimuth, found.direction / forward)


@pytest.mark.parametrize("array", [ula(6), uca(7, 0.6), upa(3, 4), elements(SCATTERED)])
@pytest.mark.parametrize("pilots", [Pilots(), Pilots(every_subcarrier=2, every_antenna=2)])
def test_several_paths_have_the_inverse_of_the_information_written_out(array, pilots):
    paths = random_links(3, 2, 3, torch.complex128)
    channel = Channel(BANDWIDTH, 16, array, pilots=pilots, first_subcarrier=0)
    noise = torch.tensor([1e-9, 2e-9, 3e-9])
    found, expected = bound(paths, channel, noise), written_out(paths, channel, noise)
    assert np.allclose(found.range.numpy(), expected[:, :2], rtol=1e-5)
    assert np.allclose(found.direction.numpy(), expected[:, 2:4], rtol=1e-5)


def test_a_second_path_never_helps_and_a_distant_one_does_not_hurt():
    near = direct(1)
    gain = torch.cat([near.gain, near.gain], 1)

    def with_second(bins):
        later = near.delay + bins / BANDWIDTH
        pair = random_links(1, 2, 0, torch.complex128)
        return dataclasses.replace(
            pair,
            gain=gain,
            delay=torch.cat([near.delay, later], 1),
            station_azimuth=near.station_azimuth.expand(1, 2),
            station_zenith=near.station_zenith.expand(1, 2),
        )

    noise = torch.full((1,), 1e-9)
    alone = float(bound(near, CHANNEL, noise).delay[0, 0])
    ratio = [
        float(bound(with_second(bins), CHANNEL, noise).delay[0, 0]) / alone
        for bins in (0.05, 0.3, 1.0, 4.0)
    ]
    assert ratio[0] > 50 > ratio[1] > ratio[2] > ratio[3] >= 1
    assert ratio[3] < 1.1
    pair = with_second(0.3)
    each = bound(each_alone(pair), CHANNEL, noise.expand(2))
    assert torch.allclose(each.delay[0, 0], torch.tensor(alone, dtype=torch.float64))


def test_paths_that_coincide_get_large_finite_bounds_and_absent_ones_infinite():
    paths = random_links(2, 3, 1, torch.complex128)
    same = dataclasses.replace(
        paths,
        gain=paths.gain[:, :1] * torch.tensor([1, 2, 0]),
        delay=paths.delay[:, :1].expand(-1, 3),
        station_azimuth=paths.station_azimuth[:, :1].expand(-1, 3),
        station_zenith=paths.station_zenith[:, :1].expand(-1, 3),
    )
    found = bound(same, CHANNEL, torch.full((2,), 1e-9))
    assert found.range[:, :2].isfinite().all()
    assert (found.range[:, :2] > 1e5).all()
    assert found.range[:, 2].isinf().all()
    assert (found.information[:, 2] == 0).all()
    assert position_error_bound(torch.zeros(2, 2, dtype=torch.float64)).isfinite()
    assert position_error_bound(torch.zeros(2, 2, dtype=torch.float64)) > 1e5


def test_the_noise_is_what_the_channel_adds():
    paths = random_links(4, 2, 5)
    clean = CHANNEL.noiseless.synthesize(paths)
    assert torch.allclose(noise_of(paths, CHANNEL), 0.1 * mean_power(clean).double(), rtol=1e-5)
    comb = dataclasses.replace(CHANNEL, pilots=Pilots(every_subcarrier=3))
    assert torch.allclose(noise_of(paths, comb), noise_of(paths, CHANNEL))
    budget = Channel(BANDWIDTH, SUBCARRIERS, ula(ANTENNAS), tx_power_dbm=20.0, noise_figure_db=7.0)
    empty = dataclasses.replace(paths, gain=torch.zeros_like(paths.gain))
    heard = budget.synthesize(empty, torch.Generator().manual_seed(0))
    assert torch.allclose(mean_power(heard).mean().double(), noise_of(paths, budget)[0], rtol=0.2)
    with pytest.raises(ValueError, match="give snr_db or a link budget"):
        noise_of(paths, CHANNEL.noiseless)


def test_the_position_of_a_level_user_is_bounded_along_and_across_the_way():
    paths = direct(4)
    level = dataclasses.replace(
        paths,
        station_zenith=torch.full_like(paths.station_zenith, math.pi / 2),
        station_orientation=torch.zeros_like(paths.station_orientation),
        user_position=SPEED_OF_LIGHT
        * paths.delay
        * torch.stack(
            [
                paths.station_azimuth[:, 0].double().cos(),
                paths.station_azimuth[:, 0].double().sin(),
                torch.zeros(4, dtype=torch.float64),
            ],
            -1,
        ),
    )
    found = bound(level, CHANNEL, torch.full((4,), 1e-9))
    across = SPEED_OF_LIGHT * level.delay * found.azimuth
    expected = (found.range.square() + across.square()).sqrt()[:, 0]
    got = position_error_bound(position_information(level, found))
    assert torch.allclose(got, expected, rtol=1e-4)


@pytest.mark.parametrize("array", [ula(ANTENNAS), upa(3, 4), uca(7, 0.6)])
def test_information_is_the_derivative_of_range_and_direction_by_position(array):
    paths = direct(3, 2)
    channel = dataclasses.replace(CHANNEL, array=array)
    found = bound(paths, channel, torch.full((3,), 1e-9))

    def seen(position):
        away = position - paths.station_position
        distance = away.norm(dim=-1)
        _, y, z = rotation(paths.station_orientation).unbind(-1)
        return torch.stack([distance, *((away * a).sum(-1) / distance for a in (y, z))], -1)

    columns = []
    for axis in range(2):
        step = torch.zeros(3, dtype=torch.float64)
        step[axis] = 1e-4
        difference = seen(paths.user_position + step) - seen(paths.user_position - step)
        columns.append(difference / 2e-4)
    jacobian = torch.stack(columns, -1)
    expected = jacobian.mT @ found.information[:, 0] @ jacobian
    assert torch.allclose(position_information(paths, found), expected, rtol=1e-4)


def test_stations_add_up_and_one_without_sight_adds_nothing():
    paths = direct(3, 4)
    blocked = dataclasses.replace(
        paths, interactions=torch.tensor([[0], [0], [1]], dtype=torch.int8)
    )
    found = bound(blocked, CHANNEL, torch.full((3,), 1e-9))
    information = position_information(blocked, found)
    assert (information[2] == 0).all()
    users, whole = together(information, torch.tensor([7, 7, 7]))
    assert users.tolist() == [7]
    assert torch.allclose(whole[0], information[0] + information[1])
    assert position_error_bound(whole)[0] < position_error_bound(information[:2]).min()


def test_a_user_s_bound_is_that_of_all_its_links_and_other_paths_make_it_worse():
    one = direct(4)
    paths = dataclasses.replace(one, user=torch.tensor([7, 7, 9, 11]))
    users, alone = of_users(paths, CHANNEL, alone=True)
    assert users.tolist() == [7, 9, 11]
    information = position_information(paths, bound(paths, CHANNEL))
    expected = position_error_bound(torch.stack([information[:2].sum(0), *information[2:]]))
    assert torch.allclose(alone, expected, rtol=1e-6)
    # A second path half a bin behind the first: less can be said of the first, as much if alone.
    late = {name: getattr(paths, name) for name in ("gain", "delay", "interactions")}
    second = {
        "gain": torch.cat([late["gain"], 0.5j * late["gain"]], 1),
        "delay": torch.cat([late["delay"], late["delay"] + 0.5 / BANDWIDTH], 1),
        "interactions": torch.cat([late["interactions"], late["interactions"] + 1], 1),
    }
    for name in ("station_azimuth", "station_zenith", "user_azimuth", "user_zenith", "diffracted"):
        second[name] = getattr(paths, name).repeat(1, 2)
    both = dataclasses.replace(paths, **second)
    noise = (noise_of(both, CHANNEL) / noise_of(paths, CHANNEL)).sqrt()
    single, joint = of_users(both, CHANNEL, alone=True)[1], of_users(both, CHANNEL)[1]
    assert torch.allclose(single[1:], alone[1:] * noise[2:], rtol=1e-6)
    assert (joint > 1.05 * single).all()


@pytest.mark.parametrize("array", [ula(8), upa(4, 2), uca(8, 0.7)])
def test_the_position_bound_is_that_of_csi_written_out_by_the_position(array):
    # Nobody does better knowing only the height: range, u and w all move with the position.
    paths = direct(4, 6)
    channel = Channel(BANDWIDTH, SUBCARRIERS, array)
    noise = torch.full((4,), 1e-9)
    got = position_error_bound(position_information(paths, bound(paths, channel, noise)))
    wavelength = (SPEED_OF_LIGHT / paths.carrier_frequency.double())[:, None, None]
    place = (element_positions(array, paths.carrier_frequency) / wavelength).numpy()
    turn = rotation(paths.station_orientation.double()).numpy()
    user, station = paths.user_position.numpy(), paths.station_position.numpy()
    frequency = channel.baseband_frequency.numpy()
    for link in range(4):

        def csi(level, gain, link=link):
            away = np.array([*level, user[link, 2]]) - station[link]
            distance = np.linalg.norm(away)
            over = place[link] @ (turn[link].T @ (away / distance))
            turns = over[:, None] - frequency * distance / SPEED_OF_LIGHT
            return (gain[0] + 1j * gain[1]) * np.exp(2j * np.pi * turns)

        told = [*user[link, :2], paths.gain[link, 0].real, paths.gain[link, 0].imag]
        at, sizes = np.array(told, dtype=float), (1e-4, 1e-4, 1e-9, 1e-9)
        columns = []
        for size, step in zip(sizes, np.diag(sizes), strict=True):
            ahead, behind = at + step, at - step
            columns.append(
                (csi(ahead[:2], ahead[2:]) - csi(behind[:2], behind[2:])).ravel() / (2 * size)
            )
        derivative = np.stack(columns)
        scale = np.sqrt((np.abs(derivative) ** 2).sum(1))
        derivative = derivative / scale[:, None]
        information = 2 / float(noise[link]) * (derivative.conj() @ derivative.T).real
        least = np.diag(np.linalg.inv(information)) / scale**2
        assert float(got[link]) == pytest.approx(math.sqrt(least[:2].sum()), rel=1e-3)
