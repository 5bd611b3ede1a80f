"""Waves that are fitted together come apart, reach the bound, and never fit worse than before."""

import numpy as np
import pytest
import torch

from physics.test_strongest import ANTENNAS, SUBCARRIERS, grid
from radiofix.physics.sharpening import Aperture, PlaneWaves, sharpened


def aperture(links):
    frequency, antenna = grid(links)
    return Aperture.of(frequency / (frequency[0, 1] - frequency[0, 0]), antenna)


def waves(turn, direction, gain):
    return PlaneWaves(
        torch.tensor(turn).double(),
        torch.tensor(direction).double(),
        torch.tensor(gain).to(torch.complex64),
    )


def channel(seen, true):
    """By NumPy, in double precision."""
    y = seen.antenna[..., 1].double().numpy()
    index, turn = seen.index.numpy(), true.turn.numpy()
    across = np.exp(2j * np.pi * y[:, None] * true.direction.numpy()[..., None])
    along = np.exp(-2j * np.pi * index[:, None] * turn[..., None])
    whole = np.einsum("lw,lwa,lwf->laf", true.gain.numpy(), across, along)
    return torch.from_numpy(whole).to(torch.complex64)


def test_two_waves_within_a_beam_and_a_bin_come_apart():
    seen = aperture(1)
    apart = 0.9 / SUBCARRIERS, 0.9 * 2 / ANTENNAS
    true = waves([[0.2, 0.2 + apart[0]]], [[0.3, 0.3 + apart[1]]], [[1.0, 0.7j]])
    start = waves(
        [[0.2 - 0.3 / SUBCARRIERS, 0.2 + 1.2 * apart[0]]], [[0.28, 0.32 + apart[1]]], [[0.8, 0.4j]]
    )
    found, left = sharpened(channel(seen, true), seen, start, 20)
    torch.testing.assert_close(found.turn, true.turn, atol=1e-5, rtol=0)
    torch.testing.assert_close(found.direction, true.direction, atol=1e-4, rtol=0)
    torch.testing.assert_close(found.gain, true.gain, atol=1e-3, rtol=0)
    assert left.abs().max() < 1e-3


def test_one_wave_in_noise_is_as_far_off_as_the_bound():
    links, noise = 600, 0.5
    seen = aperture(links)
    true = waves([[0.31]] * links, [[-0.2]] * links, [[1.0]] * links)
    csi = channel(seen, true)
    deviation = noise / np.sqrt(2)
    generator = torch.Generator().manual_seed(0)
    csi = csi + noise * torch.randn(csi.shape, dtype=csi.dtype, generator=generator)
    start = waves([[0.31 + 0.2 / SUBCARRIERS]] * links, [[-0.18]] * links, [[0.9]] * links)
    found, _ = sharpened(csi, seen, start, 8)
    # A phase slope over N even steps: variance sigma^2 / (2 pi)^2 / sum of (n - middle)^2.
    square = (seen.index[0].numpy() ** 2).sum() * ANTENNAS
    bound = deviation / (2 * np.pi * np.sqrt(square))
    assert float((found.turn - 0.31).std()) == pytest.approx(bound, rel=0.1)
    square = (seen.antenna[0, :, 1].numpy() ** 2).sum() * SUBCARRIERS
    bound = deviation / (2 * np.pi * np.sqrt(square))
    assert float((found.direction + 0.2).std()) == pytest.approx(bound, rel=0.1)


def test_scattered_pilots_lead_to_the_same_waves():
    links = 20
    seen = aperture(links)
    true = waves([[0.2, 0.45]] * links, [[0.3, -0.5]] * links, [[1.0, 0.5j]] * links)
    generator = torch.Generator().manual_seed(1)
    pilots = torch.rand(links, ANTENNAS, SUBCARRIERS, generator=generator) < 0.2
    start = waves(
        [[0.2 + 0.3 / SUBCARRIERS, 0.452]] * links, [[0.28, -0.49]] * links, [[0.7, 0.3j]] * links
    )
    found, left = sharpened(channel(seen, true) * pilots, seen, start, 20)
    torch.testing.assert_close(found.turn, true.turn, atol=1e-4, rtol=0)
    torch.testing.assert_close(found.direction, true.direction, atol=1e-3, rtol=0)
    assert (left[~pilots] == 0).all()


def test_no_round_fits_worse_and_silence_stays_silent():
    seen = aperture(40)
    generator = torch.Generator().manual_seed(2)
    csi = torch.randn(40, ANTENNAS, SUBCARRIERS, dtype=torch.complex64, generator=generator)
    csi[0] = 0
    turn = torch.rand(40, 3, generator=generator).double()
    direction = 2 * torch.rand(40, 3, generator=generator).double() - 1
    gain = 0.1 * torch.randn(40, 3, dtype=torch.complex64, generator=generator)
    gain[0] = 0
    start, before = PlaneWaves(turn, direction, gain), torch.inf
    for rounds in (0, 1, 2, 5):
        found, left = sharpened(csi, seen, start, rounds)
        energy = left.abs().square().sum((1, 2))
        assert (energy <= before).all()
        before = energy * (1 + 1e-5)
    assert (found.gain[0] == 0).all()
    assert found.turn.isfinite().all()


def test_gains_at_the_origin_are_those_that_the_channel_is_made_with():
    frequency, antenna = grid(3)
    index = frequency / (frequency[0, 1] - frequency[0, 0])
    true = waves([[0.2]] * 3, [[0.3]] * 3, [[1.0]] * 3)
    seen = Aperture.of(index, antenna)
    phase = np.exp(2j * np.pi * (antenna[..., 1].numpy() * 0.3))[:, :, None]
    phase = phase * np.exp(-2j * np.pi * index.numpy() * 0.2)[:, None]
    gain = seen.match(torch.from_numpy(phase).to(torch.complex64), true.turn, true.direction)
    gain = gain / (ANTENNAS * SUBCARRIERS)
    origin = seen.from_origin(PlaneWaves(true.turn, true.direction, gain))
    torch.testing.assert_close(origin, torch.ones_like(origin), atol=1e-4, rtol=0)
