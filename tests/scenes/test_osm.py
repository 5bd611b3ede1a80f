import json
import warnings

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from radiofix.scenes.geodata import metres, read_geojson, read_osm
from radiofix.scenes.osm import local, osm
from radiofix.scenes.outdoors import inside_buildings

LATITUDE, LONGITUDE = 48.2, 11.5


def degree_lengths(latitude: float) -> tuple[float, float]:
    """Metres a degree of longitude and of latitude, by the series in tables of WGS 84."""
    phi = np.radians(latitude)
    north = 111132.92 - 559.82 * np.cos(2 * phi) + 1.175 * np.cos(4 * phi)
    east = 111412.84 * np.cos(phi) - 93.5 * np.cos(3 * phi) + 0.118 * np.cos(5 * phi)
    return east, north


def degrees(x: float, y: float) -> tuple[float, float]:
    """Longitude and latitude of metres round the middle of the miniature."""
    east, north = degree_lengths(LATITUDE)
    return float(LONGITUDE + x / east), float(LATITUDE + y / north)


def ring(x: float, y: float, width: float, depth: float) -> list[tuple[float, float]]:
    corners = [(x, y), (x + width, y), (x + width, y + depth), (x, y + depth), (x, y)]
    return [degrees(*corner) for corner in corners]


class OsmFile:
    """Writes a miniature OSM file."""

    def __init__(self) -> None:
        self.nodes, self.others, self.count = [], [], 0

    def way(self, corners, tags=None, closed=True) -> int:
        refs = []
        for longitude, latitude in corners[:-1] if closed else corners:
            self.count += 1
            self.nodes.append(f'<node id="{self.count}" lat="{latitude!r}" lon="{longitude!r}"/>')
            refs.append(self.count)
        return self.way_of(refs + refs[:1] if closed else refs, tags)

    def way_of(self, refs, tags=None) -> int:
        self.count += 1
        self.others.append(
            f'<way id="{self.count}">' + "".join(f'<nd ref="{r}"/>' for r in refs)
            + tag_lines(tags) + "</way>"
        )  # fmt: skip
        return self.count

    def relation(self, members, tags) -> None:
        lines = "".join(f'<member type="way" ref="{r}" role="{role}"/>' for r, role in members)
        self.others.append(f'<relation id="7">{lines}{tag_lines(tags)}</relation>')

    def write(self, path):
        path.write_text("<osm version='0.6'>" + "".join(self.nodes + self.others) + "</osm>")
        return path


def tag_lines(tags) -> str:
    return "".join(f'<tag k="{k}" v="{v}"/>' for k, v in (tags or {}).items())


def plan_area(mesh) -> float:
    a, b, c = np.moveaxis(mesh.vertices[mesh.faces], 1, 0)
    return float(np.abs(np.cross(b - a, c - a)[:, 2]).sum() / 4)  # roof and floor


def houses(scene) -> dict:
    return {mesh.name: mesh for mesh in scene.meshes if mesh.building}


@pytest.fixture
def two(tmp_path):
    file = OsmFile()
    first = file.way(ring(-60, -20, 40, 30), {"building": "yes", "height": "40 ft"})
    second = file.way(ring(30, -10, 25, 20), {"building": "house", "building:levels": "4"})
    file.way(ring(200, 200, 20, 20), {"landuse": "grass"})
    return osm(file.write(tmp_path / "two.osm")), f"way/{first}", f"way/{second}"


def test_areas_sizes_and_distances_are_right_to_a_thousandth(two):
    scene, first, second = two
    meshes = houses(scene)
    assert set(meshes) == {first, second}
    assert plan_area(meshes[first]) == pytest.approx(1200.0, rel=1e-3)
    assert plan_area(meshes[second]) == pytest.approx(500.0, rel=1e-3)
    assert np.ptp(meshes[first].vertices[:, 0]) == pytest.approx(40.0, rel=1e-3)
    gap = meshes[second].vertices[:, 0].min() - meshes[first].vertices[:, 0].max()
    assert gap == pytest.approx(50.0, rel=1e-3)
    assert meshes[second].vertices[:, 1].min() > meshes[first].vertices[:, 1].min(), "north is up"


