"""Samples of the public LWLM code: whichever way their antennas run, ours comes out."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radiofix.data.importers.lwlm import import_lwlm
from radiofix.data.store import PathStore, open_paths
from radiofix.types import SPEED_OF_LIGHT

Refused = Callable[[Callable[[Path], None], Path], str]
ANTENNAS, SUBCARRIERS, CARRIER = 32, 128, 3.5e9
PAPERS, OURS = -1, 1
STATIONS = np.array([[235.5, 489.5, 6.0], [287.5, 489.5, 6.0]])
USERS = np.array([[260.0, 500.0, 2.0], [250.0, 470.0, 2.0], [262.0, 495.0, 2.0]])


def direct_channel(user: np.ndarray, station: np.ndarray, bandwidth: float, sign: int) -> Any:
    """One path of gain 1e-4 along the line of sight, antenna 0 at the station."""
    away = user - station
    distance = np.linalg.norm(away)
    sine = away[1] / distance
    frequency = np.arange(SUBCARRIERS) * bandwidth / SUBCARRIERS
    antenna = np.exp(sign * 1j * np.pi * np.arange(ANTENNAS) * sine)
    ramp = np.exp(-2j * np.pi * frequency * distance / SPEED_OF_LIGHT)
    return 1e-4 * antenna[:, None] * ramp


def write_sample(
    path: Path, user: np.ndarray, station: np.ndarray, sign: int = PAPERS, **changes: Any
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    megahertz = changes.get("bandwidth") or 10
    away = user - station
    csi = changes.pop("csi", None)
    if csi is None:
        # DeepMIMO's channel begins with the user's one antenna.
        csi = direct_channel(user, station, megahertz * 1e6, sign)[None]
    found = {
        "channel_real": csi.real,
        "channel_imag": csi.imag,
        "UElocation": user,
        "BSlocation": station,
        "LoS": 1,
        "distance": np.linalg.norm(away),
        "DoD_phi": [np.degrees(np.arctan2(away[1], away[0])), 12.0],
        "bandwidth": megahertz,
        **changes,
    }
    with h5py.File(path, "w") as file:
        for name, value in found.items():
            if value is not None:
                file.create_dataset(name, data=value)


def write_folder(folder: Path, sign: int = PAPERS, **changes: Any) -> Path:
    """Three users at two stations, without the pair of user 1 and station 1."""
    for s, station in enumerate(STATIONS):
        for u, user in enumerate(USERS):
            if (u, s) != (1, 1):
                path = folder / f"BS{s}_128sc_32at_10M" / f"{s}_{u}.h5py"
                write_sample(path, user, station, sign, **changes)
    return folder


def imported(source: Path, out: Path, **options: Any) -> PathStore:
    import_lwlm(source, out, **options)
    return open_paths(out)


def house_equation(store: PathStore, user: int, station: int) -> Any:
    """The direct path by the channel's equation with the store's own antennas and frequencies."""
    stored = store.csi(users=[user], station=station)
    away = USERS[user] - STATIONS[station]
    distance = np.linalg.norm(away)
    position = stored.antenna_position.numpy()
    steering = np.exp(2j * np.pi * position @ (away / distance) * CARRIER / SPEED_OF_LIGHT)
    offset = stored.frequency.numpy() - CARRIER
    return 1e-4 * steering[:, None] * np.exp(-2j * np.pi * offset * distance / SPEED_OF_LIGHT)


@pytest.mark.parametrize("sign", [PAPERS, OURS])
def test_a_single_path_obeys_our_equation_whichever_way_the_antennas_ran(
    tmp_path: Path, sign: int
) -> None:
    store = imported(write_folder(tmp_path / "s", sign), tmp_path / "a.zarr")
    for user, station in [(0, 0), (1, 0), (2, 1)]:
        stored = store.csi(users=[user], station=station).values[0].numpy()
        np.testing.assert_allclose(stored, house_equation(store, user, station), atol=1e-9)
    assert (sign == PAPERS) == store.attributes["assumptions"]["steering"].startswith("mirrored")


def test_mirroring_turns_the_antennas_round_and_nothing_else(tmp_path: Path) -> None:
    source = write_folder(tmp_path / "s", OURS)
    kept = imported(source, tmp_path / "k.zarr", mirror=False).csi()
    mirrored = imported(source, tmp_path / "m.zarr", mirror=True).csi()
    np.testing.assert_array_equal(mirrored.values.numpy(), kept.values.numpy()[:, ::-1])
    half = SPEED_OF_LIGHT / CARRIER / 2
    np.testing.assert_allclose(np.diff(mirrored.antenna_position[:, 1].numpy()), half)
    assert mirrored.antenna_position[-1, 1] == 0
    assert kept.antenna_position[0, 1] == 0


def test_without_line_of_sight_the_papers_sign_is_assumed_and_said(tmp_path: Path) -> None:
    store = imported(write_folder(tmp_path / "s", OURS, LoS=0), tmp_path / "a.zarr")
    assert "assumed" in store.attributes["assumptions"]["steering"]
    assert not store.dataset["line_of_sight"].values.any()


def test_samples_meet_by_their_places_and_a_missing_pair_is_zero(tmp_path: Path) -> None:
    store = imported(write_folder(tmp_path / "s"), tmp_path / "a.zarr")
    np.testing.assert_array_equal(store.dataset["user_position"].values, USERS)
    np.testing.assert_array_equal(store.dataset["station_position"].values, STATIONS)
    power = np.abs(store.dataset["csi"].values).sum((2, 3))
    assert (power > 0).tolist() == [[True, True], [True, False], [True, True]]
    assert store.dataset["line_of_sight"].values.tolist() == (power > 0).tolist()
    distance = np.linalg.norm(USERS[:, None] - STATIONS, axis=-1)
    distance[1, 1] = 0
    np.testing.assert_allclose(store.dataset["distance"].values, distance)
    away = USERS[2] - STATIONS[1]
    azimuth = store.dataset["first_path_azimuth"].values[2, 1]
    np.testing.assert_allclose(azimuth, np.arctan2(away[1], away[0]))


def test_numbers_in_names_are_numbers(tmp_path: Path) -> None:
    for number in (10, 9, 1):
        user = USERS[0] + [0, 0.2 * number, 0]
        write_sample(tmp_path / "s" / f"3_{number}.h5py", user, STATIONS[0])
    store = imported(tmp_path / "s", tmp_path / "a.zarr")
    np.testing.assert_allclose(store.dataset["user_position"].values[:, 1], [500.2, 501.8, 502.0])


def test_one_bandwidth_a_store(tmp_path: Path, refused: Refused) -> None:
    source = write_folder(tmp_path / "s")
    write_sample(source / "BS0_128sc_32at_50M" / "0_0.h5py", USERS[0], STATIONS[0], bandwidth=50)
    line = refused(lambda out: import_lwlm(source, out), tmp_path)
    assert "10 MHz and 50 MHz" in line
    assert "bandwidth=1e+07" in line
    line = refused(lambda out: import_lwlm(source, out, bandwidth=20e6), tmp_path)
    assert "none of bandwidth=2e+07" in line
    wide = imported(source, tmp_path / "a.zarr", bandwidth=50e6)
    assert wide.users == 1
    frequency = wide.dataset["frequency"].values
    np.testing.assert_allclose(frequency[[0, 1]] - CARRIER, [0, 50e6 / 128])
    stored = wide.csi(users=[0], station=0).values[0].numpy()
    np.testing.assert_allclose(stored, house_equation(wide, 0, 0), atol=1e-9)


def test_subcarriers_may_come_first(tmp_path: Path) -> None:
    channel = direct_channel(USERS[0], STATIONS[0], 10e6, PAPERS)
    write_sample(tmp_path / "s" / "a.h5", USERS[0], STATIONS[0], csi=channel.T)
    store = imported(tmp_path / "s", tmp_path / "a.zarr")
    stored = store.csi(users=[0], station=0).values[0].numpy()
    np.testing.assert_allclose(stored, house_equation(store, 0, 0), atol=1e-9)


def test_a_square_channel_needs_its_axes_named(tmp_path: Path, refused: Refused) -> None:
    square = direct_channel(USERS[0], STATIONS[0], 10e6, PAPERS)[:, :ANTENNAS]
    write_sample(tmp_path / "s" / "a.h5", USERS[0], STATIONS[0], csi=square)
    source = tmp_path / "s"
    line = refused(lambda out: import_lwlm(source, out), tmp_path)
    assert 'axes="antenna subcarrier"' in line
    first = imported(source, tmp_path / "a.zarr", axes="antenna subcarrier", mirror=False)
    second = imported(source, tmp_path / "b.zarr", axes="subcarrier antenna", mirror=False)
    values = first.csi().values[0].numpy()
    np.testing.assert_allclose(values, square, atol=1e-10)
    np.testing.assert_array_equal(second.csi().values[0].numpy(), values.T)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"channel_imag": None}, "no 'channel_imag': it has BSlocation"),
        ({"bandwidth": None}, "no 'bandwidth'"),
        ({"channel_imag": np.zeros((1, 32, 64))}, "channel_real is (1, 32, 128)"),
        ({"csi": np.ones((1, 16, 128), complex)}, "has 32 antennas"),
        ({"csi": np.ones((2, 32, 128), complex)}, "of shape (2, 32, 128)"),
        ({"csi": np.full((1, 32, 128), np.nan + 0j)}, "channel_real is not all numbers"),
        ({"UElocation": [1.0, 2.0]}, "UElocation has 2 numbers, not 3"),
        ({"UElocation": ["a", "b", "c"]}, "UElocation is not all numbers"),
        ({"bandwidth": -10}, "positive, got -10"),
    ],
)
def test_an_odd_sample_is_refused_in_one_line(
    tmp_path: Path, refused: Refused, changes: dict[str, Any], word: str
) -> None:
    write_sample(tmp_path / "s" / "1.h5py", USERS[0], STATIONS[0], **changes)
    assert word in refused(lambda out: import_lwlm(tmp_path / "s", out), tmp_path)


def test_samples_of_other_shapes_or_twice_the_same_are_refused(
    tmp_path: Path, refused: Refused
) -> None:
    source = write_folder(tmp_path / "s")
    write_sample(source / "again.h5py", USERS[0], STATIONS[0])
    assert "same user, station" in refused(lambda out: import_lwlm(source, out), tmp_path)
    other = np.ones((1, 32, 64), complex)
    write_sample(source / "again.h5py", USERS[0] + 5, STATIONS[0], csi=other)
    assert "(1, 32, 64)" in refused(lambda out: import_lwlm(source, out), tmp_path)


def test_a_folder_without_samples_is_refused(tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "s").mkdir()
    assert ".h5py" in refused(lambda out: import_lwlm(tmp_path / "s", out), tmp_path)
    assert "not a folder" in refused(lambda out: import_lwlm(tmp_path / "t", out), tmp_path)


@settings(max_examples=12, deadline=None)
@given(kept=st.floats(0, 0.98))
def test_a_truncated_sample_is_refused_in_one_line(refused: Refused, kept: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source = write_folder(Path(folder) / "s")
        sample = source / "BS1_128sc_32at_10M" / "1_2.h5py"
        content = sample.read_bytes()
        sample.write_bytes(content[: int(len(content) * kept)])
        assert "1_2.h5py" in refused(lambda out: import_lwlm(source, out), Path(folder))
