"""What errors and stated covariances of test users say, and how sure one can be of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree
from scipy.stats import norm, t

Array = NDArray[np.float64]
Statistic = Callable[[Array], float]

FAR = {"m": 50.0, "degrees": 90.0}
"""By the unit: errors above are places or directions mirrored up or down the street, told apart
from the others."""
APART = 1_000_000
"""More squares than a store has: of several stores whose users count together, so far are their
numbers from each other."""
MANY = 5
"""Stores that tell what others are like."""
HELD = 0.9
"""Probability of the stated ellipses that are looked at."""


@dataclass(frozen=True)
class Summary:
    """Errors of test users in a few numbers, in their own unit."""

    mean: float
    rmse: float
    p50: float
    p67: float
    p80: float
    p90: float
    p95: float
    within_1: float
    """Share of errors of at most 1."""
    within_3: float
    """Share of errors of at most 3."""
    far: float
    """Share of errors above the unit's `FAR`."""
    mean_near: float
    """Mean of the others; NaN where there are none."""


@dataclass(frozen=True)
class Calibration:
    """How honest and how sharp stated covariances are."""

    held: float
    """Share of errors inside their stated 90 % ellipse."""
    nees: float
    """Mean of e^T C^-1 e over its two dimensions; 1 for a normal distribution stated rightly."""
    sharpness: float
    """Median radius of the circle as large as the 90 % ellipse [m]."""


def summary(error: Array, unit: str = "m") -> Summary:
    """Of the errors of all users (and seeds) together, in a unit."""
    if not len(error):
        raise ValueError("there is nothing to say of 0 errors: give at least one")
    p50, p67, p80, p90, p95 = np.quantile(error, [0.5, 0.67, 0.8, 0.9, 0.95]).tolist()
    far = FAR[unit]
    near = error[error <= far]
    return Summary(
        mean=mean(error),
        rmse=float(np.sqrt(np.mean(error**2))),
        p50=p50,
        p67=p67,
        p80=p80,
        p90=p90,
        p95=p95,
        within_1=share_within(error, 1.0),
        within_3=share_within(error, 3.0),
        far=1 - share_within(error, far),
        mean_near=mean(near) if len(near) else math.nan,
    )


def share_within(error: Array, limit: float) -> float:
    """The errors' cumulative distribution at a limit."""
    return float(np.mean(error <= limit))


def distribution(error: Array, points: int = 200) -> tuple[Array, Array]:
    """Errors and the shares of users within them, for drawing."""
    share = np.linspace(0, 1, points)
    return np.quantile(error, share), share


def mean(error: Array) -> float:
    """Of the errors."""
    return float(error.mean())


def median(error: Array) -> float:
    """Of the errors."""
    return float(np.median(error))


def interval(
    seeds: Sequence[Array],
    statistic: Statistic = mean,
    draws: int = 1000,
    level: float = 0.95,
    squares: Sequence[NDArray[np.int64]] | None = None,
    signed: bool = False,
) -> tuple[float, float]:
    """Where a statistic lies when seeds are drawn again, and users within each.

    Neighbours err alike: where test users stand in a few squares, these are what is drawn, the
    same for all seeds. Few that are drawn again scatter less than others would that were not met,
    so that what the draws leave is widened as Student's t is beside the normal distribution.

    Args:
        seeds: the errors of each run.
        statistic: of the errors of one run; what is told is its mean over the runs.
        draws: how often.
        level: how often the interval should hold the value that no run knows.
        squares: of each error of each run, those of several stores `APART`; None: each user counts
            by itself. Of `MANY` stores or more it is whole stores that are drawn: what is said of
            them is said of others like them.
        signed: whether it is differences that may as well be negative: widened by as much on
            either side, errors in proportion, so that they stay above 0.

    Returns:
        NaN of a single square or user, which says nothing of others.
    """
    squares = None if squares is None else _units(squares)
    count = float(min(map(len, seeds))) if squares is None else _count(squares)
    if count <= 1:
        return math.nan, math.nan
    rng = np.random.default_rng(0)
    chosen = rng.integers(len(seeds), size=(draws, len(seeds)))
    if squares is not None and statistic is mean:
        drawn = _means_of_squares(seeds, squares, chosen, rng)
    else:
        again = _users(seeds, rng) if squares is None else _squares(seeds, squares, rng)
        drawn = np.array([np.mean([statistic(error) for error in again(c)]) for c in chosen])
    ends = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    middle = np.mean([statistic(error) for error in seeds])
    wider = _wider(count, level)
    if signed or not ends[0] > 0:
        low, high = middle + wider * (ends - middle)
    else:
        low, high = middle * (ends / middle) ** wider
    return float(low), float(high)


