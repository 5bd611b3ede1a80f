import json

import numpy as np
import pytest

from radiofix.scenes import catalogue
from radiofix.scenes.builtin import CITIES

SQUARE = [[11.0, 48.0], [11.001, 48.0], [11.001, 48.001], [11.0, 48.001], [11.0, 48.0]]


def test_every_scene_has_a_name_and_a_line():
    names = catalogue.names()
    assert set(names) == {"o1", *CITIES, "city", "osm"} == set(catalogue.BUILDERS)
    assert all(line and "\n" not in line for line in names.values())


def test_the_short_form_of_a_city_is_the_long_one():
    short = catalogue.scene("city:17", blocks=(2, 2))
    long = catalogue.scene("city", seed=17, blocks=(2, 2))
    assert (short.user_position == long.user_position).all()
    assert short.name == "city-17"


def test_the_short_form_of_a_file_keeps_colons_in_its_path(tmp_path):
    feature = {"type": "Feature", "properties": {"height": 9}, "geometry": {
        "type": "Polygon", "coordinates": [SQUARE]}}  # fmt: skip
    file = tmp_path / "a:b.geojson"
    file.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    scene = catalogue.scene(f"osm:{file}", station_count=2)
    assert len(scene.stations) == 2
    assert np.max(scene.meshes[1].vertices[:, 2]) == 9.0


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("munch", {}, "no scene 'munch': did you mean munich"),
        ("san_fransisco", {}, "did you mean san_francisco"),
        ("qqqq", {}, "no scene 'qqqq': there are o1, munich"),
        ("city", {}, "scene city: missing a required argument: 'seed'; it takes seed, blocks"),
        ("city:seven", {}, "city:seven needs a whole number as its seed, e.g. city:17"),
        ("city:-1", {}, "city:-1 needs a whole number"),
        ("city:3", {"seed": 4}, "seed is given twice"),
        ("munich:3", {}, "scene munich:3 has a part too many"),
        ("o1", {"colour": 1}, "unexpected keyword argument 'colour'; it takes frequency"),
        ("osm:nowhere.osm", {}, "nowhere.osm is no file"),
        (
            "o1",
            {"wall_distance": "abc"},
            r"scene o1: wall_distance must be a number, got 'abc' \(d",
        ),
        ("o1", {"heights_seed": -1}, "heights_seed must not be negative, got -1"),
        ("city:1", {"blocks": 3}, "scene city: blocks must be a list of whole numbers, got 3"),
        ("city:1", {"spacing": 1e-320}, "makes inf places: use a wider one"),
        ("munich", {"spacing": "abc"}, "scene munich: spacing must be a number, got 'abc'"),
        ("munich", {"name": "florence"}, "unexpected keyword argument 'name'; it takes spacing"),
        ("osm:a.osm", {"stations": [1, 2]}, "stations must be a list of lists of numbers, got"),
        (
            "osm:a.osm",
            {"stations": "far"},
            "stations must be a list of lists of numbers, got 'far'",
        ),
    ],
)
def test_what_cannot_be_built_is_refused_in_one_line(name, arguments, message):
    with pytest.raises(ValueError, match=message) as error:
        catalogue.scene(name, **arguments)
    assert "\n" not in str(error.value)
