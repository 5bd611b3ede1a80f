"""A panel's columns are steered to where a link comes from; what stands in no columns stays."""

import math

import pytest
import torch

from physics.links import random_links
from radiofix.classic.nomp import Nomp
from radiofix.physics.arrays import Array, elements, uca, ula, upa
from radiofix.physics.channel import Channel
from radiofix.physics.panels import columns, in_line, loudest
from radiofix.physics.strongest import strongest_wave
from radiofix.types import Paths, Sounding, Station

STATION = Station(torch.zeros(3).double(), torch.zeros(3).double(), 3.5e9)
FREQUENCY = (torch.arange(64) - 32) * 20e6 / 64


def waves(array, below, u=0.19, delay=2e-7, gain=1.0):
    """Links of one wave each, so many degrees below the horizon."""
    down = torch.deg2rad(torch.as_tensor(below, dtype=torch.float64)).reshape(-1)
    ahead = (down.cos().square() - u**2).sqrt()
    way = torch.stack([ahead, torch.full_like(down, u), -down.sin()], -1)
    turned = torch.exp(2j * math.pi * (way @ array.positions.mT))
    csi = gain * turned[..., None] * torch.exp(-2j * math.pi * FREQUENCY * delay)
    return Channel(20e6, 64, array).describe(csi.to(torch.complex64), STATION)


def strongest(sounding):
    return strongest_wave(sounding.csi, sounding.frequency, sounding.antenna)


@pytest.mark.parametrize("shape", [(2, 8), (4, 8), (8, 4), (15, 2)])
@pytest.mark.parametrize("spacing", [0.5, 0.8])
def test_a_wave_from_any_height_keeps_its_gain_its_delay_and_its_direction(shape, spacing):
    below = torch.arange(-20, 31, 2.5)
    panel = waves(upa(*shape, row_spacing=spacing), below)
    line = in_line(panel)
    assert line.csi.shape == (len(below), shape[1], 64)
    assert (line.antenna[..., 2] == 0).all()
    alone = waves(ula(shape[1]), below)
    torch.testing.assert_close(line.antenna, alone.antenna)
    assert (line.csi - alone.csi).abs().max() < 0.03
    assert (strongest(line).gain - strongest(alone).gain).abs().max() < 0.03
    assert (strongest(line).direction - strongest(alone).direction).abs().max() < 1e-3


def test_noise_is_averaged_over_the_rows():
    generator = torch.Generator().manual_seed(0)
    csi = torch.randn(50, 32, 64, generator=generator, dtype=torch.complex64)
    panel = Channel(20e6, 64, upa(8, 4)).describe(csi, STATION)
    line = in_line(panel)
    # The loudest of many heights is a little above the mean of all.
    assert 1 / 8 < float(line.csi.abs().square().mean()) < 1.6 / 8


def test_any_order_of_antennas_and_antennas_without_a_pilot_make_the_same_line():
    array = upa(4, 6)
    panel = waves(array, [3.0, 12.0, 25.0])
    line = in_line(panel)
    order = torch.randperm(24, generator=torch.Generator().manual_seed(1))
    shuffled = waves(Array(array.positions[order]), [3.0, 12.0, 25.0])
    by_column = in_line(shuffled)
    place = by_column.antenna[0, :, 1].argsort()
    assert torch.allclose(by_column.csi[:, place], line.csi, atol=1e-5)
    thinned = panel.with_csi(panel.csi * (torch.arange(24) % 3 != 0)[:, None])
    assert torch.allclose(in_line(thinned).csi, line.csi, atol=0.05)
    dark = panel.with_csi(panel.csi * (torch.arange(24) >= 4)[:, None])
    assert (in_line(dark).csi[:, 0] == 0).all()
    assert torch.allclose(in_line(dark).csi[:, 1:], line.csi[:, 1:], atol=0.05)


def test_stations_of_different_carriers_have_columns_of_their_own_wavelengths():
    one, two = (waves(upa(4, 8, s, s), [10.0]) for s in (0.5, 0.6))
    joined = Sounding.join([one, two])
    line = in_line(joined)
    assert torch.allclose(line.csi, torch.cat([in_line(one).csi, in_line(two).csi]), atol=2e-2)
    assert torch.allclose(line.antenna[1, :, 1], 1.2 * line.antenna[0, :, 1])


@pytest.mark.parametrize(
    "array",
    [
        ula(8),
        uca(8, 0.7),
        upa(1, 8),
        elements(0.1 * torch.randn(9, 3, generator=torch.Generator().manual_seed(2))),
        Array(torch.tensor([[0.0, 0, 0], [0, 0, 0.5], [0, 0.5, 0]])),
        Array(torch.tensor([[0.0, 0, 0], [0, 0, 0.5], [0, 0.5, 0], [0, 0.5, 0.7]])),
    ],
)
def test_what_stands_in_no_columns_stays_as_it_is(array):
    sounding = waves(array, [5.0, 10.0])
    assert columns(sounding.antenna) is None
    assert in_line(sounding) is sounding


def test_rings_above_each_other_become_a_ring_and_a_column_one_antenna():
    ring = uca(6, 0.8).positions
    stacked = Array(torch.cat([ring + torch.tensor([0.0, 0, z]) for z in (0.0, 0.5, 1.0)]))
    line = in_line(waves(stacked, [15.0]))
    assert torch.allclose(line.antenna[0, :, :2].double(), ring[:, :2], atol=1e-5)
    assert in_line(waves(upa(8, 1), [15.0])).csi.shape == (1, 1, 64)


def test_a_silent_link_stays_silent():
    panel = waves(upa(4, 4), [5.0, 5.0])
    silent = panel.with_csi(panel.csi * torch.tensor([1, 0])[:, None, None])
    line = in_line(silent)
    assert (line.csi[1] == 0).all()
    assert line.csi.isfinite().all()


def test_the_height_is_that_of_the_loudest_wave():
    array = upa(8, 4)
    loud, weak = waves(array, [12.0]), waves(array, [-10.0], u=-0.5, delay=6e-7, gain=0.4)
    column = columns(loud.antenna)
    both = (loud.csi + weak.csi)[:, column]
    found = loudest(both, loud.antenna[:, column[0], 2])
    assert float(found[0]) == pytest.approx(-math.sin(math.radians(12)), abs=0.02)


def test_nomp_hears_a_panel_as_well_as_a_row():
    paths: Paths = random_links(60, 1, 4)
    tilted = Channel(20e6, 64, upa(8, 8)).sound(paths)
    level = Channel(20e6, 64, ula(8)).sound(paths)
    of_panel, of_row = Nomp()(tilted).first(), Nomp()(level).first()
    assert (of_panel.delay - of_row.delay).abs().max() < 1e-9
    assert (of_panel.direction - of_row.direction).abs().median() < 1e-3
