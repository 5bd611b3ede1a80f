"""DeepMIMO v4 folders are read without deepmimo, and mean what deepmimo takes them to mean."""

from __future__ import annotations

import json
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

from radiofix.data.importers.deepmimo_v4 import import_deepmimo_v4
from radiofix.data.store import PathStore, open_paths
from radiofix.types import SPEED_OF_LIGHT

Refused = Callable[[Callable[[Path], None], Path], str]
CARRIER = 3.5e9
INSITE, SIONNA = "Remcom Wireless Insite", "Sionna Ray Tracing"
# transmitter set 0 has two points; set 1 is a grid of users, set 2 another.
STATIONS = {(0, 0): [0.0, 0.0, 10.0], (0, 1): [50.0, 0.0, 12.0]}
USERS = {1: 6, 2: 3}
CODES = [0, 1, 2, 11, 121, 44]


def described(tracer: str = INSITE, scenes: int = 1) -> dict[str, Any]:
    sets = [(0, True, False, 2), (1, False, True, USERS[1]), (2, False, True, USERS[2])]
    return {
        "version": "4.0.5",
        "rt_params": {
            "frequency": CARRIER,
            "raytracer_name": tracer,
            "raytracer_version": "1.0",
            "max_reflections": 2,
        },
        "scene": {"num_scenes": scenes},
        "materials": {},
        "txrx_sets": {
            f"txrx_set_{i}": {
                "name": f"set {i}",
                "id": i,
                "id_orig": i,
                "is_tx": tx,
                "is_rx": rx,
                "num_points": points,
                "num_active_points": points,
                "num_ant": 1,
                "dual_pol": False,
                "ant_rel_positions": [[0, 0, 0]],
                "array_orientation": [0, 0, 0],
            }
            for i, tx, rx, points in sets
        },
    }


def quantities(transmitter: int, receivers: int, paths: int) -> dict[str, np.ndarray]:
    """Random paths; user u has u % (paths + 1) of them, the rest is NaN."""
    draw = np.random.default_rng([transmitter, receivers])
    users = USERS[receivers]
    found = {
        "power": draw.uniform(-110, -70, (users, paths)),
        "phase": draw.uniform(-180, 180, (users, paths)),
        "delay": draw.uniform(5e-8, 8e-7, (users, paths)),
        "aoa_az": draw.uniform(-180, 180, (users, paths)),
        "aoa_el": draw.uniform(60, 120, (users, paths)),
        "aod_az": draw.uniform(-180, 180, (users, paths)),
        "aod_el": draw.uniform(60, 120, (users, paths)),
        "inter": draw.choice(CODES, (users, paths)).astype(float),
    }
    absent = np.arange(paths) >= (np.arange(users) % (paths + 1))[:, None]
    found = {k: np.where(absent, np.nan, v).astype(np.float32) for k, v in found.items()}
    places = np.random.default_rng(receivers).uniform(0, 50, (users, 3))
    tx_pos = np.array([STATIONS[0, transmitter]])
    return {**found, "rx_pos": places.astype(np.float32), "tx_pos": tx_pos.astype(np.float32)}


def write_scenario(folder: Path, tracer: str = INSITE, suffix: str = ".npz") -> Path:
    folder.mkdir(parents=True)
    (folder / "params.json").write_text(json.dumps(described(tracer)))
    write_scene(folder, suffix)
    return folder


def write_scene(folder: Path, suffix: str = ".npz") -> None:
    for _, transmitter in STATIONS:
        for receivers in USERS:
            # Files cut off what no user needs, so that their widths differ.
            found = quantities(transmitter, receivers, paths=5 - receivers)
            for name, values in found.items():
                path = folder / f"{name}_t000_tx{transmitter:03}_r{receivers:03}{suffix}"
                if suffix == ".npz":
                    np.savez(path, **{name: values})
                elif suffix == ".mat":
                    scipy.io.savemat(path, {name: values})
                else:
                    np.save(path, values)


def imported(source: Path, out: Path, **options: Any) -> PathStore:
    import_deepmimo_v4(source, out, **options)
    return open_paths(out)


