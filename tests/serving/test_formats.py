"""What is written can be read: units in the names, rings as the RFC has them, doubt marked."""

import csv
import io
import json
import sys

import numpy as np
import pytest
import shapely

from radiofix.files import whole_file
from radiofix.serving.columns import LOCAL, Style
from radiofix.serving.fixes import NO_TRACK, Fixes
from radiofix.serving.formats import FORMATS, format_of
from radiofix.serving.geodesy import Origin

ORIGIN = Origin(48.1, 11.5, 520.0, 60.0)


def fixes(velocity=None):
    """Believed, not believed, and not heard at all."""
    covariance = np.zeros((3, 3, 3))
    covariance[:2] = [[4, 0, 0], [0, 1, 0], [0, 0, 0.25]]
    covariance[2] = np.nan
    return Fixes(
        source="a.npz",
        user=np.array([7, 8, 9]),
        time=np.array([0.5, np.nan, 2.0]),
        track=np.array([3, NO_TRACK, 3]),
        position=np.array([[100.0, 50, 1.5], [-20, 0, 1.5], [np.nan] * 3]),
        covariance=covariance,
        trusted=np.array([True, False, False]),
        station=np.array([[0, 1], [1, -1], [-1, -1]]),
        weight=np.array([[1.0, 0.2], [1.0, 0.0], [0.0, 0.0]]),
        velocity=velocity,
    )


def written(form, style, *blocks):
    stream = io.BytesIO()
    with FORMATS[form](stream, style) as writer:
        for block in blocks:
            writer.write(block)
    return stream.getvalue()


def test_csv_names_every_unit_and_leaves_what_is_not_known_empty():
    block = fixes()
    rows = list(csv.DictReader(io.StringIO(written("csv", Style(), block[:1], block[1:]).decode())))
    assert [row["user"] for row in rows] == ["7", "8", "9"]
    assert [row["trusted"] for row in rows] == ["true", "false", "false"]
    first, second, third = rows
    assert (first["x_m"], first["y_m"], first["z_m"]) == ("100.0", "50.0", "1.5")
    assert (first["sigma_major_m"], first["sigma_minor_m"], first["sigma_z_m"]) == (
        "2.0",
        "1.0",
        "0.5",
    )
    assert first["major_axis_deg_from_north"] == "90.0"
    assert (first["stations"], first["stations_used"]) == ("2", "1")
    assert (second["time_s"], second["track"]) == ("", "")
    assert third["x_m"] == third["sigma_major_m"] == ""
    assert "latitude_deg" not in first
    without_unit = {"source", "user", "track", "stations", "stations_used", "trusted"}
    units = ("_m", "_m2", "_s", "_deg_from_north")
    assert all(name in without_unit or name.endswith(units) for name in first)


def test_with_an_origin_csv_has_degrees_too_and_headings_turn_with_the_frame():
    (first, *_) = csv.DictReader(io.StringIO(written("csv", Style(ORIGIN), fixes()).decode()))
    place = ORIGIN.geographic([100, 50, 1.5])
    assert float(first["latitude_deg"]) == pytest.approx(place[0], abs=1e-9)
    assert float(first["longitude_deg"]) == pytest.approx(place[1], abs=1e-9)
    assert float(first["height_m"]) == pytest.approx(place[2], abs=1e-4)
    assert first["major_axis_deg_from_north"] == "60.0"


def test_velocities_of_tracked_users_have_columns():
    block = fixes(velocity=np.array([[1.5, -2.0], [0, 0], [np.nan, np.nan]]))
    rows = list(csv.DictReader(io.StringIO(written("csv", Style(tracked=True), block).decode())))
    assert (rows[0]["velocity_x_m_per_s"], rows[0]["velocity_y_m_per_s"]) == ("1.5", "-2.0")
    assert rows[2]["velocity_x_m_per_s"] == ""


