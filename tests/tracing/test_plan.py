"""A plan decides exactly which users are traced."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radiofix.scenes.o1 import o1
from radiofix.tracing.plan import UNIT_USERS, TracePlan, parse_ranges


@pytest.fixture(scope="module")
def scene():
    return o1()


def test_the_papers_users_are_the_first_2700_rows_of_ug1(scene):
    users = TracePlan("o1", users="1-2700").user_rows(scene)
    assert len(users) == 488_700
    np.testing.assert_allclose(scene.user_position[users[0]], [242.423, 297.171, 2.0])
    np.testing.assert_allclose(scene.user_position[users[181]], [242.423, 297.371, 2.0])


def test_the_carrier_is_the_plan_s_and_not_taken_for_the_scene_s():
    with pytest.raises(ValueError, match=r"frequency=28e9 is the trace's.*give it as --frequency"):
        TracePlan("o1", arguments={"frequency": "28e9"})


def test_all_takes_the_chosen_grids_whole(scene):
    assert len(TracePlan("o1", users="all").user_rows(scene)) == 497_931
    assert len(TracePlan("o1", users="all", groups=(1, 2, 3)).user_rows(scene)) == 1_184_923


def test_drawn_users_are_distinct_repeatable_and_of_their_grid(scene):
    plan = TracePlan("o1", users="500", groups=(2,), seed=3)
    users = plan.user_rows(scene)
    assert len(np.unique(users)) == 500
    assert set(scene.user_group[users]) == {2}
    np.testing.assert_array_equal(users, plan.user_rows(scene))
    other = TracePlan("o1", users="500", groups=(2,), seed=4).user_rows(scene)
    assert not np.array_equal(users, other)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"users": "0"}, "users must lie between 1 and 497931 here, got 0"),
        ({"users": "6000-6001"}, "o1 has no user row 6000: rows go from 1 to 5203"),
        ({"users": "9-3"}, "do not go upward"),
        ({"users": "some"}, "neither a number, 'all' nor rows"),
        ({"groups": (7,)}, "o1 has no users in groups=(7,): it has 1, 2, 3"),
    ],
)
def test_impossible_users_are_named(scene, change, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        TracePlan("o1", **change).user_rows(scene)


def test_an_unknown_station_is_named(scene):
    with pytest.raises(ValueError, match="o1 has no station 19: it has 1, 2, 3"):
        TracePlan("o1", stations=(3, 19)).station_numbers(scene)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bounces": -1}, "bounces must be at least 0, got -1"),
        ({"paths": 0}, "paths must be at least 1, got 0"),
        ({"frequency": 3.5}, "frequency must lie between"),
        ({"stations": (3, 3)}, "stations names one twice: 3,3"),
    ],
)
def test_impossible_values_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        TracePlan("o1", **change)


@given(
    st.builds(
        TracePlan,
        st.sampled_from(["o1", "city:3"]),
        st.dictionaries(st.text(min_size=1), st.integers() | st.text()),
        st.sampled_from(["all", "7", "1-3"]),
        st.lists(st.integers(1, 3), unique=True).map(tuple),
        st.none() | st.lists(st.integers(), min_size=1, unique=True).map(tuple),
        st.floats(1e8, 1e12),
    )
)
def test_a_plan_survives_its_own_text(plan):
    assert TracePlan.from_json(plan.to_json()) == plan


@given(st.sets(st.integers(0, 400), min_size=1))
def test_ranges_read_back_what_was_written(numbers):
    text = ",".join(f"{n}-{n}" if n % 2 else str(n) for n in sorted(numbers))
    np.testing.assert_array_equal(parse_ranges(text), sorted(numbers))


@given(st.integers(1, 5000))
@settings(max_examples=30)
def test_units_cover_every_user_once(users):
    slices = [rows for _, rows in TracePlan("o1").units(users)]
    covered = np.concatenate([np.arange(users)[rows] for rows in slices])
    np.testing.assert_array_equal(covered, np.arange(users))
    assert max(rows.stop - rows.start for rows in slices) <= UNIT_USERS