def test_heights_come_from_the_tags_and_the_origin_is_the_middle_of_the_buildings(two):
    scene, first, second = two
    assert houses(scene)[first].vertices[:, 2].max() == pytest.approx(12.192)
    assert houses(scene)[second].vertices[:, 2].max() == pytest.approx(12.0)
    assert scene.assumptions["default_height_used"] == 0
    longitude, latitude = degrees(-2.5, -5.0)
    assert scene.origin == pytest.approx((latitude, longitude, 0.0), abs=1e-9)
    assert scene.licence.startswith("ODbL")


def test_users_and_stations_are_outdoors_and_the_stations_look_away_from_their_house(two):
    scene, *_ = two
    assert not inside_buildings(scene.user_position, scene.meshes).any()
    outlines = shapely.union_all([
        shapely.MultiPoint(mesh.vertices[:, :2]).convex_hull for mesh in houses(scene).values()
    ])  # fmt: skip
    assert len(scene.stations) == 4
    for station in scene.stations.values():
        x, y, z = station.position.tolist()
        yaw = station.orientation[0].item()
        assert z == 6.0
        assert outlines.distance(shapely.Point(x, y)) == pytest.approx(0.8, abs=0.01)
        assert outlines.distance(shapely.Point(x + 3 * np.cos(yaw), y + 3 * np.sin(yaw))) > 3.5


def test_a_height_that_nobody_gave_is_the_stated_default_and_counted(tmp_path, caplog):
    file = OsmFile()
    file.way(ring(0, 0, 10, 10), {"building": "yes"})
    file.way(ring(30, 0, 10, 10), {"building": "yes", "height": "tall"})
    file.way(ring(60, 0, 10, 10), {"building": "yes", "height": "7"})
    scene = osm(file.write(tmp_path / "a.osm"), default_height=8.5)
    tops = sorted(mesh.vertices[:, 2].max() for mesh in houses(scene).values())
    assert tops == [7.0, 8.5, 8.5]
    assert scene.assumptions["default_height_m"] == 8.5
    assert scene.assumptions["default_height_used"] == 2


def test_a_multipolygon_has_its_hole_its_island_and_rings_of_several_ways(tmp_path):
    file = OsmFile()
    # The outer ring comes as two open ways that share their end nodes.
    file.way(ring(-20, -20, 40, 40))
    corners = [1, 2, 3, 4]
    east, west = file.way_of(corners[:3]), file.way_of([3, 4, 1])
    hole, island = file.way(ring(-10, -10, 20, 20)), file.way(ring(-5, -5, 10, 10))
    members = [(east, "outer"), (west, "outer"), (hole, "inner"), (island, "outer")]
    file.relation(members, {"type": "multipolygon", "building": "yes", "height": "9 m"})
    scene = osm(file.write(tmp_path / "m.osm"))
    areas = sorted(plan_area(mesh) for mesh in houses(scene).values())
    assert areas == pytest.approx([100.0, 1600.0 - 400.0], rel=1e-3)
    x, y = local(LATITUDE, LONGITUDE, scene.origin)
    points = [(x + dx, y, 1.5) for dx in (0, 7, 15, 25)]
    assert inside_buildings(points, scene.meshes).tolist() == [True, False, True, False]


