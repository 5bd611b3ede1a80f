"""What `info` says of a store, against the same worked out link by link."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import zarr

from miniature import (
    CARRIER,
    STATIONS,
    USERS,
    path_arrays,
    user_position,
    write_measured,
    write_miniature,
)
from radiofix.data import summary
from radiofix.data.store import open_paths


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_miniature(tmp_path_factory.mktemp("summary") / "miniature.zarr")


def test_links_are_counted_by_what_they_see(path: Path) -> None:
    found = summary.summarise(open_paths(path))
    interactions = path_arrays()["interactions"]
    for station, links in enumerate(found["links_by_station"]):
        sees = (interactions[:, station] == 0).any(-1)
        has = (interactions[:, station] >= 0).any(-1)
        assert links["line_of_sight"] == sees.sum()
        assert links["without_line_of_sight"] == (has & ~sees).sum()
        assert links["without_paths"] == (~has).sum()
    every = found["links"]
    assert every["links"] == USERS * STATIONS
    names = ("line_of_sight", "without_line_of_sight", "without_paths")
    assert sum(every[name] for name in names) == every["links"]
    assert every["without_paths"] > 0
    assert every["without_line_of_sight"] > 0
    assert every["paths"]["mean"] == pytest.approx((interactions >= 0).sum(-1).mean())


def test_delay_spread_and_powers_are_those_of_each_link(path: Path) -> None:
    found = summary.summarise(open_paths(path))["links"]
    arrays = path_arrays()
    spread, narrow, wide = [], [], []
    for gain, delay in zip(
        arrays["gain"].reshape(-1, 4), arrays["delay"].reshape(-1, 4).astype(float), strict=True
    ):
        weight = np.abs(gain.astype(complex)) ** 2
        if weight.sum() == 0:
            continue
        mean = np.average(delay, weights=weight)
        spread.append(1e9 * np.sqrt(np.average((delay - mean) ** 2, weights=weight)))
        narrow.append(10 * np.log10(np.abs(gain.astype(complex).sum()) ** 2))
        wide.append(10 * np.log10(weight.sum()))
    for name, values in (
        ("delay_spread_ns", spread),
        ("power_narrowband_db", narrow),
        ("power_wideband_db", wide),
    ):
        assert found[name]["mean"] == pytest.approx(np.mean(values), rel=1e-4)
        for percentile in (10, 50, 90):
            expected = np.percentile(values, percentile)
            assert found[name][f"p{percentile}"] == pytest.approx(expected, rel=1e-4)


def test_blocks_of_users_change_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = summary.summarise(open_paths(path))
    monkeypatch.setattr(summary, "BLOCK_USERS", 7)
    assert summary.summarise(open_paths(path)) == whole


def test_splits_are_told_with_the_distance_from_test_to_train(path: Path) -> None:
    store = open_paths(path)
    found = summary.summarise(store)["splits"]
    assert set(found) == {"random", "region"}
    sizes = {part: found["random"][part] for part in ("unused", "train", "validation", "test")}
    assert sizes == {"unused": 0, "train": 30, "validation": 10, "test": 20}
    place = user_position()
    test, train = place[store.split("region", "test")], place[store.split("region", "train")]
    near = np.linalg.norm(test[:, None] - train, axis=-1).min(1)
    expected = {"mean": near.mean(), "p50": np.median(near), "p90": np.percentile(near, 90)}
    assert found["region"]["nearest_train_m"] == pytest.approx(expected)


def test_a_summary_is_json_and_says_where_the_store_came_from(path: Path) -> None:
    found = json.loads(json.dumps(summary.summarise(open_paths(path)), allow_nan=False))
    assert found["schema"] == 1
    assert found["scenario"] == "miniature"
    assert found["tracer"] == {"name": "images", "version": "1"}
    assert found["provenance"]["licence"] == "Apache-2.0"
    assert found["map"] == {"buildings": 2, "triangles": 26}
    assert found["bytes"] == sum(f.stat().st_size for f in path.rglob("*") if f.is_file())
    assert found["stations"][1] == {
        "name": "east",
        "position_m": [60.0, 5.0, 6.0],
        "yaw_rad": pytest.approx(np.pi),
        "carrier_hz": CARRIER,
    }
    assert found["sha256"] == open_paths(path).attributes["sha256"]


def test_the_table_shows_people_the_same_numbers(path: Path) -> None:
    found = summary.summarise(open_paths(path))
    text = summary.table(found)
    lines = {line.split()[0]: line.split() for line in text.splitlines() if line.split()}
    assert lines["random"][1:5] == ["0", "30", "10", "20"]
    assert f"{found['bytes'] / 1e6:.2f} MB" in text
    links = found["links"]
    counted = ["120", str(links["line_of_sight"]), str(links["without_line_of_sight"])]
    assert any(line.split()[:4] == ["all", *counted] for line in text.splitlines())
    assert max(map(len, text.splitlines())) <= 100


def test_users_without_a_position_are_told(tmp_path: Path) -> None:
    path = write_measured(tmp_path / "measured.zarr")
    whole = summary.summarise(open_paths(path))
    assert whole["users_without_position"] == 0
    assert "without a position" not in summary.table(whole)
    array = zarr.open_array(path / "user_position", mode="r+")
    array[[3, 5, 8]] = np.nan
    found = summary.summarise(open_paths(path))
    assert found["users_without_position"] == 3
    assert "60, 3 of them without a position" in summary.table(found)


def test_measured_csi_is_described_by_its_shape_power_and_band(tmp_path: Path) -> None:
    store = open_paths(write_measured(tmp_path / "measured.zarr"))
    found = json.loads(json.dumps(summary.summarise(store), allow_nan=False))
    assert found["csi"] == {"user": 60, "station": 2, "antenna": 8, "subcarrier": 16}
    assert found["spacing_hz"] == pytest.approx(20e6 / 16)
    assert found["frequency_hz"] == pytest.approx([CARRIER - 10e6, CARRIER + 8.75e6])
    power = (np.abs(store.dataset["csi"].values.astype(complex)) ** 2).mean((-2, -1))
    middle = np.median(10 * np.log10(power[power > 0]))
    assert found["power_db"]["p50"] == pytest.approx(middle, abs=1e-3)
    assert "8 antennas" in summary.table(found)
