"""Whatever order subcarriers come in, a delay found on their grid is the true one."""

import numpy as np
import pytest
import torch

from radiofix.physics.arrays import ula
from radiofix.physics.grid import grid_of
from radiofix.physics.strongest import strongest_wave

CARRIER, SPACING = 5.18e9, 312.5e3
HT20 = CARRIER + SPACING * np.array([*range(-28, 0), *range(1, 29)])
"""Of 802.11n: nothing at the carrier itself."""
DELAY = 100e-9


def found_delay(frequency, csi):
    offset = torch.from_numpy(frequency - CARRIER)[None].float()
    antenna = ula(2).positions[None].float()
    values = torch.from_numpy(csi).to(torch.complex64)[None]
    return float(strongest_wave(values, offset, antenna).delay)


def one_path(frequency):
    return np.tile(np.exp(-2j * np.pi * (frequency - CARRIER) * DELAY), (2, 1))


@pytest.mark.parametrize(
    "order", [slice(None), slice(None, None, -1), np.random.default_rng(0).permutation(56)]
)
def test_a_delay_is_found_in_any_order_and_across_the_gap_at_the_carrier(order):
    frequency = HT20[order]
    grid = grid_of("here", frequency)
    assert len(grid) == 57
    np.testing.assert_allclose(grid.frequency, CARRIER + SPACING * np.arange(-28, 29), atol=1)
    csi = grid.spread(one_path(frequency))
    assert (csi[:, 28] == 0).all()
    assert (csi != 0).sum() == 2 * 56
    whole = found_delay(grid.frequency, one_path(grid.frequency))
    assert whole == pytest.approx(DELAY, abs=1.5e-9)
    assert found_delay(grid.frequency, csi) == pytest.approx(whole, abs=0.2e-9)


def test_without_the_grid_it_would_be_off():
    assert found_delay(HT20, one_path(HT20)) > DELAY + 3e-9
    falling = HT20[::-1].copy()
    assert abs(found_delay(falling, one_path(falling)) - DELAY) > 50e-9


def test_a_regular_grid_is_left_as_it_is():
    frequency = 3.5e9 + 156250.0 * np.arange(64)
    grid, csi = grid_of("here", frequency), np.ones((2, 64), complex)
    np.testing.assert_array_equal(grid.frequency, frequency)
    assert grid.spread(csi) is csi


def test_rounding_to_single_precision_is_no_unevenness():
    grid = grid_of("here", HT20.astype(np.float32).astype(np.float64))
    assert len(grid) == 57
    np.testing.assert_allclose(grid.frequency, CARRIER + SPACING * np.arange(-28, 29), atol=500)


def test_a_grid_may_be_denser_than_its_closest_subcarriers():
    grid = grid_of("here", 1e9 + 1e5 * np.array([0, 2, 4, 7, 9, 12]))
    np.testing.assert_allclose(grid.frequency, 1e9 + 1e5 * np.arange(13))
    assert grid.place.tolist() == [0, 2, 4, 7, 9, 12]


@pytest.mark.parametrize(
    ("frequency", "message"),
    [
        ([1e9, 1.1e9, 1.1e9], r"distinct, 1.1e\+09 Hz is there twice"),
        ([1e9, -1.0], "positive and finite"),
        ([1e9, np.nan], "positive and finite"),
        (1e9 + 1e5 * np.arange(20) ** 1.1, "1000.* apart lie on no regular grid: interpolate"),
        ([1e9, 1e9 + 1, 2e9], "lie on no regular grid"),
    ],
)
def test_what_is_on_no_grid_is_refused_in_one_line(frequency, message):
    with pytest.raises(ValueError, match=message) as refused:
        grid_of("here", np.asarray(frequency, dtype=float))
    assert str(refused.value).startswith("here: ")
    assert "\n" not in str(refused.value)
