"""A standardizer learns the scale of a quantity, and is saved with it."""

from __future__ import annotations

import pytest
import torch

from radiofix.models.standardizer import Standardizer


@pytest.fixture
def rows() -> torch.Tensor:
    draw = torch.randn(500, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return draw * torch.tensor([3e-8, 70.0]) + torch.tensor([1e-6, -400.0])


def test_what_it_was_fitted_to_has_mean_0_and_deviation_1(rows: torch.Tensor) -> None:
    standardizer = Standardizer(2)
    standardizer.fit(rows)
    values = standardizer(rows).double()
    torch.testing.assert_close(values.mean(0), torch.zeros(2).double(), atol=1e-6, rtol=0)
    torch.testing.assert_close(values.std(0, correction=0), torch.ones(2).double())


def test_undo_gives_a_delay_back_to_a_ten_thousandth_of_a_nanosecond(rows: torch.Tensor) -> None:
    standardizer = Standardizer(2)
    standardizer.fit(rows)
    assert (standardizer.undo(standardizer(rows)) - rows)[:, 0].abs().max() < 1e-13


def test_differences_are_scaled_without_the_mean(rows: torch.Tensor) -> None:
    standardizer = Standardizer(2)
    standardizer.fit(rows)
    expected = standardizer(rows[:1]) - standardizer(rows[1:2])
    torch.testing.assert_close(
        standardizer.scaled(rows[:1] - rows[1:2]).float(), expected, atol=1e-5, rtol=1e-5
    )


def test_a_value_that_never_varied_is_its_own_scale() -> None:
    standardizer = Standardizer(2)
    standardizer.fit(torch.tensor([[10e6, 0.0]] * 3))
    assert standardizer(torch.tensor([[10e6, 0.0], [20e6, 2.0]])).tolist() == [[0, 0], [1, 2]]


def test_the_scale_travels_with_the_state(rows: torch.Tensor) -> None:
    first, second = Standardizer(2), Standardizer(2)
    first.fit(rows)
    second.load_state_dict(first.state_dict())
    assert torch.equal(first(rows), second(rows))
    assert second.state_dict()["mean"].dtype == torch.float64


def test_without_a_scale_it_says_what_to_do() -> None:
    with pytest.raises(ValueError, match="call fit with the training links"):
        Standardizer(1)(torch.ones(1, 1))
    with pytest.raises(ValueError, match="0 rows"):
        Standardizer(1).fit(torch.ones(0, 1))
