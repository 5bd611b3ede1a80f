"""A map says what stands where; a broken one is mended or refused with a sentence, never used."""

import dataclasses
import warnings

import numpy as np
import pytest
import shapely
import torch
from torch import nn

from miniature import write_miniature
from models.sites import STATIONS, STREET, USERS, box_meshes, street
from radiofix.data.store import open_paths
from radiofix.models.map_reading import outlines, read_map, read_meshes
from radiofix.models.site_map import CarriedMap, distance_to, forget_map, give_map, nearest_point
from radiofix.models.wrong_maps import cities, exchanged, inexact, shuffled, with_buildings_of


def changed(meshes, **fields):
    return dataclasses.replace(meshes, **fields)


def moved(meshes, by):
    return changed(meshes, vertices=meshes.vertices + np.array(by))


def test_the_map_of_a_store_holds_its_buildings_walls_and_stations(tmp_path):
    store = open_paths(write_miniature(tmp_path / "mini.zarr"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        site_map = read_map(store)
    assert site_map.buildings == 2
    assert len(site_map.vertices) == 16
    assert len(site_map.walls) == 8
    torch.testing.assert_close(
        site_map.stations, torch.tensor([[0.0, 0, 6], [60, 5, 6]], dtype=torch.float64)
    )
    shapes, levels = outlines(site_map)
    assert shapes[1].equals(shapely.box(25, -2, 35, 8))
    np.testing.assert_allclose(levels, [[0, 20], [0, 30]])


def test_a_building_lies_to_the_left_of_its_walls_and_a_courtyard_is_open():
    ring = shapely.box(0, 0, 40, 40).difference(shapely.box(10, 10, 30, 30))
    meshes = box_meshes()
    from radiofix.scenes.meshes import prism

    solid = prism("court", ring, 10.0, "concrete")
    court = changed(
        meshes,
        vertices=solid.vertices,
        faces=solid.faces,
        face_building=np.zeros(len(solid.faces), dtype=int),
    )
    site_map = read_meshes("court", court, np.array([[20.0, 20.0, 5.0]]), np.zeros((0, 3)))
    walls = site_map.walls.numpy()
    along = walls[:, 1] - walls[:, 0]
    left = np.column_stack([-along[:, 1], along[:, 0]]) / np.linalg.norm(along, axis=1)[:, None]
    middle = walls.mean(1)
    assert len(walls) == 8
    assert shapely.contains(ring, shapely.points(middle + left)).all()
    assert not shapely.intersects(ring, shapely.points(middle - left)).any()
    assert outlines(site_map)[0][0].equals(ring)


def test_what_surrounds_a_place_is_whole_buildings_by_their_distance():
    site_map = street()
    place = torch.tensor([0.0, 0.0, 6.0], dtype=torch.float64)
    # Distances of the four houses from the middle of the street.
    away = sorted([np.hypot(5, 10), np.hypot(5, 10), 10.0, np.hypot(30, 10)])
    for radius in (9.0, 10.5, 11.5, 40.0):
        near = site_map.around(place, radius)
        assert near.buildings == sum(d <= radius for d in away)
        assert len(near.vertices) == 8 * near.buildings
        assert len(near.walls) == 4 * near.buildings
    assert len(site_map.around(place, 9.5).stations) == 1


def test_the_nearest_point_of_a_wall_is_its_foot_or_its_nearer_end():
    walls = torch.tensor([[[-3.0, 4], [5, 4]], [[3, 4], [9, 4]], [[2, 2], [2, 2]]])
    torch.testing.assert_close(nearest_point(walls), torch.tensor([[0.0, 4], [3, 4], [2, 2]]))
    torch.testing.assert_close(distance_to(walls), torch.tensor([4.0, 5, 8**0.5]))


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (lambda m: changed(m, face_building=np.full_like(m.face_building, -1)), "no buildings"),
        (lambda m: changed(m, vertices=m.vertices * np.nan), "must be finite"),
        (lambda m: changed(m, faces=m.faces + 1000), "write the mesh again"),
        (lambda m: changed(m, vertices=m.vertices * [1, 1, 0]), "have no height"),
        (lambda m: changed(m, vertices=m.vertices * [9e-6, 9e-6, 1]), "these are degrees"),
        (lambda m: moved(changed(m, vertices=m.vertices * 1e-3), [50, 0, 0]), "in metres"),
        (lambda m: changed(m, vertices=m.vertices * 1e6), "map in metres"),
        (lambda m: moved(m, [5e5, 5e6, 0]), "in one frame"),
        (lambda m: moved(m, [0, 600, 0]), "no station has a building"),
        (lambda m: moved(m, [0, 0, 519]), "count heights from one level"),
        (lambda m: moved(m, [8, -4, 0]), "station 0 .* inside building"),
    ],
    ids=[
        "no buildings", "not finite", "faces", "flat", "degrees", "unit unclear", "unit unknown",
        "frame", "a little off", "sea level", "station in a wall",
    ],
)  # fmt: skip
def test_a_map_that_cannot_be_mended_is_refused_in_one_line(broken, said):
    with pytest.raises(ValueError, match=said) as refused:
        read_meshes("street", broken(box_meshes()), STATIONS, USERS)
    assert "\n" not in str(refused.value)
    assert str(refused.value).startswith("street: ")