def _units(squares: Sequence[NDArray[np.int64]]) -> list[NDArray[np.int64]]:
    """What is drawn again: squares, or whole stores."""
    stores = [one // APART for one in squares]
    return stores if len(np.unique(np.concatenate(stores))) >= MANY else list(squares)


def _count(squares: Sequence[NDArray[np.int64]]) -> float:
    """Of squares, as if all held equally many: a large one among small ones is nearly alone."""
    _, size = np.unique(np.concatenate(squares), return_counts=True)
    return float(size.sum() ** 2 / np.sum(size.astype(float) ** 2))


def _wider(count: float, level: float) -> float:
    """By how much what a few drawn again leave is too narrow."""
    upper = (1 + level) / 2
    return float(t.ppf(upper, count - 1) / norm.ppf(upper) * math.sqrt(count / (count - 1)))


Again = Callable[[NDArray[np.int64]], list[Array]]
"""From seeds, drawn already, to errors that are drawn again of each."""


def _users(seeds: Sequence[Array], rng: np.random.Generator) -> Again:
    return lambda chosen: [rng.choice(seeds[seed], len(seeds[seed])) for seed in chosen]


def _squares(
    seeds: Sequence[Array], squares: Sequence[NDArray[np.int64]], rng: np.random.Generator
) -> Again:
    every = np.unique(np.concatenate(squares))
    inside = [
        [error[square == number] for number in every]
        for error, square in zip(seeds, squares, strict=True)
    ]

    def again(chosen: NDArray[np.int64]) -> list[Array]:
        numbers = rng.integers(len(every), size=len(every))
        drawn = [np.concatenate([inside[seed][n] for n in numbers]) for seed in chosen]
        return [error for error in drawn if len(error)] or list(seeds)

    return again


def _means_of_squares(
    seeds: Sequence[Array],
    squares: Sequence[NDArray[np.int64]],
    chosen: NDArray[np.int64],
    rng: np.random.Generator,
) -> Array:
    """The mean of each draw of `_squares`, from the sums of squares: all draws at once."""
    every = np.unique(np.concatenate(squares))
    place = [np.searchsorted(every, square) for square in squares]
    total = np.stack([np.bincount(p, e, len(every)) for p, e in zip(place, seeds, strict=True)])
    size = np.stack([np.bincount(p, minlength=len(every)) for p in place])
    numbers = rng.integers(len(every), size=(len(chosen), len(every)))
    drawn = chosen[:, :, None], numbers[:, None]
    sums, sizes = total[drawn].sum(-1), size[drawn].sum(-1)
    each = np.divide(sums, sizes, out=np.zeros_like(sums), where=sizes > 0)
    runs = (sizes > 0).sum(-1)
    plainly = np.mean([mean(error) for error in seeds])
    means: Array = np.where(runs > 0, each.sum(-1) / np.maximum(runs, 1), plainly)
    return means


def squared_length(error: Array, covariance: Array) -> Array:
    """e^T C^-1 e of each error (user, 2) under its covariance (user, 2, 2)."""
    white = np.linalg.solve(covariance, error[..., None])[..., 0]
    squared: Array = np.sum(error * white, axis=-1)
    return squared


def ellipse_radius(covariance: Array, share: float = HELD) -> Array:
    """Radius of the circle as large as the ellipse of a probability, of each (user, 2, 2) [m]."""
    radius: Array = np.sqrt(_quantile_of_two(share)) * np.linalg.det(covariance) ** 0.25
    return radius


def calibration(squared: Array, radius: Array, share: float = HELD) -> Calibration:
    """From `squared_length` and `ellipse_radius` of all users."""
    return Calibration(
        held=float(np.mean(squared <= _quantile_of_two(share))),
        nees=float(squared.mean() / 2),
        sharpness=float(np.median(radius)),
    )


def nearest(test: Array, labelled: Array) -> Array:
    """Distance of each test user (user, 2) from the nearest labelled one [m]."""
    distance: Array = KDTree(labelled).query(test)[0]
    return distance


def _quantile_of_two(share: float) -> float:
    """What a chi-squared number of two degrees of freedom stays below with a probability."""
    return -2 * math.log1p(-share)