@pytest.mark.parametrize("suffix", [".npz", ".mat", ".npy"])
def test_every_quantity_arrives_at_its_path(tmp_path: Path, suffix: str) -> None:
    store = imported(write_scenario(tmp_path / "s", suffix=suffix), tmp_path / "a.zarr")
    assert store.users == 9
    assert [s.name for s in store.stations] == ["t000_tx000", "t000_tx001"]
    links = store.links(users=[4], station=1)
    source = quantities(transmitter=1, receivers=1, paths=4)
    order = np.argsort(-np.nan_to_num(source["power"][4], nan=-np.inf))
    wanted = {k: v[4][order].astype(float) for k, v in source.items() if v.shape[1] == 4}
    assert links.present.sum() == 4
    gain = 10 ** (wanted["power"] / 20) * np.exp(1j * np.radians(wanted["phase"]))
    np.testing.assert_allclose(links.gain[0, : len(order)].numpy(), gain, rtol=1e-5)
    for ours, theirs in {
        "station_azimuth": "aod_az",
        "station_zenith": "aod_el",
        "user_azimuth": "aoa_az",
        "user_zenith": "aoa_el",
    }.items():
        stored = np.degrees(getattr(links, ours)[0, : len(order)].numpy())
        np.testing.assert_allclose(stored, wanted[theirs], rtol=1e-4)
    np.testing.assert_allclose(links.delay[0, : len(order)], wanted["delay"], rtol=1e-6)
    torch.testing.assert_close(
        links.station_position[0], torch.tensor(STATIONS[0, 1], dtype=torch.float64)
    )


def test_users_of_all_receiver_sets_follow_each_other(tmp_path: Path) -> None:
    store = imported(write_scenario(tmp_path / "s"), tmp_path / "a.zarr")
    places = np.concatenate([quantities(0, 1, 4)["rx_pos"], quantities(0, 2, 3)["rx_pos"]])
    np.testing.assert_allclose(store.dataset["user_position"].values, places)
    counts = store.links(station=0).present.sum(-1).tolist()
    assert counts == [0, 1, 2, 3, 4, 0, 0, 1, 2]


def test_interactions_are_the_digits_of_the_code(tmp_path: Path) -> None:
    source = write_scenario(tmp_path / "s")
    found = quantities(0, 1, 4)
    codes = np.full((6, 4), np.nan)
    codes[4] = [0, 1, 121, 4444444]
    power = np.where(np.isfinite(codes), [-70.0, -80.0, -90.0, -100.0], np.nan)
    fixed = {"inter": codes, "power": power}
    for name in ("phase", "delay", "aoa_az", "aoa_el", "aod_az", "aod_el"):
        fixed[name] = np.where(np.isfinite(codes), found[name][4], np.nan)
    for name, values in fixed.items():
        np.savez(source / f"{name}_t000_tx000_r001.npz", **{name: values})
    links = imported(source, tmp_path / "a.zarr").links(users=[4], station=0)
    assert links.interactions[0].tolist() == [0, 1, 3, 7]
    assert links.diffracted[0].tolist() == [False, False, True, False]


def test_only_what_sionna_traced_lacks_the_carrier_phase(tmp_path: Path) -> None:
    insite = imported(write_scenario(tmp_path / "i"), tmp_path / "i.zarr")
    sionna = imported(write_scenario(tmp_path / "s", tracer=SIONNA), tmp_path / "s.zarr")
    turned, stored = sionna.links(), insite.links()
    delay = stored.delay.double()
    expected = stored.gain.to(torch.complex128) * torch.exp(-2j * torch.pi * CARRIER * delay)
    torch.testing.assert_close(turned.gain.to(torch.complex128), expected, rtol=1e-5, atol=1e-12)
    assert "lacks" in sionna.attributes["assumptions"]["phase"]
    kept = imported(tmp_path / "s", tmp_path / "k.zarr", add_carrier_phase=False)
    torch.testing.assert_close(kept.links().gain, stored.gain)


def test_one_scene_of_several_is_chosen_by_number(tmp_path: Path, refused: Refused) -> None:
    source = tmp_path / "moving"
    for scene in ("scene_0", "scene_1"):
        (source / scene).mkdir(parents=True)
        write_scene(source / scene)
    (source / "params.json").write_text(json.dumps(described(scenes=2)))
    line = refused(lambda out: import_deepmimo_v4(source, out), tmp_path)
    assert "snapshot=0 to 1" in line
    assert imported(source, tmp_path / "a.zarr", snapshot=1).users == 9


