import hashlib

import numpy as np
import pytest
import shapely

from radiofix.scenes.builtin import CITIES
from radiofix.scenes.city import city
from radiofix.scenes.outdoors import Cover, building_triangles, inside_buildings

SEEDS = range(50)


@pytest.fixture(scope="module")
def cities():
    return [city(seed, blocks=(2, 2), spacing=4.0) for seed in SEEDS]


def stations(scene) -> np.ndarray:
    return np.stack([station.position.numpy() for station in scene.stations.values()])


def digest(scene) -> str:
    content = hashlib.sha256()
    for mesh in scene.meshes:
        content.update(mesh.name.encode() + mesh.material.encode())
        content.update(mesh.vertices.tobytes() + mesh.faces.tobytes())
    for station in scene.stations.values():
        content.update(station.position.numpy().tobytes() + station.orientation.numpy().tobytes())
    content.update(scene.user_position.tobytes() + scene.user_row.tobytes())
    return content.hexdigest()


def test_every_seed_is_another_city_and_the_same_seed_the_same_to_the_byte(cities):
    digests = [digest(scene) for scene in cities]
    assert len(set(digests)) == len(SEEDS)
    again = [digest(city(seed, blocks=(2, 2), spacing=4.0)) for seed in SEEDS[:5]]
    assert again == digests[:5]


def test_no_user_and_no_station_is_inside_a_building_or_a_wall(cities):
    for scene in cities:
        cover = Cover(building_triangles(scene.meshes))
        assert not inside_buildings(scene.user_position, scene.meshes).any()
        assert not cover.within(stations(scene), 0.5).any()
        assert not cover.within(scene.user_position, 0.5).any()


def test_stations_hang_on_a_house_and_look_away_from_it_at_the_street(cities):
    for scene in cities:
        place = stations(scene)
        yaw = np.array([s.orientation[0].item() for s in scene.stations.values()])
        look = np.column_stack([np.cos(yaw), np.sin(yaw)])
        cover = Cover(building_triangles(scene.meshes))
        wall_top = cover.highest(place[:, :2] - 0.7 * look)
        assert np.isfinite(wall_top).all(), "no house behind the station"
        assert not np.isfinite(cover.highest(place[:, :2] + 4.0 * look)).any()
        above = place[:, 2] - wall_top
        assert ((above < -1.0) | ((above > 0.9) & (above < 3.1))).all()


def test_stations_look_into_the_city_and_not_out_of_it():
    inward = []
    for scene in (city(seed, spacing=6.0) for seed in range(6)):
        place = stations(scene)[:, :2]
        yaw = np.array([s.orientation[0].item() for s in scene.stations.values()])
        ahead = place + 30.0 * np.column_stack([np.cos(yaw), np.sin(yaw)])
        extent = shapely.MultiPoint(scene.user_position[:, :2]).convex_hull
        inward += shapely.contains_xy(extent, *ahead.T).tolist()
    assert np.mean(inward) > 0.8


def test_cities_have_4_to_8_stations_several_heights_and_users_at_1_5_to_2_m(cities):
    counts = {len(scene.stations) for scene in cities}
    assert counts == {4, 5, 6, 7, 8}
    heights = np.concatenate([stations(scene)[:, 2] for scene in cities])
    assert np.unique(np.round(heights)).size > 10
    user_heights = np.array([scene.user_position[0, 2] for scene in cities])
    assert user_heights.min() >= 1.5
    assert user_heights.max() <= 2.0
    assert np.ptp(user_heights) > 0.3
    assert {m.material for s in cities for m in s.meshes} == {
        "concrete", "brick", "glass", "marble", "wood", "metal"
    }  # fmt: skip
    assert "city" not in CITIES


def test_a_greater_city_has_its_blocks_around_the_origin_and_the_stations_asked_for():
    scene = city(3, blocks=(6, 5), stations=12, spacing=5.0)
    assert len(scene.stations) == 12
    extent = np.ptp(scene.user_position[:, :2], axis=0)
    assert (extent > 5 * 45).all()
    assert np.abs(scene.user_position[:, :2].mean(0)).max() < 0.1 * extent.max()
    blocks = {mesh.name.split("-house")[0] for mesh in scene.meshes if mesh.building}
    assert len(blocks) > 20


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seed": -1}, "seed must not be negative, got -1"),
        ({"seed": 1, "blocks": (0, 3)}, "blocks must be two numbers from 1 to 40"),
        ({"seed": 1, "stations": 0}, "stations must be at least 1, got 0"),
        ({"seed": 1, "stations": 5000}, "stations=5000 do not fit"),
        ({"seed": 1, "spacing": 0.0}, "spacing must be positive, got 0"),
    ],
)
def test_a_city_that_cannot_be_is_refused_in_one_line(arguments, message):
    with pytest.raises(ValueError, match=message):
        city(**arguments)
