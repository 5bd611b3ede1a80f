"""Every kind of damage is found, and called by its name."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from miniature import TOWER, USERS, user_position, write_measured, write_miniature
from radiofix.data import schema
from radiofix.data.check import Report, check
from radiofix.data.headers import ATTRIBUTE
from radiofix.data.splits import put_splits
from radiofix.data.store import CHUNK_USERS, Map, StoreWriter
from radiofix.types import SPEED_OF_LIGHT


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_miniature(tmp_path_factory.mktemp("check") / "intact.zarr")


@pytest.fixture
def store(intact: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(intact, tmp_path / "store.zarr"))


def _failed(report: Report) -> dict[str, str]:
    assert all("\n" not in finding.detail for finding in report.findings)
    return {finding.name: finding.detail for finding in report.findings if not finding.ok}


def _inside(points: np.ndarray, scene: Map) -> np.ndarray:
    """Inside the bounding box of any building of the map, which is what the miniature has."""
    within = np.zeros(len(points), dtype=bool)
    for number in np.unique(scene.face_building[scene.face_building >= 0]):
        corners = scene.vertices[scene.faces[scene.face_building == number]].reshape(-1, 3)
        within |= ((points > corners.min(0)) & (points < corners.max(0))).all(1)
    return within


def _change(store: Path, name: str, how: Callable[[np.ndarray], Any]) -> None:
    """Writes other values with valid chunk checksums: what a wrong tracer would have written."""
    array = zarr.open_array(store / name, mode="r+")
    values = np.asarray(array[...])
    how(values)
    array[...] = values


def _header(store: Path, change: Callable[[dict[str, Any]], Any], name: str = "") -> None:
    file = store / name / "zarr.json"
    header = json.loads(file.read_text())
    change(header)
    file.write_text(json.dumps(header))


def test_an_intact_store_is_clean(intact: Path) -> None:
    report = check(intact, _inside)
    assert report.ok
    assert not _failed(report)
    looked_at = {finding.name for finding in report.findings}
    assert {"chunks", "checksums", "paths", "order", "users outdoors"} <= looked_at
    (sight,) = [f for f in report.findings if f.name == "line-of-sight delay"]
    # float32 delays of 60 m are good to some micrometres.
    assert float(sight.detail.split(" by ")[1].split()[0]) < 1e-4


def test_an_intact_measured_store_is_clean_and_its_nan_is_found(tmp_path: Path) -> None:
    path = write_measured(tmp_path / "measured.zarr")
    assert check(path).ok
    _change(path, "csi", lambda v: v.__setitem__((5, 1, 2, 3), np.nan))
    assert "csi has 1 (first at [5, 1, 2, 3])" in _failed(check(path))["finite"]


@pytest.mark.parametrize("variable", ["gain", "delay", "split_random", "map/faces"])
def test_a_truncated_chunk_is_found_and_named(store: Path, variable: str) -> None:
    (chunk,) = [f for f in (store / variable / "c").rglob("*") if f.is_file()]
    chunk.write_bytes(chunk.read_bytes()[:-5])
    key = chunk.relative_to(store / variable)
    assert f"{variable} chunk {key} cannot be decoded" in _failed(check(store))["chunks"]


@pytest.mark.parametrize("where", [0, 20, 0.5, -1])
def test_a_single_flipped_byte_is_found_wherever_it_is(store: Path, where: float) -> None:
    chunk = store / "delay/c/0/0/0"
    content = bytearray(chunk.read_bytes())
    content[int(where * len(content)) if isinstance(where, float) else where] ^= 0x10
    chunk.write_bytes(content)
    found = _failed(check(store))
    assert "delay chunk c/0/0/0 cannot be decoded" in found["chunks"]
    # What hangs on the damaged numbers is not called sound.
    assert "delay damaged" in found["line-of-sight delay"]


def test_an_empty_chunk_file_is_found(store: Path) -> None:
    (store / "interactions/c/0/0/0").write_bytes(b"")
    assert "interactions chunk c/0/0/0" in _failed(check(store))["chunks"]


def test_a_missing_chunk_is_found_though_zarr_would_read_zeros(store: Path) -> None:
    (store / "gain/c/0/0/0").unlink()
    assert (np.asarray(zarr.open_array(store / "gain", mode="r")[...]) == 0).all()
    assert _failed(check(store))["chunks"] == "gain chunk c/0/0/0 is missing"


def test_one_value_changed_with_valid_chunk_checksums_differs_from_the_sha256(store: Path) -> None:
    _change(store, "user_azimuth", lambda v: v.__setitem__((3, 0, 0), 0.25))
    assert _failed(check(store)) == {"checksums": "user_azimuth differs from its sha256"}


def test_the_second_chunk_of_users_is_looked_at_too(tmp_path: Path) -> None:
    users, path = CHUNK_USERS + 10, tmp_path / "long.zarr"
    station = np.zeros((1, 3))
    position = np.random.default_rng(0).uniform(1, 100, (users, 3))
    distance = np.linalg.norm(position, axis=-1)[:, None, None]
    values = {"gain": 1 / distance, "delay": distance / SPEED_OF_LIGHT}
    with StoreWriter(path, {}, users, 1) as writer:
        for name, variable in schema.PATH_VARIABLES.items():
            array = values.get(name, np.zeros_like(distance)).astype(variable.dtype)
            writer.create(name, variable, {"path": 1})
            # Blocks that do not fall on the chunks: the checksum is of the rows, not of the blocks.
            for block in np.split(array, [1000, CHUNK_USERS + 3]):
                writer.append(name, block)
        for name, values_ in (
            ("user_position", position),
            ("station_position", station),
            ("station_orientation", station),
            ("carrier_frequency", np.array([3.5e9])),
        ):
            writer.put(name, schema.SCENE_VARIABLES[name], values_)
    assert check(path).ok
    _change(path, "delay", lambda v: v.__setitem__((CHUNK_USERS + 5, 0, 0), -1e-9))
    assert f"delay has 1 (first at [{CHUNK_USERS + 5}, 0, 0])" in _failed(check(path))["delay"]
    (path / "delay/c/1/0/0").unlink()
    assert "delay chunk c/1/0/0 is missing" in _failed(check(path))["chunks"]


@pytest.mark.parametrize(
    ("variable", "change", "finding", "words"),
    [
        ("gain", lambda v: v.__setitem__((6, 1, 0), np.nan), "finite", "gain has 1"),
        ("user_position", lambda v: v.__setitem__((6, 1), np.inf), "finite", "user_position has 1"),
        ("delay", lambda v: v.__setitem__((6, 0, 0), -1e-7), "delay", "delay has 1"),
        ("delay", lambda v: v.__setitem__((6, 0, 0), 0), "paths", "0 where there is a path"),
        ("delay", lambda v: v.__setitem__((6, 0, 3), 1e-7), "paths", "not 0 where"),
        ("gain", lambda v: v.__setitem__((6, 0, 0), 0), "paths", "0 where there is a path"),
        ("gain", lambda v: v.__setitem__((6, 0, 3), 1e-9), "paths", "not 0 where"),
        ("gain", lambda v: v.__setitem__((6, 0), v[6, 0, [1, 0, 2, 3]]), "order", "[6, 0, 0]"),
        ("interactions", lambda v: v.__setitem__((6, 0, 1), 0), "line of sight", "more than one"),
        ("interactions", lambda v: v.__setitem__((6, 0, 1), -2), "paths", "below -1"),
        ("user_zenith", lambda v: v.__setitem__((6, 0, 0), 3.2), "angles", "user_zenith has 1"),
        ("station_azimuth", lambda v: v.__setitem__((6, 0, 0), -3.2), "angles", "station_azimuth"),
        ("split_random", lambda v: v.__setitem__(9, 7), "splits", "split_random has 1"),
        ("carrier_frequency", lambda v: v.__setitem__(1, 0), "carriers", "carrier_frequency has 1"),
    ],
)
def test_a_wrong_number_is_found_and_named(
    store: Path, variable: str, change: Callable[..., Any], finding: str, words: str
) -> None:
    # User 6 has line of sight and the ground bounce to station 0: columns 2 and 3 are empty.
    _change(store, variable, change)
    found = _failed(check(store))
    assert words in found[finding]
    assert variable in found["checksums"]


def test_a_user_in_a_building_is_found(store: Path) -> None:
    middle = [(TOWER[0] + TOWER[2]) / 2, (TOWER[1] + TOWER[3]) / 2, 1.5]
    _change(store, "user_position", lambda v: v.__setitem__(11, middle))
    assert "1 (first at [11]) in a building" in _failed(check(store, _inside))["users outdoors"]


def test_a_line_of_sight_that_is_late_by_more_than_half_a_metre_is_found(store: Path) -> None:
    first = np.asarray(zarr.open_array(store / "interactions", mode="r")[0, 0]).tolist().index(0)
    for metres, sound in ((0.4, True), (0.3, False)):
        _change(
            store,
            "delay",
            lambda v, metres=metres: v.__setitem__((0, 0, first), v[0, 0, first] + metres / 3e8),
        )
        assert ("line-of-sight delay" not in _failed(check(store))) == sound
    assert "0.7 m at most" in _failed(check(store))["line-of-sight delay"]


@pytest.mark.parametrize(
    ("name", "old", "new", "words"),
    [
        ("", '"seed": 0', '"seed": 1', "the store's attributes differ"),
        ("", '"west"', '"vest"', "the store's attributes differ"),
        ("", '"licence"', '"lizence"', "the store's attributes differ"),
        ("", f'"{ATTRIBUTE}"', '"attributes_shb256"', f"should be called {ATTRIBUTE}"),
        ("gain", '"units": "1"', '"units": "2"', "those of gain differ"),
        ("delay", '"units": "s"', '"units": "m"', "those of delay differ"),
        ("split_random", '"units"', '"unitz"', "those of split_random differ"),
        ("gain", "carrier phase included", "carrier phase excluded", "those of gain differ"),
        ("user_zenith", '"fill_value": 0.0', '"fill_value": 4.0', "those of user_zenith differ"),
        ("map", '"wet_ground"', '"wet_grovnd"', "those of map differ"),
        ("map/faces", '"units": "1"', '"units": "m"', "those of map/faces differ"),
    ],
)
def test_a_flip_that_leaves_a_header_readable_is_found(
    store: Path, name: str, old: str, new: str, words: str
) -> None:
    file = store / name / "zarr.json"
    text = file.read_text()
    assert text.count(old) == 1
    file.write_text(text.replace(old, new))
    assert words in _failed(check(store))["attributes"]


def test_a_checksum_of_headers_that_is_flipped_itself_is_found(store: Path) -> None:
    def flip(header: dict[str, Any]) -> None:
        sums = header["attributes"][ATTRIBUTE]
        sums["gain"] = sums["gain"][:-1] + ("0" if sums["gain"][-1] != "0" else "1")

    _header(store, flip)
    assert "those of gain differ" in _failed(check(store))["attributes"]
    _header(store, lambda h: h["attributes"].__setitem__(ATTRIBUTE, "gone"))
    assert "no table" in _failed(check(store))["attributes"]


def test_a_store_from_before_the_headers_had_checksums_is_sound_and_says_so(store: Path) -> None:
    _header(store, lambda h: h["attributes"].pop(ATTRIBUTE))
    report = check(store)
    assert report.ok
    (found,) = [f for f in report.findings if f.name == "attributes"]
    assert "of an older radiofix" in found.detail


def test_how_a_header_is_written_down_and_what_others_add_is_no_damage(store: Path) -> None:
    for file in store.rglob("zarr.json"):
        content = json.loads(file.read_text())
        file.write_text(json.dumps(dict(reversed(content.items())), indent=4))
    notes = zarr.open_group(store, mode="r+").create_array(
        "notes", shape=(3,), dtype="f4", dimension_names=["note"]
    )
    notes[...] = 1
    assert not _failed(check(store))


def test_splits_put_into_a_store_are_in_its_checksums(tmp_path: Path) -> None:
    path = tmp_path / "split.zarr"
    position = user_position()
    zeros = np.zeros((1, 3))
    with StoreWriter(path, {}, USERS, 1) as writer:
        for name, variable in schema.PATH_VARIABLES.items():
            nothing = -1 if name == "interactions" else 0
            writer.put(name, variable, np.full((USERS, 1, 1), nothing))
        scene = (position, zeros, zeros, np.array([3.5e9]))
        for (name, variable), values in zip(schema.SCENE_VARIABLES.items(), scene, strict=True):
            writer.put(name, variable, values)
        put_splits(writer, position, (30, 10, 20))
    assert check(path).ok
    _header(path, lambda h: h["attributes"].pop("flag_meanings"), "split_region")
    assert "those of split_region" in _failed(check(path))["attributes"]


def test_users_without_a_position_are_counted_in_measured_stores_only(
    store: Path, tmp_path: Path
) -> None:
    _change(store, "user_position", lambda v: v.__setitem__(4, np.nan))
    assert "user_position has 3 (first at [4, 0])" in _failed(check(store))["finite"]
    path = write_measured(tmp_path / "measured.zarr")
    _change(path, "user_position", lambda v: v.__setitem__([4, 9], np.nan))
    assert set(_failed(check(path))) == {"checksums"}
    (told,) = [f for f in check(path).findings if f.name == "positions"]
    assert told.detail == "2 of 60 users have none"
    # A part of a position is damage.
    _change(path, "user_position", lambda v: v.__setitem__((7, 2), np.nan))
    assert "user_position has 1 (first at [7, 2])" in _failed(check(path))["finite"]


def test_a_user_without_a_position_in_a_split_is_found(tmp_path: Path) -> None:
    path = write_measured(tmp_path / "measured.zarr")
    split = zarr.open_group(path, mode="r+").create_array(
        "split_mine", shape=(USERS,), dtype="int8", dimension_names=["user"]
    )
    split[...] = np.arange(USERS) == 4
    _change(path, "user_position", lambda v: v.__setitem__([4, 9], np.nan))
    assert "split_mine has 1 (first at [4]) in use" in _failed(check(path))["positions"]


def test_a_version_that_is_not_known_is_named(store: Path) -> None:
    _header(store, lambda h: h["attributes"].__setitem__("radiofix_schema", 99))
    assert "99 is unknown" in _failed(check(store))["schema version"]


def test_a_dropped_variable_is_named(store: Path) -> None:
    shutil.rmtree(store / "user_zenith")
    found = _failed(check(store))
    assert "user_zenith is missing" in found["variables"]
    assert "lacks user_zenith" in found["opens"]


def test_a_dropped_optional_variable_is_known_by_its_checksum(store: Path) -> None:
    shutil.rmtree(store / "split_region")
    assert _failed(check(store)) == {"checksums": "split_region has a sha256 but is missing"}


def test_a_variable_whose_header_is_gone_is_named(store: Path) -> None:
    (store / "delay/zarr.json").unlink()
    assert "delay has no zarr.json" in _failed(check(store))["headers"]


def test_a_map_whose_header_is_gone_is_named(store: Path) -> None:
    (store / "map/zarr.json").unlink()
    assert "map has no zarr.json" in _failed(check(store, _inside))["headers"]


@pytest.mark.parametrize("name", ["", "gain", "map", "map/faces"])
@pytest.mark.parametrize("content", ["{broken", "[]", "{}", ""])
def test_a_header_that_is_no_header_is_named(store: Path, name: str, content: str) -> None:
    (store / name / "zarr.json").write_text(content)
    file = f"{name}/zarr.json" if name else "zarr.json"
    assert f"{file} is no zarr header" in _failed(check(store))["headers"]


def test_other_dimensions_types_and_lengths_are_named(store: Path) -> None:
    _header(store, lambda h: h.__setitem__("dimension_names", ["user", "path", "station"]), "gain")
    _header(store, lambda h: h.__setitem__("data_type", "int16"), "split_random")
    _header(store, lambda h: h.__setitem__("shape", [59, 3]), "user_position")
    detail = _failed(check(store))["variables"]
    assert "gain has dimensions ('user', 'path', 'station')" in detail
    assert "split_random is int16, not int8" in detail
    assert "59 users" in detail


def test_what_is_no_store_is_said_to_be_none(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere"):
        assert "is no store" in _failed(check(path))["headers"]