def test_users_far_away_or_inside_buildings_tell_of_another_frame():
    away, north = USERS + np.array([9000.0, 0, 0]), USERS + np.array([0, 17.0, 0])
    with pytest.raises(ValueError, match="100% of the users stand over"):
        read_meshes("street", box_meshes(), STATIONS, away)
    with pytest.raises(ValueError, match="67% of the users would stand inside buildings"):
        read_meshes("street", box_meshes(), STATIONS, north)
    one = np.concatenate([USERS[:8], [[40.0, 20.0, 1.5]]])
    with pytest.warns(UserWarning, match=r"11.1% of the users stand inside"):
        assert read_meshes("street", box_meshes(), STATIONS, one).buildings == 4


def test_a_store_without_a_map_says_so(tmp_path):
    store = open_paths(write_miniature(tmp_path / "bare.zarr", with_map=False))
    with pytest.raises(ValueError, match="has no map"):
        read_map(store)


@pytest.mark.parametrize(("unit", "factor"), [("millimetres", 1e-3), ("kilometres", 1e3)])
def test_a_map_in_other_units_is_read_in_metres_where_the_stations_bear_it_out(unit, factor):
    meshes = box_meshes()
    with pytest.warns(UserWarning, match=f"map is in {unit}"):
        read = read_meshes(
            "street", changed(meshes, vertices=meshes.vertices / factor), STATIONS, USERS
        )
    torch.testing.assert_close(read.vertices, street().vertices)


def test_an_open_building_is_taken_as_its_outline_raised_and_that_is_said():
    meshes = box_meshes()
    floors = (meshes.vertices[meshes.faces][..., 2] == 0).all(1) & (meshes.face_building == 1)
    opened = changed(
        meshes, faces=meshes.faces[~floors], face_building=meshes.face_building[~floors]
    )
    with pytest.warns(UserWarning, match="1 of the map's 4 buildings are not closed"):
        read = read_meshes("street", opened, STATIONS, USERS)
    whole = street()
    torch.testing.assert_close(read.levels, whole.levels)
    for one in range(4):
        walls = [m.walls[m.wall_building == one].flatten(1).unique(dim=0) for m in (read, whole)]
        torch.testing.assert_close(*walls)
        torch.testing.assert_close(
            read.vertices[read.vertex_building == one].unique(dim=0),
            whole.vertices[whole.vertex_building == one].unique(dim=0),
        )


