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


@pytest.mark.parametrize("step", [2, 4, 5, 8])
def test_what_lies_between_pilots_is_what_the_channel_is_there(step):
    paths = street()
    sparse = sounded(paths, every_subcarrier=step, offset=step - 1)
    assert missed(paths, sparse) < (0.005 if step < 8 else 0.02)
    csi = bridged(from_strongest(sparse))
    assert bool((csi != 0).all())
    whole = CLEAN.sound(paths, noisy()).csi
    torch.testing.assert_close(observed_power(csi), observed_power(whole), rtol=0.1, atol=0)


@pytest.mark.parametrize("snr_db", [0.0, 10.0])
def test_noise_becomes_less(snr_db):
    paths = street()
    sparse = sounded(paths, dataclasses.replace(CHANNEL, snr_db=snr_db), every_subcarrier=3)
    assert missed(paths, sparse) < 0.75 * 10 ** (-snr_db / 10)


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


def test_holes_stay_but_for_a_step_beside_them():
    whole = sounded(street(4), every_subcarrier=4).csi
    csi = whole.clone()
    csi[:, :, 12:40] = 0
    csi[0, 3, 20:60] = 0  # On one antenna more than on others.
    found = bridged(csi)
    assert bool((found[1:, :, :13] != 0).all() & (found[1:, :, 36:] != 0).all())
    assert not bool(found[:, :, 13:36].any())
    assert bool((found[0, 3, 57:] != 0).all())
    assert not bool(found[0, 3, 13:56].any())


def test_a_lost_pilot_of_one_antenna_is_made_up_for_by_its_neighbours():
    paths = street(20)
    sparse = sounded(paths, every_subcarrier=2)
    csi = sparse.csi.clone()
    csi[:, 5, 30] = 0
    whole = from_strongest(sparse, CLEAN.sound(paths, noisy()).csi)[:, 5, 30]
    off = (bridged(from_strongest(sparse, csi))[:, 5, 30] - whole).abs() / whole.abs()
    assert float(off.median()) < 0.1


@pytest.mark.parametrize("step", [17, 18, 32])
def test_a_comb_that_is_too_wide_is_left(step):
    csi = sounded(street(4), dataclasses.replace(CLEAN, subcarriers=256), every_subcarrier=step).csi
    assert torch.equal(bridged(csi), csi)


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
