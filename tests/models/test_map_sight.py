"""A map hides whom it should, or it is refused."""

import dataclasses
import warnings

import numpy as np
import pytest
import xarray

from models.sites import street
from radiofix.models.map_sight import expect_sight, hidden

STATION = np.array([0.0, 9.0, 6.0])


def ways(users):
    users = np.atleast_2d(np.asarray(users, dtype=float))
    return np.broadcast_to(STATION, users.shape), users


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ((20.0, 0.0, 1.5), False),  # down the street
        ((27.0, -14.0, 1.5), False),  # between the southern houses
        ((0.0, -40.0, 1.5), True),  # behind the southern house
        ((0.0, -40.0, 60.0), False),  # and high above it
        ((40.0, -10.0, 1.5), False),  # leaning on a front
        ((30.0, 40.0, 1.5), True),  # behind the northern house
    ],
)
def test_a_house_hides_what_is_behind_and_below_it(user, expected):
    assert hidden(street(), *ways(user)) == [expected]


def test_heights_along_the_way_are_those_of_the_straight_line():
    # The southern front is at y = -10, 16 m high: a way from 6 m up passes it just so.
    over = 16.0 - 0.5
    slope = (over - 6.0) / 19.0
    for more, expected in ((0.01, False), (-0.01, True)):
        user = (0.0, -100.0, 6.0 + slope * 109.0 + 109.0 / 19.0 * more)
        # The front decides, since the way climbs.
        assert hidden(street(), *ways(user)) == [expected]


def links(users, seen):
    """Variables of a store with one station that sees some of its users."""
    interactions = np.where(np.asarray(seen), 0, 1).astype(np.int8)[:, None, None]
    return xarray.Dataset(
        {
            "interactions": (("user", "station", "path"), interactions),
            "user_position": (("user", "axis"), users),
            "station_position": (("station", "axis"), STATION[None]),
        }
    )


@pytest.fixture(scope="module")
def town():
    rng = np.random.default_rng(0)
    users = np.column_stack([rng.uniform(-80, 80, 600), rng.uniform(-60, 60, 600)])
    users = np.column_stack([users, np.full(600, 1.5)])
    return links(users, ~hidden(street(), *ways(users)))


def changed(site_map, walls=lambda w: w, levels=lambda h: h):
    return dataclasses.replace(
        site_map, walls=walls(site_map.walls), levels=levels(site_map.levels)
    )


def test_the_right_map_is_taken_without_a_word(town):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        expect_sight("town", street(), town)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda m: changed(m, lambda w: w.flip(-1)),
        lambda m: changed(m, lambda w: w + 20.0),
        lambda m: changed(m, lambda w: w * 3.28, lambda h: h * 3.28),
    ],
    ids=["mirrored", "20 m off", "in feet"],
)
def test_a_wrong_map_is_refused_in_one_line(town, wrong):
    with pytest.raises(ValueError, match=r"town: houses of the map stand before \d+% of the users"):
        expect_sight("town", wrong(street()), town)


def test_a_map_a_little_off_is_told_of(town):
    with pytest.warns(UserWarning, match="some metres off"):
        expect_sight("town", changed(street(), lambda w: w + 2.0), town)


def test_a_few_links_say_nothing(town):
    few = town.isel(user=slice(0, 40))
    expect_sight("town", changed(street(), lambda w: w + 20.0), few)
