"""Every number that a report tells of errors, against plain NumPy or a case done by hand."""

import numpy as np
import pytest

from radiofix.benchmark import metrics


@pytest.fixture
def error():
    return np.random.default_rng(1).exponential(3.0, 5000)


def test_the_summary_is_what_numpy_says(error):
    found = metrics.summary(error)
    assert found.mean == pytest.approx(sum(error) / len(error))
    assert found.rmse == pytest.approx((sum(error**2) / len(error)) ** 0.5)
    ordered = np.sort(error)
    for share in (50, 67, 80, 90, 95):
        value = getattr(found, f"p{share}")
        assert value == pytest.approx(ordered[round(share / 100 * len(error))], rel=0.01)
    assert found.within_1 == np.count_nonzero(error <= 1) / len(error)
    assert found.within_3 == np.count_nonzero(error <= 3) / len(error)


def test_mirrored_places_are_counted_apart():
    found = metrics.summary(np.array([1.0, 3.0, 50.0, 51.0, 300.0]))
    assert found.far == pytest.approx(2 / 5)
    assert found.mean_near == pytest.approx((1 + 3 + 50) / 3)
    assert found.mean == pytest.approx(405 / 5)
    assert np.isnan(metrics.summary(np.array([60.0])).mean_near)
    turned = metrics.summary(np.array([1.0, 60.0, 170.0]), "degrees")
    assert turned.far == pytest.approx(1 / 3)
    assert turned.mean_near == pytest.approx(30.5)


def test_without_errors_there_is_nothing_to_say():
    with pytest.raises(ValueError, match="0 errors"):
        metrics.summary(np.empty(0))


def test_the_distribution_gives_back_each_share(error):
    value, share = metrics.distribution(error)
    assert (share[0], share[-1]) == (0, 1)
    for v, s in zip(value[::20], share[::20], strict=True):
        assert metrics.share_within(error, v) == pytest.approx(s, abs=2e-3)


def test_the_interval_of_a_mean_is_as_wide_as_its_deviation_says(error):
    low, high = metrics.interval([error])
    width = 2 * 1.96 * error.std() / np.sqrt(len(error))
    assert high - low == pytest.approx(width, rel=0.15)
    assert low < error.mean() < high


def test_seeds_that_disagree_widen_the_interval(error):
    low, high = metrics.interval([error, error + 2.0, error + 4.0])
    assert high - low > 2.0
    assert low < error.mean() + 2 < high


def test_the_interval_is_of_the_statistic_asked_for(error):
    low, high = metrics.interval([error], metrics.median)
    assert low < np.median(error) < high < error.mean()
    assert metrics.interval([error], metrics.median) == (low, high)


def test_where_neighbours_err_alike_squares_are_drawn_and_the_interval_is_theirs():
    rng = np.random.default_rng(3)
    level = rng.normal(5, 2, 40)
    square = np.repeat(np.arange(40), 50)
    error = level[square] + rng.normal(0, 0.1, len(square))
    low, high = metrics.interval([error], squares=[square])
    assert high - low == pytest.approx(2 * 1.96 * level.std() / np.sqrt(40), rel=0.2)
    alone = metrics.interval([error])
    assert high - low > 5 * (alone[1] - alone[0])
    # Each user in a square of its own is each user by itself.
    own = metrics.interval([error], squares=[np.arange(len(error))])
    assert own[1] - own[0] == pytest.approx(alone[1] - alone[0], rel=0.1)


@pytest.mark.parametrize(("count", "middle"), [(4, 0.0), (8, 9.0)])
def test_few_squares_hold_what_others_would_say_nineteen_times_in_twenty(count, middle):
    rng = np.random.default_rng(count)
    square = np.repeat(np.arange(count), rng.integers(5, 30, count))
    held = 0
    for _ in range(200):
        error = middle + rng.normal(0, 1, count)[square]
        low, high = metrics.interval([error], draws=200, squares=[square], signed=not middle)
        held += low <= middle <= high
    # Without the widening 80 % of four and 87 % of eight; 200 trials tell it to 1.6 %.
    assert held / 200 == pytest.approx(0.95, abs=0.04)


