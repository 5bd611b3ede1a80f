"""A fix held against the map: a Gaussian cut by a straight wall has a known mean and deviation."""

import math

import numpy as np
import pytest
import torch

from models.sites import box_meshes
from radiofix.models.map_reading import read_meshes
from radiofix.serving.fixes import Fixes
from radiofix.serving.on_the_map import OnTheMap, standard_normal
from radiofix.types import Fix

HALL = (-1000.0, 0.0, 1000.0, 1500.0, 30.0)
"""As good as a half-plane: all north of y = 0 is inside."""


def on_the_map(*boxes):
    station = np.array([[0.0, -50.0, 6.0]])
    return OnTheMap(read_meshes("site", box_meshes(boxes), station, np.zeros((0, 3))))


def fix(position, covariance=None, trusted=None):
    position = torch.tensor(position, dtype=torch.float64)
    if covariance is None:
        covariance = torch.diag(torch.tensor([4.0, 9.0, 1.0], dtype=torch.float64))
    return Fix(
        position,
        torch.as_tensor(covariance, dtype=torch.float64).expand(len(position), 3, 3).clone(),
        torch.ones(len(position), dtype=torch.bool) if trusted is None else trusted,
    )


def truncated(edge):
    """Mean and variance of a standard normal below `edge`."""
    density = math.exp(-(edge**2) / 2) / math.sqrt(2 * math.pi)
    share = (1 + math.erf(edge / math.sqrt(2))) / 2
    ratio = density / share
    return -ratio, 1 - edge * ratio - ratio**2


def test_samples_have_the_mean_and_covariance_of_a_standard_normal_exactly():
    places = standard_normal(1024)
    np.testing.assert_allclose(places.mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(places.T @ places / 1024, np.eye(2), atol=1e-12)
    # A quarter is in each quadrant, and the radius is a Rayleigh's.
    assert abs(((places > 0).all(1)).mean() - 0.25) < 0.005
    assert np.median(np.hypot(*places.T)) == pytest.approx(math.sqrt(2 * math.log(2)), rel=0.01)


@pytest.mark.parametrize("edge", [-1.0, -0.3, 0.0, 0.5, 1.5])
def test_behind_a_straight_wall_mean_and_deviation_are_those_of_a_truncated_normal(edge):
    # The wall is at y = 0 and the mean `edge` deviations (of 3 m) south of it.
    checked = on_the_map(HALL)(fix([[5.0, -3 * edge, 1.5]]))
    mean, variance = truncated(edge)
    assert float(checked.position[0, 1]) == pytest.approx(3 * (mean - edge), abs=0.06)
    assert float(checked.position[0, 0]) == pytest.approx(5.0, abs=0.06)
    assert float(checked.covariance[0, 1, 1]) == pytest.approx(9 * variance, rel=0.06)
    assert float(checked.covariance[0, 0, 0]) == pytest.approx(4.0, rel=0.06)
    assert checked.position[0, 1] < 0
    assert bool(checked.trusted[0])


def test_heights_follow_the_place_as_far_as_they_hang_together():
    covariance = torch.tensor([[4.0, 0, 0], [0, 9, 1.8], [0, 1.8, 1]])
    checked = on_the_map(HALL)(fix([[0.0, 0.0, 1.5]], covariance))
    mean, variance = truncated(0.0)
    # z = 1.5 + 0.2 y + rest, the rest of variance 1 - 0.36.
    assert float(checked.position[0, 2]) == pytest.approx(1.5 + 0.2 * 3 * mean, abs=0.02)
    assert float(checked.covariance[0, 1, 2]) == pytest.approx(0.2 * 9 * variance, rel=0.04)
    assert float(checked.covariance[0, 2, 2]) == pytest.approx(0.64 + 0.36 * variance, rel=0.02)


def test_in_the_open_and_on_the_roof_nothing_changes():
    given = fix([[0.0, -40.0, 1.5], [0.0, 100.0, 31.0]])
    checked = on_the_map(HALL)(given)
    assert torch.equal(checked.position, given.position)
    assert torch.equal(checked.covariance, given.covariance)
    assert checked.trusted.all()


def test_a_fix_with_nothing_left_outdoors_stays_and_is_not_trusted():
    given = fix([[0.0, 60.0, 1.5], [0.0, -1.0, 1.5]])
    checked = on_the_map(HALL)(given)
    assert checked.trusted.tolist() == [False, True]
    assert torch.equal(checked.position[0], given.position[0])
    assert torch.equal(checked.covariance[0], given.covariance[0])


def test_who_was_not_trusted_is_not_trusted_now():
    given = fix([[0.0, -40.0, 1.5]], trusted=torch.tensor([False]))
    assert not on_the_map(HALL)(given).trusted.any()


def test_a_mean_between_two_streets_is_put_where_a_user_can_stand():
    house = (-3.0, -30.0, 3.0, 30.0, 20.0)
    wide = torch.diag(torch.tensor([36.0, 1.0, 1.0], dtype=torch.float64))
    checked = on_the_map(house)(fix([[0.0, 0.0, 1.5]], wide))
    assert abs(float(checked.position[0, 0])) >= 3.0
    assert abs(float(checked.position[0, 0])) < 3.6
    # Half of what is left is on the other side of the house: the covariance says so.
    share = math.erfc(0.5 / math.sqrt(2))
    density = math.exp(-0.125) / math.sqrt(2 * math.pi)
    second = 36 * (1 + 2 * 0.5 * density / share)
    place = float(checked.position[0, 0])
    assert float(checked.covariance[0, 0, 0]) == pytest.approx(second + place**2, rel=0.03)


def test_fixes_do_not_depend_on_each_other_and_unheard_users_stay_unknown():
    many = [[x, y, 1.5] for x in range(-100, 100, 10) for y in (-9.0, -3.0, 2.0, np.nan)] * 4
    check = on_the_map(HALL)
    whole = check(fix(many))
    one = check(fix(many[201:202]))
    torch.testing.assert_close(whole.position[201:202], one.position)
    assert torch.equal(whole.position.isnan().any(-1), fix(many).position.isnan().any(-1))


def test_a_block_of_fixes_is_held_against_the_map_alike():
    given = fix([[5.0, 1.0, 1.5], [5.0, np.nan, 1.5]])
    block = Fixes(
        "test",
        np.arange(2),
        np.zeros(2),
        np.zeros(2, dtype=np.int64),
        given.position.numpy(),
        given.covariance.numpy(),
        np.ones(2, dtype=bool),
        np.zeros((2, 1), dtype=np.int64),
        np.ones((2, 1)),
    )
    check = on_the_map(HALL)
    np.testing.assert_array_equal(check.block(block).position, check(given).position.numpy())
    assert block.position[0, 1] == 1.0