def test_houses_that_touch_or_repeat_a_corner_are_closed_all_the_same():
    touching = [(0.0, 12.0, 10.0, 20.0, 8.0), (10.0, 12.0, 20.0, 20.0, 8.0)]
    meshes = box_meshes(touching)
    apart = changed(
        meshes,
        vertices=meshes.vertices[meshes.faces].reshape(-1, 3),
        faces=np.arange(meshes.faces.size).reshape(-1, 3),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read = read_meshes("street", apart, STATIONS, USERS)
    assert (read.buildings, len(read.walls), len(read.vertices)) == (2, 8, 16)


def test_a_model_carries_its_map_with_its_weights_whatever_its_size():
    site_map, carrier = street(), nn.ModuleDict({"a": CarriedMap(), "b": nn.Linear(2, 2)})
    with pytest.raises(ValueError, match="give_map"):
        carrier["a"].take()
    assert give_map(carrier, site_map) == 1
    fresh = nn.ModuleDict({"a": CarriedMap(), "b": nn.Linear(2, 2)})
    fresh["a"].views["old"] = 1
    fresh.load_state_dict(carrier.state_dict())
    assert not fresh["a"].views
    for field in dataclasses.fields(site_map):
        taken = getattr(fresh["a"].take(), field.name)
        torch.testing.assert_close(taken, getattr(site_map, field.name))
    give_map(fresh, street(STREET[:2]))
    assert fresh["a"].take().buildings == 2
    assert give_map(nn.Linear(2, 2), site_map) == 0


def test_a_model_that_is_to_know_other_sites_forgets_its_own():
    carrier = nn.ModuleDict({"a": CarriedMap(), "b": nn.Linear(2, 2)})
    give_map(carrier, street())
    carrier["a"].views["old"] = 1
    assert forget_map(carrier) == 1
    assert carrier["a"].empty
    assert not carrier["a"].views
    assert all(not part.numel() for part in carrier["a"].buffers())
    give_map(carrier, street())
    assert carrier["a"].take().buildings == 4
    assert forget_map(nn.Linear(2, 2)) == 0


def two_cities():
    other = [(x0 + 5000, y0, x1 + 5000, y1, h + 30) for x0, y0, x1, y1, h in STREET[:3]]
    return street([*STREET, *other])


def test_cities_are_told_apart_by_the_gap_between_them():
    assert cities(two_cities()).tolist() == [0, 0, 0, 0, 1, 1, 1]


def test_shuffled_buildings_trade_places_within_their_city():
    site_map = two_cities()
    middle = site_map.middles
    wrong = shuffled(site_map, torch.Generator().manual_seed(1)).middles
    for rows in (slice(0, 4), slice(4, 7)):
        torch.testing.assert_close(
            wrong[rows].unique(dim=0), middle[rows].unique(dim=0), rtol=0, atol=1e-9
        )
    assert not torch.allclose(wrong, middle)
    torch.testing.assert_close(
        shuffled(site_map, torch.Generator().manual_seed(1)).levels.diff(dim=1),
        site_map.levels.diff(dim=1),
    )


def test_an_inexact_map_has_the_same_buildings_each_off_by_itself():
    exact = two_cities()
    off = inexact(exact, 0.5, torch.Generator().manual_seed(1))
    by = off.middles - exact.middles
    torch.testing.assert_close(by[:, 2], torch.zeros(len(by), dtype=by.dtype))
    assert len(by.unique(dim=0)) == exact.buildings
    sizes = [(m.walls[:, 1] - m.walls[:, 0]).norm(dim=-1) for m in (exact, off)]
    torch.testing.assert_close(*sizes)
    many = exact.only(torch.tensor([True] + [False] * 6))
    drawn = [
        (inexact(many, 0.5, torch.Generator().manual_seed(n)).middles - many.middles)[0, :2]
        for n in range(400)
    ]
    assert float(torch.stack(drawn).std()) == pytest.approx(0.5, rel=0.1)


def far_stations():
    """Two cities, their stations in places of their own."""
    there = np.array([[5000.0, 0.0, 9.0], [5030.0, -2.0, 5.0], [5080.0, 4.0, 7.0]])
    return dataclasses.replace(
        two_cities(), stations=torch.from_numpy(np.concatenate([STATIONS, there]))
    )


def test_exchanged_cities_lie_round_others_stations_as_round_their_own():
    site_map = far_stations()
    wrong = exchanged(site_map)
    torch.testing.assert_close(wrong.stations, site_map.stations)
    here, there = site_map.stations[:2].mean(0), site_map.stations[2:].mean(0)
    torch.testing.assert_close(wrong.middles[:4] - there, site_map.middles[:4] - here)
    torch.testing.assert_close(wrong.middles[4:] - here, site_map.middles[4:] - there)
    torch.testing.assert_close(wrong.levels.diff(dim=1), site_map.levels.diff(dim=1))
    with pytest.raises(ValueError, match="1 city"):
        exchanged(street())
    with pytest.raises(ValueError, match="1 cities of the map have no station"):
        exchanged(two_cities())


def test_another_sites_buildings_are_put_round_these_stations():
    far = far_stations()
    other = dataclasses.replace(far.only(torch.arange(7) >= 4), stations=far.stations[2:])
    wrong = with_buildings_of(street(), other)
    torch.testing.assert_close(wrong.stations, street().stations)
    torch.testing.assert_close(
        wrong.middles - street().stations.mean(0), other.middles - other.stations.mean(0)
    )
