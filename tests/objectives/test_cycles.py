"""Bands follow the ripples of each channel, and hide as much as they are told to."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from models.soundings import ANTENNAS, SUBCARRIERS, random_latent
from objectives.views import Answer, any_grid, decoder, generator, random_views
from radiofix.objectives.cycles import (
    CycleMask,
    cycle_mask,
    hidden_since,
    row_correlation,
    row_shift,
)
from radiofix.objectives.masking import AntennaSubcarrierMask, GridMask, Mask, StripMask
from radiofix.objectives.sfmcm import MaskedAutoencoding, Sfmcm

SHIFTS = [-19, -8, -3, -2, -1, 1, 2, 3, 8, 19]


def two_waves(
    shift: list[float], period: float, antennas: int = 32, subcarriers: int = 128
) -> torch.Tensor:
    """Ripples of a period [subcarriers] that move by `shift` of them from antenna to antenna."""
    antenna = torch.arange(antennas, dtype=torch.float64)[:, None]
    turns = torch.arange(subcarriers) - torch.tensor(shift)[:, None, None] * antenna
    beat = torch.polar(torch.ones_like(turns), 2 * math.pi * turns / period)
    return (1 + 0.4 * beat).to(torch.complex64)


def correlation_by_hand(csi: np.ndarray, lag: int) -> float:
    """Every pair of neighbouring rows, every pair of columns a lag apart, one by one."""
    seen, amplitude = csi != 0, np.abs(csi).astype(np.float64)
    ripple = amplitude - amplitude[seen].mean()
    both, first, second = 0.0, 0.0, 0.0
    for a in range(csi.shape[0] - 1):
        for k in range(csi.shape[1]):
            if 0 <= k + lag < csi.shape[1] and seen[a, k] and seen[a + 1, k + lag]:
                both += ripple[a, k] * ripple[a + 1, k + lag]
                first += ripple[a, k] ** 2
                second += ripple[a + 1, k + lag] ** 2
    return both / math.sqrt(first * second) if first * second else 0.0


@pytest.mark.parametrize("comb", [1, 2])
def test_correlation_is_that_of_each_row_with_the_next_where_both_were_observed(comb: int) -> None:
    csi = any_grid(3).clone()
    csi[:, :, torch.arange(SUBCARRIERS) % comb > 0] = 0
    csi[1, 3] = 0
    got = row_correlation(csi, 5).numpy()
    expected = [[correlation_by_hand(h, lag) for lag in range(-5, 6)] for h in csi.numpy()]
    np.testing.assert_allclose(got, expected, atol=1e-6)
    if comb == 2:
        assert np.all(got[:, ::2] == 0)


@pytest.mark.parametrize("period", [23, 128, 400])
def test_the_shift_of_two_waves_is_that_of_their_crests(period: float) -> None:
    shifts = [d for d in SHIFTS if abs(d) < period / 2]
    found = row_shift(two_waves(shifts, period), 32)
    assert found.tolist() == shifts


def test_a_shift_is_never_0_and_its_sign_is_the_nearer_neighbours() -> None:
    csi = two_waves([0.3, -0.3, 0.0], 23)
    found = row_shift(csi, 32).tolist()
    assert found[:2] == [1, -1]
    assert abs(found[2]) == 1
    assert row_shift(csi, 32, least=0).tolist() == [0, 0, 0]


def test_mirroring_the_antennas_or_the_subcarriers_turns_the_shift_round() -> None:
    csi = two_waves([5, -7], 40)
    for axis in (1, 2):
        assert row_shift(csi.flip(axis), 32).tolist() == [-5, 7]
    assert row_shift(csi.flip(1, 2), 32).tolist() == [5, -7]


def test_neither_phase_nor_power_nor_antennas_out_of_step_change_the_shift() -> None:
    csi = two_waves([5, -7], 40)
    turned = 1e-5 * csi * torch.polar(torch.ones(32), torch.arange(32.0) ** 2)[:, None]
    assert row_shift(turned, 32).tolist() == [5, -7]


def test_a_link_without_ripples_or_without_signal_has_the_least_shift() -> None:
    flat = torch.polar(torch.ones(1, 32, 128), torch.arange(128.0).expand(1, 32, 128))
    assert row_shift(torch.cat([flat, torch.zeros_like(flat)]), 32).tolist() == [1, 1]


def test_where_only_no_shift_is_looked_for_it_is_found() -> None:
    csi = two_waves([5, -7], 40)
    assert row_shift(csi, 0, least=0).tolist() == [0, 0]
    by_hand = [[correlation_by_hand(h, 0)] for h in csi.numpy()]
    np.testing.assert_allclose(row_correlation(csi, 0).numpy(), by_hand, atol=1e-6)


@pytest.mark.parametrize("share", [None, 0.4375])
def test_of_no_links_nothing_is_hidden(share: float | None) -> None:
    nobody = two_waves([5], 40)[:0]
    assert row_correlation(nobody, 32).shape == (0, 65)
    assert row_shift(nobody, 32).shape == (0,)
    hidden = CycleMask(share)(nobody, generator())
    assert hidden.shape == (0, 32, 128)
    assert hidden.dtype == torch.bool


def hidden_by_hand(shift: int, from_antenna: np.ndarray, from_subcarrier: np.ndarray) -> np.ndarray:
    """Eq. 6 for every band by itself: the earliest of those that cover an entry."""
    antennas, subcarriers = len(from_antenna), len(from_subcarrier)
    edge = 0 if shift > 0 else subcarriers - 1
    bands = [(t, k) for k, t in enumerate(from_subcarrier)]
    bands += [(t, edge - a * shift) for a, t in enumerate(from_antenna)]
    since = np.full((antennas, subcarriers), np.inf)
    for time, start in bands:
        for i in range(antennas):
            for j in range(subcarriers):
                if abs(j - (start + i * shift)) <= abs(shift) // 2:
                    since[i, j] = min(since[i, j], time)
    return since


def test_bands_are_those_of_equation_6() -> None:
    draw = torch.rand(len(SHIFTS), ANTENNAS + SUBCARRIERS, generator=generator())
    few = draw.masked_fill(draw > 0.3, torch.inf)
    for times in (draw, few):
        times = times.split([ANTENNAS, SUBCARRIERS], -1)
        got = hidden_since(torch.tensor(SHIFTS), *times).numpy()
        for n, shift in enumerate(SHIFTS):
            expected = hidden_by_hand(shift, times[0][n].numpy(), times[1][n].numpy())
            np.testing.assert_array_equal(got[n], expected, err_msg=f"d={shift}")


@pytest.mark.parametrize("shift", SHIFTS)
def test_pieces_of_a_band_meet_from_row_to_row(shift: int) -> None:
    never = torch.full((1, 32), torch.inf), torch.full((1, 128), torch.inf)
    never[1][0, 64] = 1.0
    hidden = hidden_since(torch.tensor([shift]), *never)[0].isfinite().numpy()
    rows = [np.flatnonzero(row) for row in hidden]
    inside = [r for r in rows if len(r) and r[0] > 0 and r[-1] < 127]
    assert len(inside) >= 3
    for one, following in pairwise(inside):
        assert len(one) == 2 * (abs(shift) // 2) + 1
        upper, lower = (one, following) if shift > 0 else (following, one)
        assert lower[0] - upper[-1] <= 1
        assert upper[-1] < lower[-1]


def test_no_corner_stays_bare_for_either_sign() -> None:
    shift = torch.tensor([-7, 7]).repeat_interleave(100)
    often = cycle_mask(shift, 32, 128, 8, 32, generator()).view(2, 100, 32, 128).float().mean(1)
    corners = often[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert float(corners.min()) > 0.1
    torch.testing.assert_close(often[0].flip(-1), often[1], atol=0.25, rtol=0)


def test_the_published_numbers_of_bands_are_drawn() -> None:
    """At |d| = 1 bands are one column wide, so that they can be counted where they begin."""
    hidden = cycle_mask(torch.tensor([1, -1] * 100), 32, 128, 8, 32, generator())
    top = hidden[:, 0].sum(-1)
    assert set(top.tolist()) == {32, 33}
    edge = torch.where(torch.arange(200) % 2 == 0, 0, 127)
    side = hidden[torch.arange(200), :, edge].sum(-1)
    assert set(side.tolist()) <= {8, 9}
    starts = hidden[:, 0].float().mean(0)
    torch.testing.assert_close(starts[1:-1], torch.full((126,), 0.25), atol=0.15, rtol=0)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.625, 0.9])
def test_a_share_is_met_to_the_entry_at_any_shift(share: float) -> None:
    shift = torch.tensor([*SHIFTS, -32, 32])
    hidden = cycle_mask(shift, 32, 128, 8, 32, generator(), share)
    assert hidden.sum((1, 2)).tolist() == [round(share * 4096)] * len(shift)


def test_under_a_share_all_bands_but_the_last_are_whole() -> None:
    shift = torch.tensor(SHIFTS)
    hidden = cycle_mask(shift, 32, 128, 8, 32, generator(), 0.3)
    row, column = torch.arange(32)[:, None], torch.arange(128)
    for one, d in zip(hidden, shift, strict=True):
        # A band's middle: the line along which the mask is one value must never change but once.
        line = (column - row * d).flatten()
        ends = {}
        for place, value in zip(line.tolist(), one.flatten().tolist(), strict=True):
            ends.setdefault(place, []).append(value)
        cut = [values for values in ends.values() if 0 < sum(values) < len(values)]
        assert len(cut) <= 2 * (abs(int(d)) // 2) + 1
        assert all(sorted(values, reverse=True) == values for values in cut)


def test_strategies_can_hide_exactly_as_much_as_each_other() -> None:
    csi = two_waves([5, -1, 12, 3], 40)
    masks: list[Mask] = [
        CycleMask(share=0.4375),
        GridMask(112, (4, 4)),
        StripMask(8, 32),
        AntennaSubcarrierMask(8, 32),
    ]
    for mask in masks:
        assert mask(csi, generator()).sum((1, 2)).tolist() == [1792] * 4


def test_each_link_has_bands_at_its_own_slope() -> None:
    shifts = [5, -5, 2, -11]
    hidden = CycleMask()(two_waves(shifts, 40), generator())
    for one, d in zip(hidden.numpy(), shifts, strict=True):
        alike = {lag: along(one, lag) for lag in range(-20, 21)}
        assert max(alike, key=lambda lag: alike[lag]) == d
        # What differs from row to row is where bands begin at an antenna.
        assert alike[d] > 0.97


def along(hidden: np.ndarray, lag: int) -> float:
    """Share of entries that are hidden or not as is the one a row on and `lag` columns on."""
    columns = hidden.shape[1]
    upper = hidden[:-1, max(0, -lag) : columns - max(0, lag)]
    lower = hidden[1:, max(0, lag) : columns - max(0, -lag)]
    return float(np.mean(upper == lower))


def test_the_generator_and_the_channel_alone_decide() -> None:
    csi = two_waves([5, -5], 40)
    for mask in (CycleMask(), CycleMask(share=0.5)):
        first, again, other = (mask(csi, generator(seed)) for seed in (1, 1, 2))
        assert torch.equal(first, again)
        assert not torch.equal(first, other)
        # A link's bands are not moved by the links beside it.
        beside = mask(torch.cat([csi[:1], two_waves([30], 90)]), generator(1))
        assert torch.equal(beside[0], first[0])


def test_bands_compose_with_the_masked_modelling_of_any_other_mask() -> None:
    views, latent = random_views(), random_latent(dim=32)
    mask = CycleMask(share=0.5)
    prepared = Sfmcm(decoder(12), mask, (0, 12)).prepare(views, generator())
    target, hidden = prepared.targets
    assert torch.equal(hidden, mask(views.first.csi, generator()))
    assert bool((prepared.soundings[0].csi[hidden] == 0).all())
    visible_wrong = torch.where(hidden, target, 3 * target)
    for kind, cares in ((Sfmcm, False), (MaskedAutoencoding, True)):
        objective = kind(decoder(12), mask, (0, 12))
        objective.decoder = Answer(12, visible_wrong)
        loss = float(objective([latent], prepared))
        energy = target.abs().square()
        share = (energy.masked_fill(hidden, 0).sum((1, 2)) / energy.sum((1, 2))).mean()
        assert loss == pytest.approx(4 * float(share) if cares else 0.0, rel=1e-5, abs=1e-9)


def test_everything_that_was_observed_counts_in_equation_7_and_nothing_else() -> None:
    views = random_views()
    csi = views.first.csi.clone()
    csi[:, :, 1::2] = 0
    objective = MaskedAutoencoding(decoder(12), AntennaSubcarrierMask(4, 8), (0, 12))
    prepared = objective.prepare(
        type(views)(views.first.with_csi(csi), views.second, views.widest), generator()
    )
    target, guess = prepared.targets[0], any_grid(seed=4)
    objective.decoder = Answer(12, guess)
    expected = []
    for h, g in zip(target.numpy(), guess.numpy(), strict=True):
        pilots = h[:, ::2]
        error = np.linalg.norm(g[:, ::2] - pilots) ** 2
        expected.append(error / np.linalg.norm(pilots) ** 2)
    loss = objective([random_latent(dim=32)], prepared)
    assert float(loss) == pytest.approx(np.mean(expected), rel=1e-5)


def test_what_cannot_be_hidden_is_refused_in_one_line() -> None:
    shift = torch.tensor([3])
    cases = [
        (lambda: CycleMask(share=1.0), "share must lie between 0 and 1, got 1"),
        (lambda: CycleMask(antenna_bands=0), "antenna_bands must be at least 1, got 0"),
        (lambda: CycleMask(reach=1.5), "reach must lie between 0 and 1, got 1.5"),
        (lambda: cycle_mask(shift, 8, 16, 9, 4, generator()), "9 bands cannot begin at 8 antennas"),
        (
            lambda: cycle_mask(shift, 4, 4, 1, 1, generator(), 0.01),
            "share=0.01 of 4 x 4 entries is none or all",
        ),
        (lambda: row_shift(any_grid(), 16), "shifts from 1 to 16 cannot be looked for in 16"),
    ]
    for attempt, message in cases:
        with pytest.raises(ValueError, match=message) as error:
            attempt()
        assert "\n" not in str(error.value)
