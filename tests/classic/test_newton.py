"""What waves leave is seen without being formed, and a step never loses height."""

import itertools

import torch

from classic.scenes import CHANNEL, noisy, single_waves
from radiofix.classic.newton import Rest, Steered, refined
from radiofix.classic.omp import Grid
from radiofix.classic.waves import Observed

LINKS = 6


def observed_links():
    return Observed.of(CHANNEL.sound(single_waves(LINKS), noisy()))


def drawn(*shape):
    return torch.rand(*shape, generator=noisy(7), dtype=torch.float64)


def test_what_is_seen_of_the_rest_is_what_is_seen_of_the_residual():
    observed = observed_links()
    turn, direction = drawn(LINKS, 3), 2 * drawn(LINKS, 3) - 1
    gain = torch.randn(LINKS, 3, generator=noisy(8), dtype=observed.csi.dtype) * 1e-5
    antennas, subcarriers = observed.over_antennas(direction), observed.over_subcarriers(turn)
    rest = Rest(observed.csi, gain, antennas, subcarriers)
    across, along = (
        observed.over_antennas(drawn(LINKS, 2)),
        observed.over_subcarriers(drawn(LINKS, 4)),
    )
    residual = observed.residual(turn, direction, gain)
    expected = torch.einsum("lia,las,ljs->lij", across.conj(), residual, along.conj())
    torch.testing.assert_close(rest.seen(across, along), expected, rtol=1e-4, atol=1e-7)


def test_a_rest_less_no_wave_is_the_csi():
    observed = observed_links()
    here = Steered.at(observed, drawn(LINKS), drawn(LINKS))
    seen = Rest.whole(observed.csi).seen(here.antennas[:, None], here.subcarriers[:, None])
    expected = torch.einsum(
        "la,las,ls->l", here.antennas.conj(), observed.csi, here.subcarriers.conj()
    )
    torch.testing.assert_close(seen[:, 0, 0], expected, rtol=1e-4, atol=1e-7)


def test_climbing_leads_up_and_the_gain_belongs_to_the_place():
    observed = observed_links()
    rest = Rest.whole(observed.csi)
    start = Steered.at(observed, drawn(LINKS) / 3, drawn(LINKS))
    heights = [refined(observed, rest, start, steps).height.abs() for steps in (1, 2, 4, 8)]
    for lower, higher in itertools.pairwise(heights):
        assert (higher >= lower * (1 - 1e-6)).all()
    best = refined(observed, rest, start, 8)
    again = rest.seen(best.antennas[:, None], best.subcarriers[:, None])[:, 0, 0] / observed.count
    torch.testing.assert_close(best.peak(observed)[2], again, rtol=1e-4, atol=0)
    there = Steered.at(observed, best.turn, best.direction)
    torch.testing.assert_close(best.antennas, there.antennas)
    torch.testing.assert_close(best.subcarriers, there.subcarriers)


def test_a_grid_looked_at_piece_by_piece_has_the_same_peaks():
    observed = Observed.of(CHANNEL.sound(single_waves(21), noisy()))
    grid = Grid()
    steering = observed.over_antennas(grid.directions(observed)[None])
    together = grid.highest(observed.csi, observed, steering)
    alone = [
        grid.highest(observed.csi[n : n + 1], observed[n : n + 1], steering[n : n + 1])
        for n in range(21)
    ]
    assert torch.equal(together[0], torch.cat([turn for turn, _ in alone]))
    assert torch.equal(together[1], torch.cat([direction for _, direction in alone]))
