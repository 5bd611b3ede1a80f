"""An open store gives what is asked for, and says in one line what it cannot give."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from miniature import write_miniature
from radiofix.data import schema
from radiofix.data.importers.arrays import import_arrays
from radiofix.data.importers.deepmimo import import_deepmimo
from radiofix.data.importers.lwlm import import_lwlm
from radiofix.data.store import PathStore, StoreError, StoreWriter, open_paths
from radiofix.data.summary import summarise


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_miniature(tmp_path / "store.zarr")


def _flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 4
    file.write_bytes(content)


@pytest.mark.parametrize(
    ("chunk", "read"),
    [
        ("gain/c/0/0/0", lambda store: store.links([0], 0)),
        ("gain/c/0/0/0", summarise),
        ("user_position/c/0/0", summarise),
        ("map/vertices/c/0/0", lambda store: store.map),
        ("map/faces/zarr.json", lambda store: store.map),
        ("map/zarr.json", lambda store: store.map),
    ],
)
def test_what_is_damaged_is_said_to_be_in_one_line_with_the_stores_name(
    path: Path, chunk: str, read: Callable[[PathStore], object]
) -> None:
    store = open_paths(path)
    if chunk.endswith(".json"):
        (path / chunk).write_text("{broken")
    else:
        _flip(path / chunk)
    with pytest.raises(StoreError, match=r"\A.+\Z") as caught:
        read(store)
    assert f"radiofix check {path} tells where" in str(caught.value)


def test_a_writer_that_was_not_given_all_rows_leaves_nothing(tmp_path: Path) -> None:
    with (
        pytest.raises(StoreError, match="gain has 0 of 5 rows"),
        StoreWriter(tmp_path / "torn.zarr", {}, 5, 1) as writer,
    ):
        writer.create("gain", schema.PATH_VARIABLES["gain"], {"path": 2})
    assert not list(tmp_path.iterdir())


def test_importers_refuse_a_place_that_is_taken_before_they_read(path: Path) -> None:
    nowhere = path.parent / "nowhere"
    for run in (
        lambda: import_arrays(nowhere, path, {"csi": "H"}, "antenna subcarrier"),
        lambda: import_lwlm(nowhere, path),
        lambda: import_deepmimo(nowhere, path),
    ):
        with pytest.raises(StoreError, match="exists already"):
            run()


def test_a_store_shows_its_sizes(path: Path) -> None:
    assert repr(open_paths(path)).endswith("60 users, 2 stations, 4 paths)")
