"""Measured CSI of any shape comes in whole, and what is not named is never guessed."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from radiofix.data.importers.arrays import import_arrays
from radiofix.data.store import PathStore, open_paths
from radiofix.types import SPEED_OF_LIGHT

Refused = Callable[[Callable[[Path], None], Path], str]
NAMES = {"csi": "H", "user_position": "pos"}
AXES = "user antenna subcarrier"
GIVEN: dict[str, Any] = {
    "station_position": [1.0, 2.0, 3.0],
    "carrier_frequency": 3.5e9,
    "bandwidth": 20e6,
    "ula_spacing": 0.5,
}


def noise(*shape: int) -> Any:
    draw = np.random.default_rng(len(shape))
    return draw.standard_normal(shape) + 1j * draw.standard_normal(shape)


def write(path: Path, arrays: dict[str, Any]) -> Path:
    """Writes by the name's ending; `.v73.mat` as MATLAB 7.3 does it."""
    if path.suffix == ".npz":
        np.savez(path, **arrays)
    elif path.name.endswith(".v73.mat"):
        with h5py.File(path, "w", userblock_size=512) as file:
            for name, values in arrays.items():
                values = np.asarray(values)
                if np.iscomplexobj(values):
                    pair = np.empty(values.shape, dtype=[("real", "<f8"), ("imag", "<f8")])
                    pair["real"], pair["imag"] = values.real, values.imag
                    values = pair
                file.create_dataset(name, data=values.T)
        with path.open("r+b") as raw:
            raw.write(b"MATLAB 7.3 MAT-file".ljust(128))
    elif path.suffix == ".mat":
        scipy.io.savemat(path, arrays)
    else:
        with h5py.File(path, "w") as file:
            for name, values in arrays.items():
                file.create_dataset(name, data=values)
    return path


def measured(folder: Path, **arrays: Any) -> Path:
    """Five users, four antennas, six subcarriers."""
    found = {"H": noise(5, 4, 6), "pos": np.arange(15.0).reshape(5, 3), **arrays}
    return write(folder / "m.npz", {k: v for k, v in found.items() if v is not None})


def imported(source: Path, out: Path, names: Any = NAMES, axes: str = AXES, **x: Any) -> PathStore:
    import_arrays(source, out, names, axes, **x)
    return open_paths(out)


@settings(max_examples=15, deadline=None)
@given(
    sizes=st.tuples(*[st.integers(1, 5)] * 4),
    order=st.permutations(["user", "station", "antenna", "subcarrier"]),
    suffix=st.sampled_from([".npz", ".mat", ".v73.mat", ".h5"]),
    parts=st.booleans(),
)
def test_any_shape_and_order_comes_back_as_it_was(
    sizes: tuple[int, ...], order: list[str], suffix: str, parts: bool
) -> None:
    size = dict(zip(("user", "station", "antenna", "subcarrier"), sizes, strict=True))
    csi = noise(*sizes)
    turned = csi.transpose([("user", "station", "antenna", "subcarrier").index(d) for d in order])
    if suffix == ".mat":
        # MATLAB 7 files drop nothing, but every array in them has two axes at least.
        assert turned.ndim >= 2
    users = np.arange(size["user"] * 3.0).reshape(-1, 3)
    stations = np.arange(size["station"] * 3.0).reshape(-1, 3) - 7
    file = {"p": users, "s": stations}
    names = {"user_position": "p", "station_position": "s"}
    if parts:
        file |= {"re": turned.real, "im": turned.imag}
        names |= {"csi_real": "re", "csi_imag": "im"}
    else:
        file |= {"h": turned}
        names |= {"csi": "h"}
    with tempfile.TemporaryDirectory() as folder:
        source = write(Path(folder) / f"m{suffix}", file)
        given = {k: v for k, v in GIVEN.items() if k != "station_position"}
        store = imported(source, Path(folder) / "a.zarr", names, " ".join(order), **given)
        np.testing.assert_array_equal(store.dataset["csi"].values, csi.astype(np.complex64))
        np.testing.assert_array_equal(store.dataset["user_position"].values, users)
        np.testing.assert_array_equal(store.dataset["station_position"].values, stations)


