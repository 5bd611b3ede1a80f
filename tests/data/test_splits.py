"""Splits: the counts asked for, and space kept between those who train and those who test."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radiofix.data.schema import SPLIT_CODES
from radiofix.data.splits import nearest_train_distance, random_split, region_split

TRAIN, VALIDATION, TEST = (SPLIT_CODES[part] for part in ("train", "validation", "test"))


def _counts(split: np.ndarray) -> list[int]:
    return [int((split == code).sum()) for code in (TRAIN, VALIDATION, TEST)]


def _distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.linalg.norm(a[:, None, :2] - b[None, :, :2], axis=-1)


def test_a_random_split_draws_the_papers_counts_and_leaves_the_rest_unused() -> None:
    split = random_split(30_000)
    assert split.dtype == np.int8
    assert _counts(split) == [10_000, 1_000, 10_000]
    assert (split == SPLIT_CODES["unused"]).sum() == 9_000


def test_a_random_split_is_spread_over_all_rows_and_repeats_with_its_seed() -> None:
    split = random_split(1_000, 300, 100, 300, seed=1)
    assert np.array_equal(split, random_split(1_000, 300, 100, 300, seed=1))
    assert not np.array_equal(split, random_split(1_000, 300, 100, 300, seed=2))
    # 300 of 1000 drawn at random: 150 fall into the first half, give or take 11.
    assert 100 < (split[:500] == TRAIN).sum() < 200


@pytest.mark.parametrize(
    ("users", "counts"),
    [(2_100, [1_000, 100, 1_000]), (20, [10, 1, 9]), (1, [0, 0, 1]), (0, [0] * 3)],
)
def test_with_too_few_users_the_counts_shrink_in_proportion(users: int, counts: list[int]) -> None:
    found = _counts(random_split(users))
    assert sum(found) == users
    assert all(abs(a - b) <= 1 for a, b in zip(found, counts, strict=True))


def test_a_negative_count_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="validation=-1 is negative"):
        random_split(10, 5, -1, 2)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 1_000),
    users=st.integers(400, 900),
    block=st.floats(10.0, 30.0),
    guard=st.floats(0.0, 6.0),
)
def test_no_user_of_a_region_split_is_nearer_than_the_guard_to_one_it_must_not_know(
    seed: int, users: int, block: float, guard: float
) -> None:
    position = np.random.default_rng(seed).uniform([0, 0, 0], [150, 120, 30], (users, 3))
    split = region_split(position, block, guard, seed=seed)
    train, validation, test = (position[split == code] for code in (TRAIN, VALIDATION, TEST))
    assert min(len(train), len(validation), len(test)) > 0
    assert _distances(train, np.concatenate([validation, test])).min() >= guard
    assert _distances(validation, test).min() >= guard

    # Nobody is left out without a reason: an unused user has one of the others within the guard.
    unused = position[split == SPLIT_CODES["unused"]]
    if len(unused):
        others = np.concatenate([validation, test])
        assert (_distances(unused, others).min(1) < guard).all()

    # Whole blocks: no block holds users of two parts.
    corner = np.floor((position[:, :2] - position[:, :2].min(0)) / block)
    for cell in np.unique(corner, axis=0):
        parts = set(split[(corner == cell).all(1)].tolist()) - {SPLIT_CODES["unused"]}
        assert len(parts) <= 1


def test_shares_of_a_region_split_are_shares_of_the_users() -> None:
    # A dense half and a sparse half: shares of blocks would be far from shares of users.
    rng = np.random.default_rng(0)
    dense, sparse = rng.uniform([0, 0], [200, 100], (9_000, 2)), rng.uniform(200, 400, (1_000, 2))
    split = region_split(np.concatenate([dense, sparse]), block=20.0, guard=0.0, test=0.2, seed=3)
    assert np.mean(split == TEST) == pytest.approx(0.2, abs=0.015)
    assert np.mean(split == VALIDATION) == pytest.approx(0.1, abs=0.015)
    assert not (split == SPLIT_CODES["unused"]).any()


def test_a_region_split_that_cannot_be_is_refused_with_the_mend() -> None:
    position = np.random.default_rng(0).uniform(0, 20, (50, 2))
    with pytest.raises(ValueError, match=r"block=100 m .* leaves no (validation|test) user"):
        region_split(position, block=100.0)
    with pytest.raises(ValueError, match="block=-1 m must be positive"):
        region_split(position, block=-1.0)
    with pytest.raises(ValueError, match=r"test=0\.9"):
        region_split(position, test=0.9)
    position[7, 1] = np.nan
    with pytest.raises(ValueError, match="position of user 7"):
        region_split(position)


def test_nearest_train_distance_is_that_of_brute_force_in_two_and_three_dimensions() -> None:
    rng = np.random.default_rng(5)
    position, split = rng.uniform(0, 50, (200, 3)), random_split(200, 60, 20, 40)
    for dimensions in (2, 3):
        place = position[:, :dimensions]
        apart = place[split == TEST][:, None] - place[split == TRAIN]
        expected = np.linalg.norm(apart, axis=-1).min(1)
        np.testing.assert_allclose(nearest_train_distance(place, split), expected)
    with pytest.raises(ValueError, match="no training user"):
        nearest_train_distance(position, np.full(200, TEST, dtype=np.int8))