def test_broken_buildings_are_skipped_counted_and_named(tmp_path, caplog):
    file = OsmFile()
    file.way(ring(0, 0, 10, 10), {"building": "yes", "height": "5"})
    bow = [degrees(*c) for c in [(30, 0), (40, 10), (40, 0), (30, 10), (30, 0)]]
    crossed = file.way(bow, {"building": "yes"})
    unclosed = file.way(ring(50, 0, 9, 9)[:-1], {"building": "yes"}, closed=False)
    torn = file.way_of([1, 2, 999, 1], {"building": "yes"})
    flat = file.way(ring(70, 0, 9, 9), {"building": "yes", "height": "5", "min_height": "6"})
    file.relation([(4711, "outer")], {"type": "multipolygon", "building": "yes"})
    scene = osm(file.write(tmp_path / "b.osm"))
    assert len(houses(scene)) == 1
    assert scene.assumptions["skipped"] == 5
    reasons = scene.assumptions["skipped_because"]
    assert "Self-intersection" in reasons[f"way/{crossed}"]
    assert reasons[f"way/{unclosed}"] == "not closed"
    assert reasons[f"way/{torn}"] == "some of its nodes are not in the file"
    assert reasons[f"way/{flat}"] == "starts at 6 m and ends at 5 m"
    assert "relation/7" in reasons
    assert "5 buildings skipped" in caplog.text


def geojson(path, features, **more):
    content = {"type": "FeatureCollection", "features": features, **more}
    path.write_text(json.dumps(content))
    return path


def feature(coordinates, kind="Polygon", **properties):
    return {
        "type": "Feature",
        "properties": properties,
        "geometry": {"type": kind, "coordinates": coordinates},
    }


def test_geojson_polygons_with_holes_and_many_parts_keep_their_areas(tmp_path):
    features = [
        feature([ring(-60, -20, 40, 30), ring(-50, -10, 10, 10)], height=14.5),
        feature(
            [[ring(0, 0, 10, 10)], [ring(30, 0, 10, 5)]], "MultiPolygon", **{"building:levels": 2}
        ),
        feature(degrees(0, 0), "Point"),
    ]
    scene = osm(geojson(tmp_path / "g.geojson", features))
    areas = sorted(plan_area(mesh) for mesh in houses(scene).values())
    assert areas == pytest.approx([50.0, 100.0, 1100.0], rel=1e-3)
    tops = sorted(mesh.vertices[:, 2].max() for mesh in houses(scene).values())
    assert tops == [6.0, 6.0, 14.5]
    assert scene.licence.startswith("unknown")


def test_where_geojson_says_what_is_a_building_the_rest_is_none(tmp_path):
    features = [
        feature([ring(0, 0, 10, 10)], building="yes"),
        feature([ring(20, 0, 10, 10)], building="no"),
        feature([ring(-500, -500, 1000, 1000)], landuse="residential"),
    ]
    assert len(houses(osm(geojson(tmp_path / "g.json", features)))) == 1


def test_given_stations_stay_where_they_are_and_may_not_be_inside(tmp_path):
    file = geojson(tmp_path / "g.json", [feature([ring(0, 0, 20, 20)], height=9)])
    scene = osm(file, stations=[(-15.0, 0.0, 5.0), (0.0, 0.0, 12.0, 1.25)])
    assert scene.stations[1].position.tolist() == [-15.0, 0.0, 5.0]
    assert scene.stations[1].orientation[0].item() == pytest.approx(0.0, abs=0.2), (
        "looks east, at users"
    )
    assert scene.stations[2].orientation[0].item() == 1.25
    with pytest.raises(ValueError, match=r"station 1 at \[0.0, 0.0, 5.0\] is inside a building"):
        osm(file, stations=[(0.0, 0.0, 5.0)])


def test_an_origin_of_ones_own_moves_the_frame_and_is_recorded(tmp_path):
    file = geojson(tmp_path / "g.json", [feature([ring(100, 50, 10, 10)], height=9)])
    scene = osm(file, origin=(LATITUDE, LONGITUDE))
    low = houses(scene)["feature/1"].vertices.min(0)
    assert low[:2] == pytest.approx([100.0, 50.0], rel=1e-3)
    assert scene.origin == (LATITUDE, LONGITUDE, 0.0)


