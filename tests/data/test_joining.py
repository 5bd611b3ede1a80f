"""Scenes beside each other in one store: every link as it was, and none between two scenes."""

import json

import numpy as np
import pytest

from miniature import PATHS, STATIONS, USERS, write_measured, write_miniature
from radiofix.cli import main
from radiofix.data import schema
from radiofix.data.check import check
from radiofix.data.joining import APART, join
from radiofix.data.packing import pack
from radiofix.data.store import StoreError, open_paths
from radiofix.models.map_reading import read_map
from radiofix.scenes.outdoors import inside_buildings


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("join")
    whole = open_paths(write_miniature(folder / "whole.zarr"))
    pack(whole, folder / "few.zarr", users=25, paths=2, user_angles=True, seed=3)
    return whole, open_paths(folder / "few.zarr")


@pytest.fixture(scope="module")
def joined(parts, tmp_path_factory):
    out = tmp_path_factory.mktemp("joined") / "both.zarr"
    assert join(parts, out) == USERS + 25
    return open_paths(out)


def test_every_link_of_a_scene_is_as_it_was(parts, joined):
    for number, (store, rows) in enumerate(
        zip(parts, (slice(0, USERS), slice(USERS, USERS + 25)), strict=True)
    ):
        columns = slice(2 * number, 2 * number + 2)
        paths = store.dataset.sizes["path"]
        for name in schema.PATH_VARIABLES:
            block = joined.dataset[name].values[rows, columns]
            np.testing.assert_array_equal(
                block[..., :paths], store.dataset[name].values, err_msg=name
            )
        missing = joined.dataset["interactions"].values[rows, columns, paths:]
        assert (missing == -1).all()
    assert joined.dataset.sizes["path"] == PATHS


def test_no_user_hears_a_station_of_another_scene(joined):
    kinds = joined.dataset["interactions"].values
    gain = joined.dataset["gain"].values
    for rows, columns in ((slice(0, USERS), slice(2, 4)), (slice(USERS, None), slice(0, 2))):
        assert (kinds[rows, columns] == -1).all()
        assert (gain[rows, columns] == 0).all()


def test_scenes_lie_beside_each_other_and_keep_their_shape(parts, joined):
    first, second = parts
    shift = joined.attributes["joined_from"][1]["shift_m"]
    for end, cut in (("user", USERS), ("station", STATIONS)):
        place = joined.dataset[f"{end}_position"].values
        np.testing.assert_array_equal(place[:cut], first.dataset[f"{end}_position"].values)
        np.testing.assert_allclose(
            place[cut:] - shift, second.dataset[f"{end}_position"].values, atol=1e-9
        )
    vertices = joined.map.vertices
    east = vertices[: len(first.map.vertices), 0].max()
    west = vertices[len(first.map.vertices) :, 0].min()
    assert APART <= west - east < APART + 1
    np.testing.assert_array_equal(
        joined.dataset["station_orientation"].values[STATIONS:],
        second.dataset["station_orientation"].values,
    )


def test_maps_are_joined_with_buildings_of_their_own(parts, joined):
    site_map = read_map(joined)
    assert site_map.buildings == 4
    assert [site_map.around(place).buildings for place in site_map.stations] == [2] * 4
    assert joined.map.face_building.max() == 3
    ground = joined.map.face_building < 0
    assert set(joined.map.face_material[ground]) == {joined.map.materials.index("wet_ground")}


def test_parts_of_splits_are_kept_and_all_is_sound(parts, joined):
    for name in ("split_random", "split_region"):
        np.testing.assert_array_equal(
            joined.dataset[name].values,
            np.concatenate([store.dataset[name].values for store in parts]),
        )
    assert "flag_meanings" not in joined.dataset["split_random"].attrs
    assert check(joined.path, inside_buildings).ok


def test_what_each_scene_was_is_written_down(parts, joined):
    told = joined.attributes["joined_from"]
    assert [one["sha256"] for one in told] == [p.attributes["sha256"] for p in parts]
    assert [one["users"] for one in told] == [[0, USERS], [USERS, USERS + 25]]
    assert [one["stations"] for one in told] == [[0, 2], [2, 4]]
    assert [one["store"] for one in told] == ["whole.zarr", "few.zarr"]
    assert joined.attributes["licence"] == "Apache-2.0"
    assert [s.name for s in joined.stations][:2] == ["miniature:west", "miniature:east"]


def test_what_cannot_be_joined_is_refused_and_nothing_written(parts, tmp_path):
    whole, _ = parts
    measured = open_paths(write_measured(tmp_path / "measured.zarr"))
    bare = open_paths(write_miniature(tmp_path / "bare.zarr", with_map=False))
    before = sorted(tmp_path.iterdir())
    cases = [
        ((whole,), "nothing to join"),
        ((whole, measured), "measured CSI"),
        ((whole, whole), "named twice"),
        ((whole, bare), "has no map"),
    ]
    for stores, said in cases:
        with pytest.raises(StoreError, match=said):
            join(stores, tmp_path / "no.zarr")
    with pytest.raises(StoreError, match="must be positive"):
        join(parts, tmp_path / "no.zarr", apart=-1.0)
    with pytest.raises(StoreError, match="exists already"):
        join(parts, bare.path)
    assert sorted(tmp_path.iterdir()) == before


def test_a_damaged_store_leaves_nothing_half_written(tmp_path):
    good = open_paths(write_miniature(tmp_path / "good.zarr"))
    bad = write_miniature(tmp_path / "bad.zarr")
    for chunk in (bad / "delay" / "c").rglob("*"):
        if chunk.is_file():
            chunk.write_bytes(chunk.read_bytes()[:-3])
    with pytest.raises(StoreError, match="is damaged"):
        join((good, open_paths(bad)), tmp_path / "both.zarr")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.zarr", "good.zarr"]


def test_the_command_joins_and_tells_what_there_is(capsys, tmp_path):
    for name in ("a", "b", "c"):
        write_miniature(tmp_path / f"{name}.zarr")
    stores = [str(tmp_path / f"{name}.zarr") for name in "abc"]
    out = str(tmp_path / "all.zarr")
    assert main(["join", *stores, "--out", out, "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert (made["users"], made["stations"]) == (3 * USERS, 3 * STATIONS)
    assert main(["join", stores[0], "--out", str(tmp_path / "one.zarr")]) == 2
    assert "nothing to join" in capsys.readouterr().err
