"""A packed store holds the same links, fewer of them."""

import numpy as np
import pytest

from miniature import PATHS, USERS, write_measured, write_miniature
from radiofix.data import schema
from radiofix.data.check import check
from radiofix.data.packing import AT_THE_USER, pack
from radiofix.data.store import StoreError, open_paths
from radiofix.scenes.outdoors import inside_buildings


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return open_paths(write_miniature(tmp_path_factory.mktemp("pack") / "whole.zarr"))


def test_chosen_users_keep_their_strongest_paths_positions_and_parts(store, tmp_path):
    assert pack(store, tmp_path / "small.zarr", users=25, paths=2, seed=3) == 25
    small = open_paths(tmp_path / "small.zarr")
    rows = np.sort(np.random.default_rng(3).permutation(USERS)[:25])
    for name in schema.PATH_VARIABLES:
        whole = store.dataset[name].values[rows][:, :, :2]
        expected = np.zeros_like(whole) if name in AT_THE_USER else whole
        np.testing.assert_array_equal(small.dataset[name].values, expected, err_msg=name)
    for name in ("user_position", "split_random", "split_region"):
        np.testing.assert_array_equal(
            small.dataset[name].values, store.dataset[name].values[rows], err_msg=name
        )
    assert small.map is not None
    np.testing.assert_array_equal(small.map.faces, store.map.faces)
    assert small.stations[1].name == store.stations[1].name


def test_a_packed_store_is_sound_and_names_what_it_was_packed_from(store, tmp_path):
    pack(store, tmp_path / "all.zarr", user_angles=True)
    small = open_paths(tmp_path / "all.zarr")
    assert check(small.path, inside_buildings).ok
    assert small.attributes["packed_from"]["sha256"] == store.attributes["sha256"]
    assert small.attributes["sha256"]["gain"] == store.attributes["sha256"]["gain"]
    assert small.dataset.sizes["path"] == PATHS


@pytest.mark.parametrize("wrong", [{"users": 61}, {"users": 0}, {"paths": 5}, {"paths": 0}])
def test_more_than_there_is_or_nothing_is_refused_and_nothing_written(store, tmp_path, wrong):
    with pytest.raises(StoreError, match="must be from 1 to the"):
        pack(store, tmp_path / "no.zarr", **wrong)
    assert not list(tmp_path.iterdir())


def test_measured_csi_is_refused(tmp_path):
    measured = open_paths(write_measured(tmp_path / "measured.zarr"))
    with pytest.raises(StoreError, match="measured CSI, no paths"):
        pack(measured, tmp_path / "no.zarr")
