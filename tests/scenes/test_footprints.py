import numpy as np
import pytest
from shapely.geometry import box

from radiofix.scenes.footprints import (
    Footprint,
    best_apart,
    corner_spots,
    facade_spots,
    free_of,
    open_depth,
)

HOUSE = Footprint("house", box(0, 0, 10, 6), 9.0)


def test_facade_spots_hang_before_the_middle_of_each_wall_and_look_away_from_it():
    for outline in (HOUSE.outline, HOUSE.outline.reverse()):
        spots = facade_spots([Footprint("house", outline, 9.0)], 0.5, longer=2.0)
        look = np.column_stack([np.cos(spots.azimuth), np.sin(spots.azimuth)])
        found = {tuple(row) for row in np.round([*np.hstack([spots.place, look])], 6) + 0.0}
        assert found == {(5, -0.5, 0, -1), (10.5, 3, 1, 0), (5, 6.5, 0, 1), (-0.5, 3, -1, 0)}
    assert len(facade_spots([HOUSE], 0.5, longer=7.0)) == 2


def test_corner_spots_look_along_the_bisector_at_outward_corners_only():
    notch = HOUSE.outline.difference(box(7, 3, 11, 7))
    spots = corner_spots([HOUSE, Footprint("notch", notch, 9.0)], np.sqrt(2))
    own = spots[spots.house == 0]
    found = {
        tuple(np.round([*p, np.degrees(a)], 6)) for p, a in zip(own.place, own.azimuth, strict=True)
    }
    assert found == {(-1, -1, -135), (11, -1, -45), (11, 7, 45), (-1, 7, 135)}
    assert (spots.house == 1).sum() == 5


def test_a_spot_in_the_neighbours_wall_is_not_free():
    neighbour = Footprint("neighbour", box(10, 0, 20, 6), 9.0)
    free = free_of(facade_spots([HOUSE, neighbour], 0.6, 2.0), [HOUSE, neighbour], 0.5)
    assert len(free) == 6
    assert not ((free.place[:, 0] > 9) & (free.place[:, 0] < 11)).any()


def test_open_depth_is_the_reach_on_open_land_and_the_streets_width_before_a_long_wall():
    spots = facade_spots([HOUSE], 0.5, longer=7.0)
    south = spots[spots.place[:, 1] < 0]
    assert open_depth(south, [HOUSE], reach=100.0, step=2.0) == pytest.approx(100.0)
    wall = Footprint("wall", box(-500, -60, 500, -20.5), 9.0)
    angle = np.linspace(-np.pi / 2, np.pi / 2, 17)[:-1] + np.pi / 32
    expected = np.minimum(100.0, 20.0 / np.cos(angle)).mean()
    depth = open_depth(south, [HOUSE, wall], reach=100.0, step=0.1)
    assert depth == pytest.approx(expected, abs=0.2)


def test_the_best_places_keep_apart_and_come_closer_only_where_they_must():
    place = np.array([[0.0, 0], [1, 0], [50, 0], [100, 0]])
    score = np.array([4.0, 3, 2, 1])
    assert best_apart(place, score, 3, apart=40.0).tolist() == [0, 2, 3]
    assert sorted(best_apart(place, score, 4, apart=40.0).tolist()) == [0, 1, 2, 3]
    assert sorted(best_apart(np.zeros((3, 2)), score[:3], 3, 40.0).tolist()) == [0, 1, 2]