def test_the_rows_and_columns_of_a_panel_become_antennas(tmp_path: Path) -> None:
    panel = noise(5, 1, 2, 3, 6, 2).real
    places = np.arange(18.0).reshape(6, 3)
    source = measured(tmp_path, H=panel, where=places)
    names = {**NAMES, "antenna_position": "where"}
    given = {k: v for k, v in GIVEN.items() if k != "ula_spacing"}
    axes = "user 1 antenna antenna subcarrier part"
    store = imported(source, tmp_path / "a.zarr", names, axes, **given)
    stored = store.dataset["csi"].values[:, 0]
    expected = (panel[..., 0] + 1j * panel[..., 1])[:, 0]
    np.testing.assert_allclose(stored[:, 4], expected[:, 1, 1], rtol=1e-6)
    np.testing.assert_array_equal(store.dataset["antenna_position"].values, places)


def test_the_carrier_is_in_the_middle_unless_said_otherwise(tmp_path: Path) -> None:
    source = measured(tmp_path)
    middle = imported(source, tmp_path / "a.zarr", **GIVEN).dataset["frequency"].values
    np.testing.assert_allclose(middle, 3.5e9 + np.arange(-3, 3) * 20e6 / 6)
    lowest = imported(source, tmp_path / "b.zarr", first_subcarrier=0, **GIVEN)
    np.testing.assert_allclose(lowest.dataset["frequency"].values, 3.5e9 + np.arange(6) * 20e6 / 6)


def test_frequencies_of_the_file_are_taken_as_they_are(tmp_path: Path) -> None:
    frequency = 3.4e9 + 1e7 * np.arange(6.0)
    source = measured(tmp_path, f=frequency)
    given = {k: v for k, v in GIVEN.items() if k not in ("carrier_frequency", "bandwidth")}
    store = imported(source, tmp_path / "a.zarr", {**NAMES, "frequency": "f"}, **given)
    np.testing.assert_array_equal(store.dataset["frequency"].values, frequency)
    assert store.stations[0].carrier_frequency == 3.43e9


def test_descending_frequencies_are_sorted_and_gaps_filled_with_nothing(tmp_path: Path) -> None:
    frequency = np.array([3.47e9, 3.46e9, 3.45e9, 3.42e9, 3.41e9, 3.40e9])
    source = measured(tmp_path, f=frequency)
    given = {k: v for k, v in GIVEN.items() if k not in ("carrier_frequency", "bandwidth")}
    store = imported(source, tmp_path / "a.zarr", {**NAMES, "frequency": "f"}, **given)
    np.testing.assert_allclose(store.dataset["frequency"].values, 3.4e9 + 1e7 * np.arange(8))
    csi = store.dataset["csi"].values
    assert not csi[..., 3:5].any()
    raw = np.load(source)["H"].reshape(*csi.shape[:3], 6)
    np.testing.assert_allclose(csi[..., [7, 6, 5, 2, 1, 0]], raw, rtol=1e-6)
    assert store.stations[0].carrier_frequency == pytest.approx(3.44e9)


def test_a_ula_lies_along_y_about_the_station(tmp_path: Path) -> None:
    store = imported(measured(tmp_path), tmp_path / "a.zarr", **GIVEN)
    half = SPEED_OF_LIGHT / 3.5e9 / 2
    y = store.dataset["antenna_position"].values[:, 1]
    np.testing.assert_allclose(y, half * np.array([-1.5, -0.5, 0.5, 1.5]))


