from __future__ import annotations

import math

import pytest
import torch

from physics.links import changed, random_links
from radiofix.physics.arrays import ula
from radiofix.physics.channel import Channel
from radiofix.physics.impairments import Impairments

CLEAN = Channel(10e6, 16, ula(6))


def _every_user_and_station(users: int, stations: int):
    paths = random_links(users * stations, dtype=torch.complex128)
    user = torch.arange(users).repeat_interleave(stations)
    return changed(paths, user=user, station=torch.arange(stations).repeat(users))


def _faults(impairments: Impairments, paths, seed: int = 0) -> torch.Tensor:
    """What the impairments multiply each antenna and subcarrier of each link with."""
    faulty = Channel(10e6, 16, ula(6), impairments=impairments)
    generator = torch.Generator().manual_seed(seed)
    return faulty.synthesize(paths, generator) / CLEAN.synthesize(paths)


def _slope(ratio: torch.Tensor) -> torch.Tensor:
    """Delay that a phase slope over the subcarriers stands for, for each link [s]."""
    step = (ratio[..., 1:] * ratio[..., :-1].conj()).mean((-2, -1))
    return -step.angle() / (2 * math.pi * CLEAN.spacing)


def test_off_by_default_they_change_nothing():
    paths = _every_user_and_station(3, 2)
    assert Impairments().none
    torch.testing.assert_close(_faults(Impairments(), paths), torch.ones(6, 6, 16).cdouble())


def test_a_user_s_clock_shifts_its_links_to_all_stations_alike():
    paths = _every_user_and_station(5, 3)
    offset = _slope(_faults(Impairments(user_timing=50e-9), paths)).reshape(5, 3)
    torch.testing.assert_close(offset, offset[:, :1].expand(5, 3), atol=1e-15, rtol=0)
    assert len(offset[:, 0].unique()) == 5


def test_a_station_s_clock_shifts_its_links_to_all_users_alike():
    paths = _every_user_and_station(5, 3)
    offset = _slope(_faults(Impairments(station_timing=50e-9), paths)).reshape(5, 3)
    torch.testing.assert_close(offset, offset[:1].expand(5, 3), atol=1e-15, rtol=0)
    assert (offset[0, :, None] - offset[0]).abs().max() > 1e-9


def test_clocks_deviate_as_much_as_was_asked():
    user = torch.arange(4000)
    generator = torch.Generator().manual_seed(1)
    clock = Impairments(user_timing=30e-9).draw(user, 0 * user, 1, generator).clock
    # The deviation's own standard error is 1 / sqrt(2 n), about 1 %.
    assert float(clock.std()) == pytest.approx(30e-9, rel=0.05)
    assert abs(float(clock.mean())) < 4 * 30e-9 / math.sqrt(4000)


def test_a_timing_offset_does_not_bend_the_wavefront():
    """The image stands where the path says, whatever the clocks do."""
    paths = _every_user_and_station(2, 2)
    late = Impairments(user_timing=50e-9)
    generator = torch.Generator().manual_seed(0)
    near = Channel(10e6, 16, ula(6), wavefront="spherical")
    shifted = Channel(10e6, 16, ula(6), wavefront="spherical", impairments=late)
    ratio = shifted.synthesize(paths, generator) / near.synthesize(paths)
    torch.testing.assert_close(ratio, ratio[:, :1].expand_as(ratio))


def test_common_phase_turns_a_whole_link_and_spreads_over_the_circle():
    ratio = _faults(Impairments(common_phase=True), random_links(400, dtype=torch.complex128))
    torch.testing.assert_close(ratio, ratio[:, :1, :1].expand_as(ratio))
    torch.testing.assert_close(ratio.abs(), torch.ones_like(ratio.abs()))
    # The mean of 400 points of the circle is within 4 / sqrt(400) of its centre.
    assert float(ratio[:, 0, 0].mean().abs()) < 0.2


def test_antenna_errors_belong_to_the_station_and_not_to_the_link():
    ratio = _faults(Impairments(antenna_phase=0.3, antenna_gain=1.0), _every_user_and_station(4, 3))
    ratio = ratio.reshape(4, 3, 6, 16)
    torch.testing.assert_close(ratio, ratio[:1, :, :, :1].expand_as(ratio))
    assert len(ratio[0, :, :, 0].angle().unique()) == 18


def test_antenna_errors_deviate_in_radians_and_decibels():
    station = torch.arange(1000)
    generator = torch.Generator().manual_seed(2)
    faults = Impairments(antenna_phase=0.1, antenna_gain=0.5)
    factor = faults.draw(0 * station, station, 4, generator).factor
    assert float(factor.angle().std()) == pytest.approx(0.1, rel=0.05)
    assert float((20 * factor.abs().log10()).std()) == pytest.approx(0.5, rel=0.05)


def test_with_a_station_seed_a_station_keeps_its_faults_from_batch_to_batch():
    faults = Impairments(station_timing=20e-9, antenna_phase=0.3, station_seed=7)
    paths = _every_user_and_station(4, 3)
    whole = _faults(faults, paths, seed=1)
    part = _faults(faults, paths[paths.station == 2], seed=2)
    torch.testing.assert_close(part, whole[paths.station == 2])
    other = Impairments(station_timing=20e-9, antenna_phase=0.3, station_seed=8)
    assert (_faults(other, paths, seed=1) - whole).abs().min() > 1e-3


def test_without_a_station_seed_the_generator_draws_them():
    faults, paths = Impairments(antenna_phase=0.3), _every_user_and_station(4, 3)
    assert torch.equal(_faults(faults, paths, seed=1), _faults(faults, paths, seed=1))
    assert not torch.equal(_faults(faults, paths, seed=1), _faults(faults, paths, seed=2))


@pytest.mark.parametrize("value", [-1.0, math.inf, math.nan])
def test_a_deviation_cannot_be_negative_or_unknown(value):
    with pytest.raises(ValueError, match="antenna_phase is a deviation and must be at least 0"):
        Impairments(antenna_phase=value)
