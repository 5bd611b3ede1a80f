"""Ellipses on a map: axes, heading, and polygons that hold what they say."""

import numpy as np
import pytest
import shapely

from radiofix.serving.ellipses import ellipses, scale_of

FACTOR = np.array([[3.0, 0.0], [1.5, 0.5]])
COVARIANCE = FACTOR @ FACTOR.T


@pytest.mark.parametrize("share", [0.39, 0.5, 0.9, 0.99])
def test_the_polygon_holds_the_stated_share_of_draws(share):
    ring = ellipses(COVARIANCE[None]).outline(np.array([[10.0, -4.0]]), share)[0]
    draws = np.random.default_rng(0).normal(size=(40_000, 2)) @ FACTOR.T + [10, -4]
    held = shapely.contains_xy(shapely.polygons(ring), *draws.T).mean()
    assert held == pytest.approx(share, abs=0.006)
    assert shapely.is_ccw(shapely.linearrings(ring))


def test_axes_are_the_roots_of_the_eigenvalues_and_point_along_the_eigenvector():
    found = ellipses(COVARIANCE[None])
    values, vectors = np.linalg.eigh(COVARIANCE)
    assert found.major[0] == pytest.approx(np.sqrt(values[1]))
    assert found.minor[0] == pytest.approx(np.sqrt(values[0]))
    toward = np.array([np.cos(found.angle[0]), np.sin(found.angle[0])])
    assert abs(toward @ vectors[:, 1]) == pytest.approx(1)


@pytest.mark.parametrize(
    ("covariance", "heading"),
    [
        ([[4, 0], [0, 1]], 90),  # long along the east
        ([[1, 0], [0, 4]], 0),  # along the north
        ([[2, 1], [1, 2]], 45),  # north-east
        ([[2, -1], [-1, 2]], 135),  # south-east
    ],
)
def test_headings_go_clockwise_from_north(covariance, heading):
    found = ellipses(np.array([covariance], dtype=float))
    assert found.heading()[0] == pytest.approx(heading, abs=1e-9)
    # With x toward the north, x's own direction is heading 0.
    assert found.heading(0.0)[0] == pytest.approx((heading - 90) % 180, abs=1e-9)


def test_a_thin_ellipse_keeps_its_short_axis():
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    found = ellipses((turn @ np.diag([1e6, 1e-4]) @ turn.T)[None])
    assert found.minor[0] == pytest.approx(0.01, rel=1e-3)


def test_one_standard_deviation_holds_39_percent_and_all_is_never_held():
    assert scale_of(1 - np.exp(-0.5)) == pytest.approx(1)
    with pytest.raises(ValueError, match="confidence must lie between 0 and 100 %, got 100"):
        scale_of(1.0)
