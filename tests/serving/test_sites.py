"""Stations from a short file: metres or degrees, radians or degrees, each said by its key."""

import json
import math

import pytest

from miniature import write_miniature
from radiofix.data.store import open_paths
from radiofix.serving.geodesy import Origin
from radiofix.serving.sites import read_site

YAML = """
origin: {latitude: 48.1, longitude: 11.5, heading_of_x: 90}
stations:
  - {name: roof, position: [1, 2, 10], orientation_degrees: [90, 0, 0], carrier_frequency: 3.5e9}
  - {latitude: 48.1, longitude: 11.501, height: 6, orientation: 1.5, carrier_frequency: 2.4e+9}
"""


def test_yaml_and_json_say_the_same(tmp_path):
    (tmp_path / "s.yaml").write_text(YAML)
    site = read_site(tmp_path / "s.yaml")
    roof, other = site.stations
    assert roof.name == "roof"
    assert roof.position.tolist() == [1, 2, 10]
    assert roof.orientation.tolist() == pytest.approx([math.pi / 2, 0, 0])
    assert roof.carrier_frequency == 3.5e9
    assert other.name == "1"
    assert other.orientation.tolist() == [1.5, 0, 0]
    # A thousandth of a degree of longitude at 48.1 degrees of latitude.
    along = 6378137 * math.cos(math.radians(48.1)) * math.radians(1e-3)
    assert other.position.tolist() == pytest.approx([along, 0, 6], rel=3e-3, abs=0.01)
    assert site.origin == Origin(48.1, 11.5)
    rows = [{"position": [1, 2, 10], "orientation_degrees": 90, "carrier_frequency": 3.5e9}]
    (tmp_path / "s.json").write_text(json.dumps(rows))
    (again,) = read_site(tmp_path / "s.json").stations
    assert again.orientation.tolist() == pytest.approx(roof.orientation.tolist())
    assert read_site(tmp_path / "s.json").origin is None


def test_a_store_names_its_stations_itself(tmp_path):
    path = write_miniature(tmp_path / "mini.zarr")
    assert [s.name for s in read_site(path).stations] == ["west", "east"]
    assert read_site(path).stations[1].position.tolist() == [60, 5, 6]
    assert read_site(path).stations[0].name == open_paths(path).stations[0].name


GOOD = "position: [0, 0, 5], orientation: 0, carrier_frequency: 1.0e+9"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stations: []", "names no station: list them under stations"),
        ("3", "the file must have the keys origin, stations, got 3"),
        ("stations: [5]", "station 0 must have the keys name"),
        ("[{" + GOOD + ", tilt: 3}]", "station 0 has 'tilt', which is none of name"),
        ("[{position: [0, 0, 1], orientation: 0}]", r"station 0 lacks carrier_frequency \[Hz\]"),
        ("[{position: [0, 0, 1], carrier_frequency: 1}]", "needs either orientation"),
        ("[{" + GOOD + ", orientation_degrees: 0}]", "needs either orientation"),
        ("[{orientation: 0, carrier_frequency: 1}]", r"station 0 lacks position \[m\]"),
        ("[{" + GOOD.replace("5]", "x]") + "}]", "station 0 position must be a number, got 'x'"),
        ("[{" + GOOD.replace(", 5]", "]") + "}]", "station 0 position must be three numbers"),
        ("[{" + GOOD.replace("1.0e+9", "-1") + "}]", "carrier_frequency must be positive, got -1"),
        ("[{" + GOOD + ", latitude: 3}]", "has position and latitude: leave one out"),
        (
            "[{latitude: 1, longitude: 1, height: 1, orientation: 0, carrier_frequency: 1}]",
            "give the origin of the frame too",
        ),
        ("origin: {latitude: 1}\nstations: [{" + GOOD + "}]", r"origin lacks longitude \[deg\]"),
        ("origin: {latitude: 99, longitude: 1}\nstations: [{" + GOOD + "}]", "latitude must lie"),
        ("stations: [", "cannot be read as stations, give a store, JSON or YAML"),
    ],
)
def test_mistakes_are_one_line_with_the_files_name(tmp_path, text, message):
    path = tmp_path / "s.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        read_site(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_told_of(tmp_path):
    with pytest.raises(ValueError, match="cannot be read as stations"):
        read_site(tmp_path / "none.yaml")
