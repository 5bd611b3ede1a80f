"""DeepMIMO v3 folders: the station transmits, the phase holds the carrier's."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from radiofix.data.importers.deepmimo import import_deepmimo
from radiofix.data.importers.deepmimo_v3 import import_deepmimo_v3
from radiofix.data.store import PathStore, open_paths
from radiofix.types import SPEED_OF_LIGHT, Paths

Refused = Callable[[Callable[[Path], None], Path], str]
ROOT = Path(__file__).parents[3]
DENVER = ROOT / os.environ.get("RADIOFIX_DENVER", "../shared/data/deepmimo_v3/denver_28ghz")
# phase, delay, power, arrival azimuth and zenith, departure azimuth and zenith, line of sight
DIRECT = [30.0, 1e-7, -80.0, 190.0, 95.0, 10.0, 85.0, 1.0]
BOUNCE = [-90.0, 2e-7, -60.0, -120.0, 100.0, 45.0, 80.0, 0.0]
USERS = np.array([[10.0, 0, 1.5], [0, 20.0, 1.5], [5.0, 5.0, 1.5]])


def write_part(path: Path, paths: list[list[list[float]]], users: Any) -> None:
    cells = np.empty((1, len(paths)), dtype=object)
    for i, rows in enumerate(paths):
        cells[0, i] = {"p": np.array(rows, dtype=np.float32).reshape(-1, 8).T}
    locations = np.column_stack([users, np.zeros((len(users), 2))])
    place = np.array([[0.0, 0.0, 6.0]])
    scipy.io.savemat(path, {"channels": cells, "rx_locs": locations, "tx_loc": place})


def write_scenario(folder: Path, power: float = 0.0) -> Path:
    """Two stations and three users, of which one has no path; station 1 in two files."""
    folder.mkdir()
    described = {"version": 2, "carrier_freq": 3.5e9, "transmit_power": power, "num_BS": 2}
    scipy.io.savemat(folder / "params.mat", described)
    # The names sort as 2-3 before 0-2 by nothing but the numbers.
    write_part(folder / "BS1_UE_0-2.mat", [[DIRECT, BOUNCE], []], USERS[:2])
    write_part(folder / "BS1_UE_2-3.mat", [[DIRECT]], USERS[2:])
    write_part(folder / "BS2_UE_0-3.mat", [[BOUNCE], [], []], USERS)
    write_part(folder / "BS1_BS.mat", [[DIRECT]], USERS[:1])
    return folder


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    return write_scenario(tmp_path / "street")


def imported(source: Path, out: Path, **options: Any) -> PathStore:
    import_deepmimo_v3(source, out, **options)
    return open_paths(out)


def test_rows_become_the_paths_of_the_channel_equation(scenario: Path, tmp_path: Path) -> None:
    links = imported(scenario, tmp_path / "a.zarr").links(users=[0], station=0)
    expected = [1e-3 * np.exp(-0.5j * np.pi), 1e-4 * np.exp(1j * np.pi / 6)]
    np.testing.assert_allclose(links.gain[0].numpy(), expected, rtol=1e-6)
    np.testing.assert_allclose(links.delay[0].numpy(), [2e-7, 1e-7], rtol=1e-6)
    in_degrees = {
        "station_azimuth": [45, 10],
        "station_zenith": [80, 85],
        "user_azimuth": [-120, -170],
        "user_zenith": [100, 95],
    }
    for name, values in in_degrees.items():
        np.testing.assert_allclose(np.degrees(getattr(links, name)[0].numpy()), values, rtol=1e-5)
    assert links.interactions[0].tolist() == [1, 0]


def test_users_come_file_by_file_and_may_have_no_path(scenario: Path, tmp_path: Path) -> None:
    store = imported(scenario, tmp_path / "a.zarr")
    np.testing.assert_array_equal(store.dataset["user_position"].values, USERS)
    assert store.links().present.sum(-1).tolist() == [2, 1, 0, 0, 1, 0]
    assert store.links().line_of_sight.tolist() == [True, False, False, False, True, False]
    assert [station.name for station in store.stations] == ["BS1", "BS2"]
    assert {s.carrier_frequency for s in store.stations} == {3.5e9}


def test_what_the_source_does_not_tell_is_said_in_the_store(scenario: Path, tmp_path: Path) -> None:
    store = imported(scenario, tmp_path / "a.zarr")
    assert "at least" in store.dataset["interactions"].attrs["comment"]
    assert store.attributes["assumptions"]["station_orientation"].startswith("unknown")
    assert store.attributes["licence"] == "unknown: see the source"


def test_received_power_is_a_gain_whatever_was_transmitted(tmp_path: Path) -> None:
    quiet = imported(write_scenario(tmp_path / "quiet"), tmp_path / "q.zarr").links()
    loud = imported(write_scenario(tmp_path / "loud", power=20.0), tmp_path / "l.zarr").links()
    torch.testing.assert_close(loud.gain * 10, quiet.gain)


def test_stations_can_be_chosen(scenario: Path, tmp_path: Path, refused: Refused) -> None:
    store = imported(scenario, tmp_path / "a.zarr", stations=[2])
    assert [station.name for station in store.stations] == ["BS2"]
    line = refused(lambda out: import_deepmimo_v3(scenario, out, stations=[7]), tmp_path)
    assert "BS7" in line
    assert "1, 2" in line


def test_either_layout_is_found_by_its_files(
    scenario: Path, tmp_path: Path, refused: Refused
) -> None:
    import_deepmimo(scenario, tmp_path / "a.zarr")
    assert open_paths(tmp_path / "a.zarr").users == 3
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "params.json" in refused(lambda out: import_deepmimo(empty, out), tmp_path)


def test_a_store_that_exists_is_not_harmed(scenario: Path, tmp_path: Path) -> None:
    import_deepmimo_v3(scenario, tmp_path / "a.zarr")
    before = {p: p.read_bytes() for p in (tmp_path / "a.zarr").rglob("*") if p.is_file()}
    with pytest.raises(ValueError, match="exists already"):
        import_deepmimo_v3(scenario, tmp_path / "a.zarr")
    assert before == {p: p.read_bytes() for p in (tmp_path / "a.zarr").rglob("*") if p.is_file()}


def remove(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def rewrite(rows: list[float], users: Any = USERS) -> Callable[[Path], None]:
    return lambda folder: write_part(folder / "BS2_UE_0-3.mat", [[rows], [], []], users)


def changed(row: int, value: float) -> list[float]:
    return [*BOUNCE[:row], value, *BOUNCE[row + 1 :]]


def seven_rows(folder: Path) -> None:
    cell = np.empty((1, 3), dtype=object)
    cell[:] = [[{"p": np.ones((7, 2))}, {"p": np.ones((7, 0))}, {"p": np.ones((7, 0))}]]
    place = np.zeros((1, 3))
    found = {"channels": cell, "rx_locs": np.column_stack([USERS, USERS]), "tx_loc": place}
    scipy.io.savemat(folder / "BS2_UE_0-3.mat", found)


def parameters(**values: float) -> Callable[[Path], None]:
    """Makes `params.mat` hold these values and no others."""
    return lambda folder: scipy.io.savemat(folder / "params.mat", values)


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (remove("params.mat"), "params.mat is missing"),
        (remove("BS1_UE_0-2.mat"), "other users"),
        (remove("BS2_UE_0-3.mat"), "BS2"),
        (lambda f: (f / "BS1_UE_2-3.mat").rename(f / "BS1_UE_3-4.mat"), "begins with user 3"),
        (lambda f: scipy.io.savemat(f / "params.mat", {"num_BS": 2}), "carrier_freq"),
        (parameters(carrier_freq=-1.0, transmit_power=0.0, num_BS=2), "positive, got -1"),
        (parameters(carrier_freq=3.5e9, num_BS=2), "no transmit_power"),
        (parameters(carrier_freq=3.5e9, transmit_power=0.0), "no num_BS"),
        (lambda f: scipy.io.savemat(f / "params.mat", {"carrier_freq": "x"}), "not one number"),
        (lambda f: scipy.io.savemat(f / "BS2_UE_0-3.mat", {"x": 1}), "no channels"),
        (seven_rows, "(7, 2), not (8, paths)"),
        (rewrite(BOUNCE, USERS + 1), "other users"),
        (rewrite(changed(1, -1e-9)), "delay that is not positive"),
        (rewrite(changed(2, np.nan)), "gain that is not a number"),
        (rewrite(changed(5, np.inf)), "station_azimuth that is not a number"),
        (rewrite(changed(6, 200.0)), "station zenith angle outside"),
    ],
)
def test_a_damaged_folder_is_refused_in_one_line(
    scenario: Path,
    tmp_path: Path,
    refused: Refused,
    damage: Callable[[Path], None],
    word: str,
) -> None:
    damage(scenario)
    assert word in refused(lambda out: import_deepmimo_v3(scenario, out), tmp_path)


@settings(max_examples=12, deadline=None)
@given(name=st.sampled_from(["params.mat", "BS1_UE_0-2.mat"]), kept=st.floats(0, 0.98))
def test_a_truncated_file_is_refused_in_one_line(refused: Refused, name: str, kept: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source = write_scenario(Path(folder) / "street")
        content = (source / name).read_bytes()
        (source / name).write_bytes(content[: int(len(content) * kept)])
        refused(lambda out: import_deepmimo_v3(source, out), Path(folder))


@pytest.fixture(scope="module")
def denver(tmp_path_factory: pytest.TempPathFactory) -> Paths:
    if not (DENVER / "params.mat").is_file():
        pytest.skip("no DeepMIMO v3 Denver folder: set RADIOFIX_DENVER to it")
    return imported(DENVER, tmp_path_factory.mktemp("denver") / "d.zarr").links()


def test_denver_is_whole(denver: Paths) -> None:
    assert len(denver) == 3 * 6970
    in_sight = denver.line_of_sight.reshape(-1, 3).sum(0)
    assert in_sight.tolist() == [379, 1175, 709]
    assert denver.present.any(-1).reshape(-1, 3).sum(0).tolist() == [1041, 1580, 1354]


def test_denver_departs_from_the_station_in_line_of_sight(denver: Paths) -> None:
    direct = denver.interactions == 0
    away = (denver.user_position - denver.station_position)[denver.line_of_sight]
    distance = away.norm(dim=-1)
    assert (denver.delay[direct].double() * SPEED_OF_LIGHT - distance).abs().max() < 0.1
    for azimuth, zenith, sign in (
        (denver.station_azimuth, denver.station_zenith, 1),
        (denver.user_azimuth, denver.user_zenith, -1),
    ):
        a, z = azimuth[direct].double(), zenith[direct].double()
        seen = torch.stack([z.sin() * a.cos(), z.sin() * a.sin(), z.cos()], dim=-1)
        torch.testing.assert_close(seen, sign * away / distance[:, None], atol=1e-4, rtol=0)


def test_denver_has_the_carrier_phase_and_friis_power_in_line_of_sight(denver: Paths) -> None:
    direct = denver.interactions == 0
    carrier = denver.carrier_frequency[denver.line_of_sight]
    delay = denver.delay[direct].double()
    friis = 1 / (4 * torch.pi * carrier * delay)
    ratio = denver.gain[direct].to(torch.complex128) / friis
    # float32 delays leave some degrees of phase at 28 GHz, hence the mean.
    coherent = (ratio * torch.exp(2j * torch.pi * carrier * delay)).mean()
    assert abs(coherent - 1) < 0.01
    assert abs((ratio * torch.exp(-2j * torch.pi * carrier * delay)).mean()) < 0.1