@pytest.mark.parametrize("latitude", [0.0, 35.0, -60.0])
def test_a_kilometre_on_the_plane_is_one_on_the_ellipsoid(latitude):
    east, north = degree_lengths(latitude)
    place = local([latitude, latitude + 1000 / north], [10 + 1000 / east, 10.0], (latitude, 10.0))
    assert place[0, 0] == pytest.approx(1000.0, rel=1e-4)
    assert place[1, 1] == pytest.approx(1000.0, rel=1e-4)
    assert np.abs([place[0, 1], place[1, 0]]).max() < 0.2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12 m", 12.0), ("12", 12.0), (12.5, 12.5), ("12,5m", 12.5), ("40 ft", 12.192),
        ("40'", 12.192), ("40'6\"", 12.3444), ("3 metres", 3.0), ("0.5", 0.5),
        ("1,200", None), ("-3", None), ("12 km", None), ("tall", None), ("", None), (None, None),
        ("99999", None), ("nan", None), ("1e3", None), ("5;6", None), (True, None),
    ],
)  # fmt: skip
def test_lengths_are_read_as_people_write_them_and_never_guessed(text, expected):
    assert metres(text) == (None if expected is None else pytest.approx(expected))


@given(st.floats(0.01, 1000), st.sampled_from(["", "m", " m", " metres"]))
def test_any_length_in_metres_comes_back(value, unit):
    assert metres(f"{value:.3f}{unit}") == pytest.approx(value, abs=5.1e-4)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.osm", "<osm><node", "is no OSM XML"),
        ("a.osm", "<gpx/>", "begins with <gpx>, not <osm>"),
        ("a.osm", "<osm/>", "has no usable building footprint"),
        ("a.osm", '<osm><node id="3" lat="91" lon="0"/></osm>', "node 3 is at"),
        ("a.osm", '<osm><node id="3" lat="x"/></osm>', "node 3 has no position"),
        ("a.json", "{", "is no GeoJSON"),
        ("a.json", "[1]", "is no GeoJSON FeatureCollection"),
        ("a.json", '{"type": "FeatureCollection", "features": []}', "no usable building"),
        ("a.pbf", "x", r"neither .osm, .xml, .geojson nor .json"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_in_one_line(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=message) as error:
        osm(tmp_path / name)
    assert "\n" not in str(error.value)


def test_a_projected_geojson_is_refused_by_its_frame_or_its_numbers(tmp_path):
    metric = [[[0, 0], [10, 0], [10, 500_000], [0, 500_000], [0, 0]]]
    frame = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32632"}}
    with pytest.raises(ValueError, match=r"EPSG::32632.*reproject"):
        osm(geojson(tmp_path / "a.json", [feature(metric)], crs=frame))
    with pytest.raises(ValueError, match=r"feature/1 is at .* reproject"):
        osm(geojson(tmp_path / "b.json", [feature(metric)]))


numbers = st.none() | st.booleans() | st.floats() | st.integers(-200, 200) | st.text(max_size=3)
trees = st.recursive(numbers, lambda inner: st.lists(inner, max_size=5), max_leaves=20)


@given(trees, st.sampled_from(["Polygon", "MultiPolygon", "Point"]), numbers)
def test_whatever_geojson_holds_it_is_read_or_refused_never_a_crash(
    tmp_path_factory, tree, kind, height
):
    file = tmp_path_factory.getbasetemp() / "any.geojson"
    geojson(file, [feature(tree, kind, height=height), None, 3, feature([ring(0, 0, 9, 9)])])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            buildings, _ = read_geojson(file)
        except ValueError as error:
            message, buildings = str(error), []
        else:
            message = ""
    assert "\n" not in message
    assert all(b.outline.is_valid and not b.outline.is_empty for b in buildings)


def test_a_building_way_that_a_multipolygon_uses_is_built_once(tmp_path):
    file = OsmFile()
    outer = file.way(ring(0, 0, 20, 20), {"building": "yes"})
    inner = file.way(ring(5, 5, 10, 10))
    members = [(outer, "outer"), (inner, "inner")]
    file.relation(members, {"type": "multipolygon", "building": "yes"})
    buildings, refused = read_osm(file.write(tmp_path / "m.osm"))
    assert [b.name for b in buildings] == ["relation/7"]
    assert refused == []