def test_of_many_stores_whole_stores_are_drawn():
    rng = np.random.default_rng(5)
    level = rng.normal(6, 2, 7)
    store = np.repeat(np.arange(7), 40)
    square = metrics.APART * store + np.tile(np.arange(10), 28)
    error = level[store]
    width = {
        name: np.diff(metrics.interval([error], squares=[squares], signed=True)).item()
        for name, squares in (
            ("together", square),
            ("alone", store),
            ("one", square % metrics.APART),
        )
    }
    assert width["together"] == width["alone"]
    assert width["together"] == pytest.approx(2 * 2.447 * level.std(ddof=1) / 7**0.5, rel=0.15)
    assert width["one"] < width["together"] / 2


def test_the_interval_of_errors_does_not_reach_below_zero():
    error = np.array([0.5, 1.0, 40.0])
    low, high = metrics.interval([error])
    assert 0 < low < error.mean() < high
    low, high = metrics.interval([error - error.mean()], signed=True)
    assert low < 0 < high


def test_a_single_square_says_nothing_of_others():
    assert np.isnan(metrics.interval([np.ones(5)], squares=[np.zeros(5, dtype=int)])).all()


def test_seeds_share_the_squares_that_are_drawn():
    square = np.repeat(np.arange(10), 20)
    error = square.astype(float)
    one = metrics.interval([error], squares=[square])
    three = metrics.interval([error, error, error], squares=[square] * 3)
    # Squares drawn for each seed by themselves would make the interval narrower by sqrt(3).
    assert three[1] - three[0] == pytest.approx(one[1] - one[0], rel=0.15)


@pytest.fixture
def stated():
    """Errors drawn from the very covariances that are stated."""
    rng = np.random.default_rng(2)
    factor = np.tril(rng.normal(size=(20_000, 2, 2))) + 2 * np.eye(2)
    covariance = factor @ factor.transpose(0, 2, 1)
    error = (factor @ rng.normal(size=(20_000, 2, 1)))[..., 0]
    return error, covariance


def test_squared_lengths_are_those_of_the_inverse(stated):
    error, covariance = stated
    plain = [e @ np.linalg.inv(c) @ e for e, c in zip(error[:50], covariance[:50], strict=True)]
    np.testing.assert_allclose(metrics.squared_length(error[:50], covariance[:50]), plain)


def test_honest_covariances_hold_ninety_percent_and_have_a_nees_of_one(stated):
    error, covariance = stated
    squared = metrics.squared_length(error, covariance)
    found = metrics.calibration(squared, metrics.ellipse_radius(covariance))
    assert found.held == pytest.approx(0.9, abs=0.01)
    assert found.nees == pytest.approx(1.0, abs=0.03)


def test_covariances_a_quarter_as_large_hold_far_less(stated):
    error, covariance = stated
    squared = metrics.squared_length(error, covariance / 4)
    found = metrics.calibration(squared, metrics.ellipse_radius(covariance / 4))
    assert found.held == pytest.approx(1 - 0.1 ** (1 / 4), abs=0.02)
    assert found.nees == pytest.approx(4.0, abs=0.15)


def test_the_radius_is_of_a_circle_as_large_as_the_ellipse():
    covariance = np.array([[[4.0, 0.0], [0.0, 9.0]]])
    axes = np.sqrt(-2 * np.log(0.1)) * np.array([2.0, 3.0])
    assert metrics.ellipse_radius(covariance)[0] == pytest.approx(np.sqrt(axes.prod()))


def test_the_nearest_label_is_found_among_all():
    rng = np.random.default_rng(3)
    test, labelled = rng.uniform(0, 100, (40, 2)), rng.uniform(0, 100, (60, 2))
    plain = np.linalg.norm(test[:, None] - labelled[None], axis=-1).min(1)
    np.testing.assert_allclose(metrics.nearest(test, labelled), plain)


def test_means_of_squares_are_drawn_as_any_other_statistic_is():
    rng = np.random.default_rng(5)
    cases = [
        ([rng.gamma(1, 2, 60) for _ in range(seeds)], [rng.integers(9, size=60)] * seeds)
        for seeds in (1, 3)
    ]
    # Of squares that hold users of one seed alone draws leave a seed, or all, without any.
    cases.append(
        (
            [np.array([1.0, 2.0, 3.0]), np.array([4.0, 5.0])],
            [np.array([0, 0, 1]), np.array([2, 3])],
        )
    )
    for error, square in cases:
        for signed in (False, True):
            told = {"squares": square, "signed": signed}
            plainly = metrics.interval(error, lambda e: float(e.mean()), **told)
            at_once = metrics.interval(error, **told)
            np.testing.assert_allclose(at_once, plainly, rtol=1e-12, atol=0)