@pytest.mark.parametrize("style", [Style(ORIGIN, 0.5), Style(None, 0.9)])
def test_geojson_is_as_rfc_7946_has_it(style):
    content = json.loads(written("geojson", style, fixes()[:2], fixes()[2:]))
    assert content["type"] == "FeatureCollection"
    assert "crs" not in content  # removed by the RFC
    assert content["frame"] == ("WGS 84" if style.origin else LOCAL)
    points = [f for f in content["features"] if (f["geometry"] or {}).get("type") != "Polygon"]
    polygons = [f for f in content["features"] if (f["geometry"] or {}).get("type") == "Polygon"]
    assert len(points) == 3
    assert len(polygons) == 2
    assert points[2]["geometry"] is None
    assert [p["properties"]["trusted"] for p in points] == [True, False, False]
    assert [p["properties"]["trusted"] for p in polygons] == [True, False]
    for point, polygon in zip(points, polygons, strict=False):
        assert polygon["properties"]["user"] == point["properties"]["user"]
        assert polygon["properties"]["confidence"] == 100 * style.share
        (ring,) = polygon["geometry"]["coordinates"]
        assert len(ring) >= 4
        assert ring[0] == ring[-1]
        assert shapely.linearrings(ring).is_ccw  # the right-hand rule
        assert shapely.polygons(ring).contains(shapely.points(point["geometry"]["coordinates"][:2]))
    if style.origin:
        longitude, latitude, height = points[0]["geometry"]["coordinates"]
        expected = style.origin.geographic([100, 50, 1.5])
        assert [latitude, longitude, height] == pytest.approx(expected.tolist(), abs=1e-4)
        assert latitude == pytest.approx(48.1, abs=0.01)


def test_json_speaks_of_an_ellipse_as_lpp_does():
    content = json.loads(written("json", Style(ORIGIN, 0.9), fixes()))
    assert content["units"]["uncertaintySemiMajor"] == "m"
    first, second, third = content["fixes"]
    point = first["ellipsoidPointWithUncertaintyEllipse"]
    # A normal distribution in the plane has 90 % within sqrt(-2 ln 0.1) = 2.1460 deviations.
    assert point["uncertaintySemiMajor"] == pytest.approx(2 * 2.1460, abs=1e-3)
    assert point["uncertaintySemiMinor"] == pytest.approx(2.1460, abs=1e-3)
    assert point["orientationMajorAxis"] == 60
    assert point["confidence"] == 90
    assert point["degreesLatitude"] == pytest.approx(ORIGIN.geographic([100, 50, 1.5])[0])
    assert (first["trusted"], second["trusted"]) == (True, False)
    assert third["ellipsoidPointWithUncertaintyEllipse"] is None
    local = json.loads(written("json", Style(), fixes()))
    assert local["frame"] == LOCAL
    assert local["fixes"][0]["local2dPointWithUncertaintyEllipse"]["xValue"] == 100


def test_no_fix_at_all_is_still_json():
    assert json.loads(written("geojson", Style()))["features"] == []
    assert json.loads(written("json", Style()))["fixes"] == []


def test_parquet_keeps_types_and_says_its_frame():
    parquet = pytest.importorskip("pyarrow.parquet")
    block = fixes()
    table = parquet.read_table(io.BytesIO(written("parquet", Style(), block[:1], block[1:])))
    assert table["trusted"].to_pylist() == [True, False, False]
    assert table["x_m"].to_pylist() == [100.0, -20.0, None]
    assert table["track"].to_pylist() == [3, None, 3]
    assert table.schema.metadata[b"frame"].decode() == LOCAL


def test_without_pyarrow_parquet_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ValueError, match=r"needs pyarrow: pip install 'radiofix\[parquet\]'"):
        written("parquet", Style(), fixes())


def test_suffixes_name_formats_and_confidence_is_a_share():
    assert format_of(".GeoJSON") == "geojson"
    with pytest.raises(ValueError, match=r"suffix '.shp' is none of .csv, .geojson"):
        format_of(".shp")
    with pytest.raises(ValueError, match="confidence must lie between 0 and 100 %, got 120"):
        Style(share=1.2)


def test_a_file_is_there_whole_or_not_at_all(tmp_path):
    path = tmp_path / "fixes.csv"
    path.write_text("old")

    def cut_off():
        with whole_file(path) as file:
            file.write(b"half")
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        cut_off()
    assert path.read_text() == "old"
    with whole_file(path) as file:
        file.write(b"new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]