def test_times_poses_and_heights_arrive(tmp_path: Path) -> None:
    time = np.arange(5.0)[:, None]
    source = measured(tmp_path, t=time, pos=np.ones((5, 2)))
    turned = {**GIVEN, "station_orientation": [0.5, 0, 0], "user_height": 1.5}
    store = imported(source, tmp_path / "a.zarr", {**NAMES, "time": "t"}, **turned)
    np.testing.assert_array_equal(store.dataset["time"].values, time[:, 0])
    np.testing.assert_array_equal(store.dataset["user_position"].values[0], [1, 1, 1.5])
    assert store.stations[0].orientation.tolist() == [0.5, 0, 0]
    assert store.attributes["assumptions"] == {}


def test_users_without_a_position_are_kept_in_no_split_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    users, known = 200, np.arange(200) % 4 != 0
    position = np.random.default_rng(0).uniform(0, 300, (users, 2))
    position[~known] = np.nan
    source = measured(tmp_path, H=noise(users, 4, 6), pos=position)
    store = imported(source, tmp_path / "a.zarr", **GIVEN, user_height=1.5)
    assert "50 of 200 users have no position" in caplog.text
    stored = store.dataset["user_position"].values
    np.testing.assert_array_equal(stored[known], np.column_stack([position[known], [1.5] * 150]))
    assert np.isnan(stored[~known]).all()
    np.testing.assert_array_equal(store.labelled, known)
    assert torch.isfinite(torch.view_as_real(store.csi(users=[0, 1]).values)).all()
    for split in ("random", "region"):
        assert set(np.flatnonzero(~known)) <= set(store.split(split, "unused"))
        assert len(store.split(split, "train")) > 0
        assert len(store.split(split, "test")) > 0
    # The labelled ones are split as if the others were not there.
    alone = measured(tmp_path, H=noise(150, 4, 6), pos=position[known])
    without_them = imported(alone, tmp_path / "b.zarr", **GIVEN, user_height=1.5)
    for split in ("split_random", "split_region"):
        np.testing.assert_array_equal(
            store.dataset[split].values[known], without_them.dataset[split].values
        )


def test_csi_without_any_position_is_imported_all_unused(tmp_path: Path) -> None:
    store = imported(measured(tmp_path), tmp_path / "a.zarr", {"csi": "H"}, **GIVEN)
    assert not store.labelled.any()
    assert len(store.split("random", "unused")) == 5


def without(*keys: str) -> dict[str, Any]:
    return {k: v for k, v in GIVEN.items() if k not in keys}


