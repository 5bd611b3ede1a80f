"""Bands are bridged between pilots as the channel is there, and nothing else is touched."""

import dataclasses

import pytest
import torch

import radiofix as rf
from classic.scenes import CHANNEL, links_of, noisy
from radiofix.models.latent import from_wave, observed_power
from radiofix.physics.arrays import uca
from radiofix.physics.gaps import bridged, comb_step
from radiofix.physics.ofdm import Pilots
from radiofix.physics.strongest import strongest_wave
from radiofix.types import Sounding

CLEAN = dataclasses.replace(CHANNEL, snr_db=None)
LINKS = 40


def street(links=LINKS):
    """A strong wave, and three that come a little later from elsewhere."""
    generator = noisy(5)
    draw = torch.rand(links, 8, generator=generator, dtype=torch.float64)
    delay = 0.1e-6 + 0.3e-6 * draw[:, :1] + 0.1e-6 * torch.cat([0 * draw[:, :1], draw[:, 1:4]], 1)
    phase = torch.tensor([1.0, 0.4, 0.3, 0.2]).double() * torch.exp(6.283j * draw[:, :4])
    return links_of(delay, 1.6 * draw[:, 4:] - 0.8, 1e-4 * phase)


def sounded(paths, channel=CLEAN, **pilots) -> Sounding:
    return dataclasses.replace(channel, pilots=Pilots(**pilots)).sound(paths, noisy())


def from_strongest(sounding, csi=None):
    wave = strongest_wave(sounding.csi, sounding.frequency, sounding.antenna)
    return from_wave(sounding.csi if csi is None else csi, sounding, wave)


def missed(paths, sparse, channel=CLEAN):
    """Power of what is missed over that of the whole, of the median link."""
    whole = from_strongest(sparse, channel.sound(paths, noisy()).csi)
    error = (bridged(from_strongest(sparse)) - whole).abs().square().sum((1, 2))
    return float((error / whole.abs().square().sum((1, 2))).median())


@pytest.mark.parametrize("step", [2, 4, 5])
def test_what_lies_between_pilots_is_what_the_channel_is_there(step):
    paths = street()
    sparse = sounded(paths, every_subcarrier=step, offset=step - 1)
    assert missed(paths, sparse) < 0.01
    csi = bridged(from_strongest(sparse))
    assert bool((csi != 0).all())
    whole = CLEAN.sound(paths, noisy()).csi
    torch.testing.assert_close(observed_power(csi), observed_power(whole), rtol=0.1, atol=0)


def test_noise_is_not_blown_up():
    paths = street()
    sparse = sounded(paths, dataclasses.replace(CHANNEL, snr_db=10.0), every_subcarrier=3)
    # A tenth of the power is noise where there are pilots.
    assert missed(paths, sparse) < 0.1


def test_without_a_comb_nothing_changes():
    sounding = sounded(street())
    assert bridged(sounding.csi) is sounding.csi
    csi = sounding.csi.clone()
    csi[:, 3], csi[:, :, 17] = 0, 0  # An antenna is dead, and a subcarrier.
    csi[4] = 0
    assert torch.equal(bridged(csi), csi)


def test_links_of_different_combs_are_bridged_each_by_its_own():
    paths = street(12)
    combs = [{}, {"every_subcarrier": 2}, {"every_subcarrier": 5, "offset": 3}]
    parts = [sounded(paths[4 * n : 4 * n + 4], **comb).csi for n, comb in enumerate(combs)]
    together = bridged(torch.cat(parts))
    torch.testing.assert_close(together, torch.cat([bridged(part) for part in parts]))
    assert torch.equal(together[:4], parts[0])


def test_antennas_in_a_comb_keep_their_gaps():
    csi = sounded(street(4), every_antenna=2, every_subcarrier=4).csi
    assert torch.equal(bridged(csi), csi)


def test_any_array_is_bridged():
    round_ = dataclasses.replace(CLEAN, array=uca(16, 1.2))
    paths = street(4)
    assert missed(paths, sounded(paths, round_, every_subcarrier=4), round_) < 0.01


def test_a_hole_far_wider_than_the_comb_stays_one():
    csi = sounded(street(4), every_subcarrier=2).csi
    csi[:, :, 10:50] = 0
    found = bridged(csi) != 0
    assert bool(found[:, :, :10].all() & found[:, :, 50:].all())
    assert not bool(found[:, :, 25:35].any())


@pytest.mark.parametrize("name", ["radiofix-nano", "radiofix-nano-o1"])
def test_a_localizer_places_users_heard_on_a_comb_where_it_places_them_heard_in_full(name):
    localizer = rf.load(name)
    channel = rf.Channel(bandwidth=10e6, subcarriers=128, array=rf.ula(32))
    paths = street()
    whole = localizer.fix(channel.sound(paths, noisy()))
    sparse = localizer.fix(sounded(paths, channel, every_subcarrier=8))
    moved = (sparse.position - whole.position)[:, :2].norm(dim=-1)
    assert float(moved.median()) < 1.0


def test_the_step_of_a_comb_is_the_largest_that_holds_all_pilots():
    seen = torch.zeros(4, 32, dtype=torch.bool)
    seen[0] = True
    seen[1, 1::4] = True
    seen[2, [3, 9, 21]] = True
    seen[3, 5] = True
    assert comb_step(seen).tolist() == [1, 4, 6, 1]
    assert comb_step(seen, 5).tolist() == [1, 4, 3, 1]
