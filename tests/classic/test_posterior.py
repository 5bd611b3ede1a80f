"""The posterior over a grid of channels, against NumPy and against Bayes."""

import numpy as np
import pytest
import torch

from radiofix.classic.posterior import Places, noise_of_snr, posterior

ANTENNAS, SUBCARRIERS = 4, 6


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


def complex_normal(shape, generator):
    return torch.view_as_complex(
        torch.randn(*shape, 2, generator=generator, dtype=torch.float64) / 2**0.5
    )


@pytest.fixture
def street(generator):
    """Places along a street; channels of neighbours are alike."""
    position = torch.zeros(60, 3, dtype=torch.float64)
    position[:, 0] = torch.arange(60) * 0.2 + 240
    position[:, 1] = 500.0
    delay = torch.arange(SUBCARRIERS) * (position[:, 0] - 240)[:, None] / 40
    beam = torch.arange(ANTENNAS) * (position[:, 0] - 240)[:, None] / 50
    turn = -delay[:, None, :] + beam[:, :, None]
    gain = 1 + (position[:, 0] - 240) / 30
    return gain[:, None, None] * torch.polar(torch.ones_like(turn), 2 * np.pi * turn), position


def places(channels, position, first=0):
    return Places(channels, position, torch.arange(first, first + len(position)))


def measured(street, who, variance, generator):
    channels, _ = street
    phase = 2 * np.pi * torch.rand(len(who), generator=generator, dtype=torch.float64)
    turned = channels[who] * torch.polar(torch.ones_like(phase), phase)[:, None, None]
    shape = (len(who), ANTENNAS, SUBCARRIERS)
    return turned + variance**0.5 * complex_normal(shape, generator)


def by_hand(csi, noise, channels, position, phases=720):
    """Bayes' rule with the phase summed over, link by link, in NumPy."""
    means = []
    phi = np.exp(2j * np.pi * np.arange(phases) / phases)
    for y, v in zip(csi.numpy(), noise.numpy(), strict=True):
        likelihood = np.array(
            [
                np.mean([np.exp(-np.sum(np.abs(y - p * h) ** 2) / v) for p in phi])
                for h in channels.numpy()
            ]
        )
        means.append(likelihood @ position.numpy() / likelihood.sum())
    return np.array(means)


def test_the_mean_is_that_of_bayes_with_the_phase_summed_over(street, generator):
    noise = torch.tensor([0.5, 2.0, 1.0], dtype=torch.float64)
    csi = torch.cat([measured(street, [w], float(v), generator)
                     for w, v in zip((5, 30, 55), noise, strict=True)])  # fmt: skip
    found = posterior(csi, noise, [places(*street)])
    plain = by_hand(csi, noise, *street)
    np.testing.assert_allclose(found.position.numpy(), plain, atol=1e-6)
    assert (found.deviation > 0.05).all()


def test_a_turned_channel_is_in_the_same_place(street, generator):
    csi = measured(street, [10, 20], 1.0, generator)
    noise = torch.ones(2, dtype=torch.float64)
    turned = csi * torch.polar(torch.tensor(1.0), torch.tensor(2.0)).to(csi.dtype)
    one, other = (
        posterior(csi, noise, [places(*street)]),
        posterior(turned, noise, [places(*street)]),
    )
    torch.testing.assert_close(one.position, other.position)


def test_blocks_change_nothing(street, generator):
    channels, position = street
    csi = measured(street, list(range(0, 60, 7)), 0.8, generator)
    noise = torch.full((len(csi),), 0.8, dtype=torch.float64)
    whole = posterior(csi, noise, [places(*street)])
    # The likeliest places come last, in the middle and first.
    starts = range(0, 60, 7)
    blocks = [places(channels[n : n + 7], position[n : n + 7], n) for n in starts]
    parted = posterior(csi, noise, blocks)
    torch.testing.assert_close(parted.position, whole.position)
    torch.testing.assert_close(parted.deviation, whole.deviation)


def test_a_place_that_is_left_out_does_not_count(street, generator):
    channels, position = street
    csi = measured(street, [0, 33], 1e-4, generator)
    noise = torch.full((2,), 1e-4, dtype=torch.float64)
    own = torch.tensor([0, 33])
    # The first block has no place that counts for the first link.
    blocks = [places(channels[:1], position[:1]), places(channels[1:], position[1:], 1)]
    everywhere = posterior(csi, noise, [places(*street)])
    torch.testing.assert_close(everywhere.position, position[own])
    elsewhere = posterior(csi, noise, blocks, own)
    away = (elsewhere.position - position[own])[:, 0].abs()
    torch.testing.assert_close(away, torch.full_like(away, 0.2), atol=1e-5, rtol=0.0)


def test_the_stated_deviation_is_the_error_that_users_of_the_grid_have(street, generator):
    who = torch.randint(60, (3000,), generator=generator)
    variance = 1.0
    csi = measured(street, who, variance, generator)
    found = posterior(csi, torch.full((3000,), variance, dtype=torch.float64), [places(*street)])
    squared = (found.position - street[1][who]).square().sum(-1)
    assert float(squared.mean()) == pytest.approx(float(found.deviation.square().mean()), rel=0.1)
    # Better than the place that fits best: that is what the mean is for.
    fit = (street[0].flatten(1) @ csi.flatten(1).mH).abs()
    score = fit - street[0].abs().square().sum((1, 2))[:, None] / 2
    likeliest = street[1][score.argmax(0)]
    assert squared.mean() < (likeliest - street[1][who]).square().sum(-1).mean()


def test_single_precision_is_enough_at_thirty_decibels(generator):
    shape = (40, 32, 128)
    # Neighbours differ by little, as on a dense grid.
    start, drift = complex_normal((1, 32, 128), generator), complex_normal(shape, generator)
    channels = (start + 0.004 * drift.cumsum(0)).contiguous()
    position = torch.zeros(40, 3, dtype=torch.float64)
    position[:, 1] = torch.arange(40) * 0.2
    noise = torch.full((8,), 1e-3, dtype=torch.float64)
    csi = channels[::5] + 1e-3**0.5 * complex_normal((8, 32, 128), generator)
    exact = posterior(csi, noise, [places(channels, position)])
    single = posterior(csi.cfloat(), noise, [places(channels.cfloat(), position)])
    assert (single.position - exact.position).norm(dim=-1).max() < 0.02


def test_the_noise_is_found_from_the_ratio(generator):
    clean = complex_normal((2, 32, 128), generator) * torch.tensor([1.0, 5.0])[:, None, None]
    variance = torch.tensor([0.1, 2.5])
    csi = clean + variance.sqrt()[:, None, None] * complex_normal((2, 32, 128), generator)
    found = noise_of_snr(csi, 10.0)
    torch.testing.assert_close(found, variance.double(), rtol=0.06, atol=0.0)
    thinned = csi.clone()
    thinned[:, ::2] = 0
    torch.testing.assert_close(noise_of_snr(thinned, 10.0), found, rtol=0.06, atol=0.0)


def test_mistakes_are_named(street):
    csi = street[0][:1]
    with pytest.raises(ValueError, match="noise must be positive, got 0"):
        posterior(csi, torch.zeros(1), [places(*street)])
    with pytest.raises(ValueError, match="0 places"):
        posterior(csi, torch.ones(1), [])