def test_a_folder_that_is_not_there_asks_nothing(
    tmp_path: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asked on standard input"))
    line = refused(lambda out: import_deepmimo_v4(tmp_path / "o1_3p5", out), tmp_path)
    assert "params.json is missing" in line


def overwrite(name: str, values: Any) -> Callable[[Path], None]:
    return lambda folder: np.savez(
        folder / f"{name}_t000_tx001_r002.npz", **{name: np.asarray(values)}
    )


def describe(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        description = described()
        change(description)
        (folder / "params.json").write_text(json.dumps(description))

    return apply


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (lambda f: (f / "phase_t000_tx001_r002.npz").unlink(), "phase_t000_tx001_r002"),
        (lambda f: (f / "params.json").write_text("{"), "no DeepMIMO v4 description"),
        (lambda f: (f / "params.json").write_text("[]"), "no DeepMIMO v4 description"),
        (describe(lambda d: d.pop("txrx_sets")), "txrx_sets"),
        (describe(lambda d: d["rt_params"].pop("frequency")), "frequency=None"),
        (describe(lambda d: d["rt_params"].update(frequency=-1.0)), "positive, got -1"),
        (describe(lambda d: d["txrx_sets"].pop("txrx_set_0")), "0 transmitters"),
        (overwrite("phase", np.zeros((3, 9))), "phase_t000_tx001_r002 has shape (3, 9)"),
        (overwrite("delay", np.full((3, 3), -1.0)), "delay that is not positive"),
        (overwrite("inter", np.full((3, 3), np.nan)), "interactions that is not a number"),
        (overwrite("power", [["a"] * 3] * 3), "not numbers"),
        (overwrite("rx_pos", np.zeros((4, 3))), "rx_pos_t000_tx001_r002"),
        (overwrite("tx_pos", [[0.0]]), "1 numbers, not 3"),
        (overwrite("rx_pos", np.zeros((3, 3))), "other users"),
    ],
)
def test_a_damaged_folder_is_refused_in_one_line(
    tmp_path: Path, refused: Refused, damage: Callable[[Path], None], word: str
) -> None:
    source = write_scenario(tmp_path / "s")
    damage(source)
    assert word in refused(lambda out: import_deepmimo_v4(source, out), tmp_path)


def test_a_station_that_is_not_there_is_named(tmp_path: Path, refused: Refused) -> None:
    source = write_scenario(tmp_path / "s")
    line = refused(lambda out: import_deepmimo_v4(source, out, stations=[3]), tmp_path)
    assert "stations 1 to 2, not 3" in line


@settings(max_examples=12, deadline=None)
@given(
    name=st.sampled_from(["params.json", "delay_t000_tx000_r001.npz"]),
    kept=st.floats(0, 0.98),
)
def test_a_truncated_file_is_refused_in_one_line(refused: Refused, name: str, kept: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source = write_scenario(Path(folder) / "s")
        content = (source / name).read_bytes()
        (source / name).write_bytes(content[: int(len(content) * kept)])
        refused(lambda out: import_deepmimo_v4(source, out), Path(folder))


def test_our_channel_is_that_of_deepmimo_on_the_same_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deepmimo = pytest.importorskip("deepmimo", reason="the extra deepmimo is not installed")
    from radiofix.physics.arrays import elements
    from radiofix.physics.channel import Channel

    antennas, subcarriers, bandwidth = 8, 64, 10e6
    source = write_scenario(tmp_path / "deepmimo_scenarios" / "street")
    (source / "objects.json").write_text("[]")
    np.savez(source / "vertices.npz", vertices=np.zeros((0, 3)))
    monkeypatch.chdir(tmp_path)
    pairs = deepmimo.load("street")
    parameters = deepmimo.ChannelParameters()
    parameters.bs_antenna.shape = np.array([antennas, 1])
    parameters.ofdm.subcarriers = subcarriers
    parameters.ofdm.selected_subcarriers = np.arange(subcarriers)
    parameters.ofdm.bandwidth = bandwidth
    theirs = [pair.compute_channels(parameters)[:, 0] for pair in pairs]
    # The pairs come receiver set by receiver set, and station by station in each.
    by_station = [np.concatenate([theirs[0], theirs[2]]), np.concatenate([theirs[1], theirs[3]])]
    # DeepMIMO spreads the power over the subcarriers and counts antennas from the station.
    expected = np.stack(by_station, axis=1).reshape(-1, antennas, subcarriers) * subcarriers**0.5

    paths = imported(source, tmp_path / "a.zarr").links()
    row = torch.zeros(antennas, 3, dtype=torch.float64)
    row[:, 1] = SPEED_OF_LIGHT / CARRIER / 2 * torch.arange(antennas)
    channel = Channel(bandwidth, subcarriers, elements(row), first_subcarrier=0)
    ours = channel.synthesize(paths).numpy()
    assert np.abs(expected).max() > 0
    assert np.abs(ours - expected).max() < 1e-3 * np.abs(expected).max()
