from __future__ import annotations

import dataclasses
import math
import warnings

import numpy as np
import pytest
import torch

from physics.links import changed, one_path, random_links, reference, relative_error
from radiofix.physics.arrays import ula
from radiofix.physics.channel import AliasWarning, Channel
from radiofix.physics.impairments import Impairments
from radiofix.physics.ofdm import Pilots

ARRAY = ula(8)


def _noise(channel: Channel, paths, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return channel.synthesize(paths, generator) - channel.noiseless.synthesize(paths)


def test_the_noise_is_as_strong_as_the_link_s_snr_says():
    paths = random_links(20)
    paths = changed(paths, gain=paths.gain * torch.logspace(-3, 3, 20)[:, None])
    for snr_db in (20.0, torch.linspace(-10, 40, 20)):
        channel = Channel(10e6, 256, ula(16), snr_db=snr_db)
        clean = channel.noiseless.synthesize(paths)
        measured = clean.abs().square().mean((1, 2)) / _noise(channel, paths).abs().square().mean(
            (1, 2)
        )
        # 4,096 complex samples a link: the power's standard error is 1 / 64, so 0.27 dB are 4.
        error_db = 10 * measured.log10() - torch.as_tensor(snr_db)
        assert float(error_db.abs().max()) < 0.27 + 0.03


def test_the_noise_is_circular_white_and_gaussian():
    noise = _noise(Channel(10e6, 256, ula(16), snr_db=0.0), random_links(20))
    noise = noise / noise.abs().square().mean((1, 2), keepdim=True).sqrt()
    limit = 5 / math.sqrt(noise.numel())
    assert abs(complex(noise.mean())) < limit
    assert abs(complex(noise.square().mean())) < 2 * limit
    assert abs(complex((noise[:, 1:] * noise[:, :-1].conj()).mean())) < limit
    assert abs(complex((noise[..., 1:] * noise[..., :-1].conj()).mean())) < limit
    # E|n|^4 = 2 for a complex Gaussian.
    assert float(noise.abs().pow(4).mean()) == pytest.approx(2, rel=0.03)


def test_the_link_budget_is_thermal_noise_against_the_power_of_a_subcarrier():
    """-174 dBm/Hz + 10 log10(78125 Hz) + 7 dB = -118.0 dBm against 23 dBm - 10 log10(128)."""
    paths = random_links(40)
    channel = Channel(10e6, 128, ARRAY, noise_figure_db=7.0, tx_power_dbm=23.0)
    by_hand = (-173.98 + 10 * math.log10(78125) + 7) - (23 - 10 * math.log10(128))
    measured = 10 * math.log10(float(_noise(channel, paths).abs().square().mean()))
    # 40,960 samples: the standard error is 0.02 dB.
    assert measured == pytest.approx(by_hand, abs=0.1)


def test_the_link_budget_s_noise_does_not_depend_on_the_link():
    """Ten times the distance is less SNR, with the same noise."""
    paths = random_links(40)
    channel = Channel(10e6, 128, ARRAY, noise_figure_db=7.0, tx_power_dbm=23.0)
    weaker = changed(paths, gain=paths.gain / 10)
    ratio = (
        _noise(channel, weaker).abs().square().mean() / _noise(channel, paths).abs().square().mean()
    )
    assert float(ratio) == pytest.approx(1, rel=1e-3)


def test_noise_falls_on_pilots_only_and_the_rest_is_zero():
    pilots = Pilots(every_antenna=2, every_subcarrier=4, offset=3)
    paths = random_links(5)
    channel = Channel(5e6, 32, ARRAY, snr_db=10.0, pilots=pilots)
    csi = channel.synthesize(paths)
    mask = pilots.mask(8, 32)
    assert (csi[:, ~mask] == 0).all()
    assert (csi[:, mask] != 0).all()
    full = dataclasses.replace(channel, pilots=Pilots()).synthesize(paths)
    assert torch.equal(csi[:, mask], full[:, mask])


def test_links_with_their_own_bandwidths_are_what_separate_calls_give():
    paths = random_links(4)
    bandwidths = [5e6, 10e6, 20e6, 40e6]
    batch = Channel(torch.tensor(bandwidths), 128, ARRAY).synthesize(paths)
    for n, bandwidth in enumerate(bandwidths):
        alone = Channel(bandwidth, 128, ARRAY).synthesize(paths[n])
        torch.testing.assert_close(batch[n : n + 1], alone)


def test_a_wider_band_raises_the_budget_s_noise_link_by_link():
    paths = random_links(2)
    channel = Channel(
        torch.tensor([10e6, 40e6]), 128, ula(64), noise_figure_db=0.0, tx_power_dbm=0.0
    )
    first, second = _noise(channel, paths).abs().square().mean((1, 2)).tolist()
    assert second / first == pytest.approx(4, rel=0.1)


def test_thousands_of_links_are_what_each_gives_alone():
    """Links are worked on in blocks; no link may end up in another's place."""
    paths = random_links(300)
    bandwidth = torch.linspace(5e6, 40e6, 300, dtype=torch.float64)
    channel = Channel(bandwidth, 128, ula(32))
    csi = channel.synthesize(paths)
    assert len(channel._blocks(300, 32, 4, torch.device("cpu"))) > 1
    for n in (0, 127, 128, 255, 256, 299):
        spacing = float(bandwidth[n]) / 128
        frequency = (np.arange(128) - 64) * spacing
        expected = reference(paths[n], ula(32).positions.numpy(), frequency)
        assert relative_error(csi[n : n + 1], expected) < 1e-6


def test_noise_and_faults_of_thousands_of_links_stay_with_their_links():
    paths = random_links(300)
    paths = changed(paths, station=torch.arange(300) % 7)
    snr_db = torch.linspace(0, 30, 300)
    faults = Impairments(antenna_phase=0.5, station_timing=1e-8, station_seed=1)
    channel = Channel(10e6, 128, ula(32), snr_db=snr_db, impairments=faults)
    clean = channel.noiseless.synthesize(paths)
    torch.testing.assert_close(clean[290:], channel.noiseless.synthesize(paths[290:]))
    noise = (channel.synthesize(paths) - clean).abs().square().mean((1, 2))
    measured = 10 * (clean.abs().square().mean((1, 2)) / noise).log10()
    assert float((measured - snr_db).abs().max()) < 0.4


def test_the_same_seed_gives_the_same_channels_and_another_seed_others():
    paths = random_links(300)
    channel = Channel(10e6, 128, ula(32), snr_db=5.0, impairments=Impairments(common_phase=True))

    def draw(seed: int) -> torch.Tensor:
        return channel.synthesize(paths, torch.Generator().manual_seed(seed))

    assert torch.equal(draw(3), draw(3))
    assert not torch.equal(draw(3), draw(4))
    assert torch.equal(channel.synthesize(paths), draw(0))


def test_a_generator_handed_over_twice_goes_on():
    paths, generator = random_links(3), torch.Generator().manual_seed(0)
    channel = Channel(10e6, 16, ARRAY, snr_db=5.0)
    assert not torch.equal(
        channel.synthesize(paths, generator), channel.synthesize(paths, generator)
    )


def test_the_global_generator_is_left_alone():
    state = torch.random.get_rng_state()
    Channel(10e6, 16, ARRAY, snr_db=5.0, impairments=Impairments(user_timing=1e-9)).synthesize(
        random_links(3)
    )
    assert torch.equal(torch.random.get_rng_state(), state)


def test_delays_past_the_alias_are_warned_of_with_both_distances():
    paths = one_path(distance=300.0)
    with pytest.warns(AliasWarning, match=r"1 us \(300 m\).* 239.8 m"):
        Channel(160e6, 128, ARRAY).synthesize(paths)
    # A comb tells ranges apart only between its pilots.
    with pytest.warns(AliasWarning, match="239.8 m"):
        Channel(40e6, 128, ARRAY, pilots=Pilots(every_subcarrier=4)).synthesize(paths)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Channel(120e6, 128, ARRAY).synthesize(paths)


def test_a_path_one_alias_further_cannot_be_told_apart():
    spacing = 160e6 / 128
    near = one_path(distance=30.0)
    far = changed(near, delay=near.delay + 1 / spacing)
    channel = Channel(160e6, 128, ARRAY)
    with pytest.warns(AliasWarning):
        torch.testing.assert_close(channel.synthesize(far), channel.synthesize(near))


def test_baseband_frequencies_are_the_spacing_apart_about_the_carrier():
    channel = Channel(10e6, 4, ARRAY)
    assert channel.spacing == 2.5e6
    assert channel.baseband_frequency.tolist() == [-5e6, -2.5e6, 0, 2.5e6]
    each = Channel(torch.tensor([4.0, 8.0]), 4, ARRAY, first_subcarrier=0).baseband_frequency
    assert each.tolist() == [[0, 1, 2, 3], [0, 2, 4, 6]]


def test_nr_srs_sounds_its_resource_blocks_with_a_comb():
    channel = Channel.nr_srs(numerology=1, resource_blocks=51, comb=4, offset=1, snr_db=10.0)
    assert channel.subcarriers == 612
    assert channel.spacing == 30e3
    assert channel.bandwidth == 18.36e6
    assert channel.pilots == Pilots(every_subcarrier=4, offset=1)
    assert channel.snr_db == 10


def test_the_channel_has_an_isotropic_ula_of_32_at_half_a_wavelength_by_default():
    assert torch.equal(Channel(10e6).array.positions, ula(32).positions)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"bandwidth": -1e7}, r"bandwidth must be positive, got -1e\+07"),
        ({"bandwidth": math.nan}, "bandwidth must be finite, got nan"),
        ({"bandwidth": torch.tensor([1e7, 0.0])}, "bandwidth must be positive, got 0"),
        ({"subcarriers": 0}, "subcarriers must be at least 1, got 0"),
        ({"snr_db": math.inf}, "snr_db must be finite, got inf: None is no noise"),
        ({"tx_power_dbm": 23.0}, "tx_power_dbm=23 needs noise_figure_db too: give both or neither"),
        ({"noise_figure_db": 7.0}, "noise_figure_db=7 needs tx_power_dbm too"),
        (
            {"noise_figure_db": 7.0, "tx_power_dbm": 23.0, "snr_db": 3.0},
            "noise_figure_db=7 and snr_db both set the noise: give one",
        ),
        ({"noise_figure_db": -1.0, "tx_power_dbm": 23.0}, "noise_figure_db must be at least 0"),
    ],
)
def test_what_is_no_channel_is_refused_in_one_line(arguments, message):
    with pytest.raises(ValueError, match=message) as error:
        Channel(**{"bandwidth": 10e6, **arguments})
    assert "\n" not in str(error.value)


def test_a_value_for_each_link_must_fit_the_links():
    channel = Channel(torch.full((2,), 10e6), 16, ARRAY)
    with pytest.raises(ValueError, match="bandwidth has 2 values for 3 links: give one for each"):
        channel.synthesize(random_links(3))


def test_no_links_give_no_channels():
    assert Channel(10e6, 16, ARRAY, snr_db=1.0).synthesize(random_links(3)[:0]).shape == (0, 8, 16)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_channels_are_the_same_on_the_accelerator():
    paths = random_links(300)
    channel = Channel(10e6, 128, ula(32))
    on_device = channel.synthesize(paths.to("cuda"))
    assert on_device.is_cuda
    assert relative_error(on_device.cpu(), channel.synthesize(paths).numpy()) < 1e-6
    noisy = dataclasses.replace(channel, snr_db=20.0, impairments=Impairments(user_timing=1e-8))
    assert noisy.synthesize(paths.to("cuda"), torch.Generator("cuda")).is_cuda
    with pytest.raises(ValueError, match="generator is on cpu, the paths on cuda"):
        noisy.synthesize(paths.to("cuda"), torch.Generator())