@pytest.mark.parametrize(
    ("arrays", "names", "axes", "given", "word"),
    [
        ({}, {"csi": "G", "user_position": "pos"}, AXES, GIVEN, "no 'G': it has H, pos"),
        ({}, {"csi": "H"}, AXES, {**GIVEN, "user_height": 1.5}, "leave user_height out"),
        ({}, {"cis": "H", **NAMES}, AXES, GIVEN, "'cis', which is none of csi"),
        ({}, {"csi_real": "H", "user_position": "pos"}, AXES, GIVEN, "both"),
        ({}, NAMES, "user antenna", GIVEN, "lacks 'subcarrier'"),
        ({}, NAMES, "user antenna subcarrier station", GIVEN, "4 axes, the csi has shape"),
        ({}, NAMES, "user antenna frequency", GIVEN, "'frequency', which is none of"),
        ({}, NAMES, "1 antenna subcarrier", GIVEN, "axis '1'"),
        ({}, NAMES, AXES, without("station_position"), "station_position="),
        ({}, NAMES, AXES, without("bandwidth"), "give bandwidth"),
        ({}, NAMES, AXES, without("carrier_frequency"), "give carrier_frequency"),
        ({}, NAMES, AXES, without("ula_spacing"), "4 antennas have no places"),
        ({}, NAMES, AXES, {**GIVEN, "bandwidth": -1.0}, "positive, got -1"),
        ({}, NAMES, AXES, {**GIVEN, "bandwidth": np.nan}, "positive, got nan"),
        ({}, NAMES, AXES, {**GIVEN, "ula_spacing": 0.0}, "positive, got 0"),
        ({}, NAMES, AXES, {**GIVEN, "station_position": [1.0]}, "1 rows of 3"),
        ({}, NAMES, AXES, {**GIVEN, "user_height": 2.0}, "leave user_height out"),
        ({"pos": np.ones((5, 2))}, NAMES, AXES, GIVEN, "give user_height="),
        ({"pos": np.ones((4, 3))}, NAMES, AXES, GIVEN, "got shape (4, 3)"),
        ({"pos": np.diag([1, np.nan, 1, 1, 1])[:, :3]}, NAMES, AXES, GIVEN, "1 values of user_"),
        ({"pos": np.full((5, 3), np.inf)}, NAMES, AXES, GIVEN, "15 values of user_position"),
        ({}, NAMES, AXES, {**GIVEN, "station_position": "here"}, "3 numbers, got 'here'"),
        ({}, NAMES, AXES, {**GIVEN, "bandwidth": "20MHz"}, "must be a number, got '20MHz'"),
        ({}, NAMES, AXES, {**GIVEN, "first_subcarrier": 0.5}, "whole number, got 0.5"),
        ({"H": np.ones((5, 4, 6))}, NAMES, AXES, GIVEN, "the csi is real"),
        ({"H": np.full((5, 4, 6), np.nan + 0j)}, NAMES, AXES, GIVEN, "5 of 5 links"),
        ({"H": np.full((5, 4, 6), 1e300 + 0j)}, NAMES, AXES, GIVEN, "not finite in float32"),
        ({"H": np.array(["a"])}, NAMES, AXES, GIVEN, "not numbers"),
        ({"H": np.array([{}], dtype=object)}, NAMES, AXES, GIVEN, "cannot be read"),
        ({"H": noise(0, 4, 6)}, NAMES, AXES, GIVEN, "size 0"),
        ({"f": np.ones(6)}, {**NAMES, "frequency": "f"}, AXES, GIVEN, "leave bandwidth"),
        (
            {"f": np.ones(6)},
            {**NAMES, "frequency": "f"},
            AXES,
            without("bandwidth"),
            "positive and distinct, 1 Hz is there twice",
        ),
        (
            {"f": np.array([1.0, 2, 3.3, 4, 5.7, 7])},
            {**NAMES, "frequency": "f"},
            AXES,
            without("bandwidth"),
            "0.7 to 1.7 Hz apart lie on no regular grid: interpolate",
        ),
        ({"t": np.ones(4)}, {**NAMES, "time": "t"}, AXES, GIVEN, "4 values for 5 users"),
    ],
)
def test_what_cannot_be_mapped_is_refused_by_name(
    tmp_path: Path,
    refused: Refused,
    arrays: dict[str, Any],
    names: dict[str, str],
    axes: str,
    given: dict[str, Any],
    word: str,
) -> None:
    source = measured(tmp_path, **arrays)
    line = refused(lambda out: import_arrays(source, out, names, axes, **given), tmp_path)
    assert word in line


@settings(max_examples=25, deadline=None)
@given(
    suffix=st.sampled_from([".npz", ".mat", ".v73.mat", ".h5"]),
    kept=st.floats(0, 0.95),
)
def test_a_truncated_file_is_refused_in_one_line(
    refused: Refused, suffix: str, kept: float
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        # The csi comes last, so that no cut leaves all that is asked for.
        arrays = {"pos": np.ones((5, 3)), "H": noise(5, 4, 6)}
        source = write(Path(folder) / f"m{suffix}", arrays)
        content = source.read_bytes()
        source.write_bytes(content[: int(len(content) * kept)])
        refused(lambda out: import_arrays(source, out, NAMES, AXES, **GIVEN), Path(folder))


@settings(max_examples=25, deadline=None)
@given(content=st.binary(max_size=300), start=st.sampled_from([b"", b"PK\x03\x04", b"\x89HDF\r\n"]))
def test_a_file_of_anything_is_refused_in_one_line(
    refused: Refused, content: bytes, start: bytes
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "m.mat"
        source.write_bytes(start + content)
        refused(lambda out: import_arrays(source, out, NAMES, AXES, **GIVEN), Path(folder))
