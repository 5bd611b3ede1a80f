"""Aliases of delay and of direction, and the phase that they are worth."""

import pytest
import torch

from classic.scenes import links_of, single_waves
from radiofix.classic.music import Music
from radiofix.classic.nomp import Nomp
from radiofix.classic.omp import Omp
from radiofix.classic.waves import Observed, one_side
from radiofix.physics.arrays import Array, uca, ula
from radiofix.physics.channel import Channel
from radiofix.physics.ofdm import Pilots

PERIOD, ANTENNAS = torch.tensor([2.0]).double(), torch.tensor([32.0])


def sided(direction, gain):
    row = torch.tensor([direction], dtype=torch.float64)
    return one_side(row, torch.tensor([gain], dtype=torch.complex64), PERIOD, ANTENNAS)[0]


def test_a_wave_within_a_beam_of_the_strongest_ones_alias_lies_beside_it():
    found = sided([0.99, -0.97, 0.2], [1.0, 0.5, 0.3])
    assert torch.allclose(found, torch.tensor([0.99, 1.03, 0.2], dtype=torch.float64))


def test_a_wave_at_the_end_of_the_line_goes_where_the_others_come_from():
    assert torch.allclose(
        sided([0.99, -0.8, -0.7], [1.0, 0.5, 0.4]), torch.tensor([-1.01, -0.8, -0.7]).double()
    )
    assert torch.allclose(
        sided([0.99, 0.8, -0.7], [1.0, 0.5, 0.4]), torch.tensor([0.99, 0.8, -0.7]).double()
    )


def test_a_wave_off_the_ends_stays_and_one_alone_does_too():
    assert sided([0.9, -0.8], [1.0, 0.9]).tolist() == [0.9, -0.8]
    assert sided([0.999, 0.0], [1.0, 0.0]).tolist() == [0.999, 0.0]


def test_only_line_arrays_have_an_alias_of_direction():
    paths = links_of(torch.full((2, 1), 1e-7), torch.zeros(2, 1), torch.ones(2, 1))
    comb = Channel(20e6, 16, ula(8), pilots=Pilots(every_antenna=2))
    for channel, expected in (
        (Channel(20e6, 16, ula(8)), 2.0),
        (Channel(20e6, 16, ula(8, 0.4)), 2.5),
        (comb, 1.0),
        (Channel(20e6, 16, uca(8, 1.0)), 4.0),
        (Channel(20e6, 16, ula(1)), 4.0),
    ):
        alias = Observed.of(channel.sound(paths)).direction_alias
        assert torch.allclose(alias, torch.full((2,), expected).double(), rtol=1e-5)


def test_gains_at_an_alias_still_rebuild_what_was_observed():
    # The last of a delay's alias is read as before 0, the end of the line as the other end.
    delay = torch.tensor([[0.98 * 64 / 3 / 20e6, 4e-7]])
    direction = torch.tensor([[0.995, -0.6]])
    paths = links_of(delay, direction, torch.tensor([[1.0, 0.5]]))
    channel = Channel(20e6, 64, ula(16), pilots=Pilots(1, 3, 2), first_subcarrier=5)
    waves = Nomp(waves=3)(channel.sound(paths))
    assert float(waves.delay[0, 0]) < 0
    assert float(waves.direction[0, 0]) < -1
    rebuilt = torch.zeros(16, 64, dtype=torch.complex128)
    place = 0.5 * (torch.arange(16).double() - 7.5)
    for d, u, g in zip(waves.delay[0], waves.direction[0], waves.gain[0], strict=True):
        along = torch.exp(-2j * torch.pi * channel.baseband_frequency * d)
        rebuilt += g * torch.exp(2j * torch.pi * place * u)[:, None] * along
    csi = channel.synthesize(paths)[0]
    seen = csi != 0
    assert float((csi - rebuilt)[seen].abs().max()) < 1e-3


@pytest.mark.parametrize("find", [Omp(), Nomp(), Music()])
def test_one_antenna_tells_delay_alone_and_one_subcarrier_direction_alone(find):
    paths = single_waves(20, latest=1e-6)
    line = find(Channel(20e6, 64, ula(1), snr_db=40.0).sound(paths)).first()
    assert float((line.delay - paths.delay[:, 0]).abs().max()) * 20e6 < 0.15
    assert line.direction.isnan().all()
    column = Array(ula(4).positions.roll(1, 1))
    assert find(Channel(20e6, 64, column).sound(paths)).first().direction.isnan().all()
    tone = find(Channel(1e3, 1, ula(16), snr_db=40.0).sound(paths)).first()
    expected = paths.station_azimuth[:, 0].sin()
    assert float((tone.direction - expected).abs().max()) * 16 / 2 < 0.15
    assert tone.delay.isnan().all()


@pytest.mark.parametrize("find", [Omp(), Nomp(), Music()])
def test_links_are_found_alike_alone_and_in_a_batch(find):
    sounding = Channel(20e6, 64, ula(16), snr_db=10.0).sound(single_waves(70))
    whole, alone = find(sounding), find(sounding[65:66])
    assert torch.allclose(whole.delay[65:66], alone.delay, atol=1e-11)
    assert torch.allclose(whole.gain[65:66], alone.gain, rtol=1e-2, atol=1e-7)
    with pytest.raises(ValueError, match="there are no waves in 0 links"):
        find(sounding[:0])


@pytest.mark.parametrize("antennas", [2, 4, 8])
def test_waves_well_inside_the_line_of_few_antennas_stay_where_they_are(antennas):
    few, directions = torch.tensor([float(antennas)]), torch.tensor([[0.9, -0.85, -0.6]]).double()
    gains = torch.tensor([[1.0, 0.6, 0.4]], dtype=torch.complex64)
    assert torch.equal(one_side(directions, gains, PERIOD, few), directions)
    ends = torch.tensor([[0.99, -0.97, 0.2]]).double()
    expected = torch.tensor([[0.99, 1.03, 0.2]]).double()
    assert torch.allclose(one_side(ends, gains, PERIOD, few), expected)
