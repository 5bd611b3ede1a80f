"""`locate` as a user types it: any input, any output, on files and on pipes."""

import csv
import io
import json
import subprocess
import sys

import numpy as np
import pytest
import zarr

import radiofix as rf
from cli.mistakes import mistake
from miniature import write_miniature
from radiofix.cli import main
from radiofix.data.store import open_paths
from radiofix.models.map_reading import read_map
from radiofix.models.site_map import give_map
from radiofix.serving.locating import locate, open_source
from radiofix.serving.on_the_map import OnTheMap, map_round
from radiofix.serving.soundings import Reading
from serving.walks import measured, small_model, write_hdf5, write_npz

SITE = """
- {name: west, position: [0, 0, 6], orientation_degrees: 0, carrier_frequency: 3.5e9}
- {name: east, position: [60, 5, 6], orientation_degrees: 180, carrier_frequency: 3.5e9}
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return measured(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def arrays(site):
    """Of eight users who walk, a second apart."""
    few = dict(site[1])
    few["csi"] = few["csi"][20:28]
    return few | {"time": np.arange(8.0)}


def table(text):
    return list(csv.DictReader(io.StringIO(text)))


def typed(capfd, *arguments):
    assert main(["locate", *map(str, arguments)]) == 0
    sys.stdout.flush()
    return capfd.readouterr().out


def test_a_store_of_paths_is_located_and_what_is_trusted_is_near(capfd, tmp_path):
    store = write_miniature(tmp_path / "mini.zarr")
    rows = table(typed(capfd, store, "--bandwidth", "2e7", "--snr-db", "20"))
    assert len(rows) == 60
    assert {row["trusted"] for row in rows} <= {"true", "false"}
    assert all(row["source"] == str(store) for row in rows)


def test_fixes_are_held_against_the_map_that_is_named(capfd, tmp_path):
    store = write_miniature(tmp_path / "mini.zarr")
    as_heard = (store, "--bandwidth", "2e7", "--snr-db", "5")
    free, held = (table(typed(capfd, *as_heard, *more)) for more in ((), ("--map", store)))
    places = np.array([[float(row[axis]) for axis in ("x_m", "y_m", "z_m")] for row in free])
    spread = np.zeros((len(free), 3, 3))
    for i, j, name in ((0, 0, "xx"), (0, 1, "xy"), (1, 0, "xy"), (1, 1, "yy")):
        spread[:, i, j] = [float(row[f"covariance_{name}_m2"]) for row in free]
    spread[:, 2, 2] = 1.0
    on_the_map = OnTheMap(read_map(open_paths(store)))
    expected, _, _ = on_the_map.allowed(places, spread, np.ones(len(free), dtype=bool))
    found = np.array([[float(row[axis]) for axis in ("x_m", "y_m")] for row in held])
    np.testing.assert_allclose(found, expected[:, :2], atol=2e-3)
    moved = np.linalg.norm(found - places[:, :2], axis=1) > 0.01
    assert 0 < moved.sum() < len(moved)
    bare = write_miniature(tmp_path / "bare.zarr", with_map=False)
    with pytest.raises(ValueError, match="has no map"):
        map_round(open_paths(bare), open_source(store, Reading(bandwidth=2e7)), small_model())


def test_a_model_that_follows_waves_is_told_the_map_that_is_named(capfd, tmp_path):
    store = write_miniature(tmp_path / "mini.zarr")
    heard = (store, "--bandwidth", "2e7", "--model", "radiofix-cities", "--users", "4")
    assert main(["locate", *map(str, heard)]) == 2
    said = capfd.readouterr().err
    assert "has no map of its site yet: name a store with its buildings by --map" in said
    assert said.count("\n") == 1
    found = table(typed(capfd, *heard, "--map", store))
    model = rf.load("radiofix-cities")
    assert give_map(model, read_map(open_paths(store)))
    source = open_source(store, Reading(bandwidth=2e7, users=4))
    outdoors = map_round(open_paths(store), source, model)
    told = [outdoors.block(fixes).position for fixes in locate(model, source.blocks())]
    places = np.array([[float(row[axis]) for axis in ("x_m", "y_m")] for row in found])
    assert len(places) == 4
    np.testing.assert_allclose(places, np.concatenate(told)[:, :2], atol=2e-3)


def test_a_map_that_the_channels_do_not_bear_out_is_told_of_in_one_line(capfd, tmp_path):
    store = write_miniature(tmp_path / "mini.zarr")
    heard = (store, "--bandwidth", "2e7", "--snr-db", "20", "--out", tmp_path / "fixes.csv")
    moved = write_miniature(tmp_path / "moved.zarr")
    vertices = zarr.open_group(moved, mode="r+")["map/vertices"]
    vertices[...] = vertices[...] + [0.0, 6.0, 0.0]
    for given, told in ((store, ""), (moved, "walls of the map bring two waves of a user")):
        assert main(["locate", *map(str, heard), "--map", str(given)]) == 0
        said = capfd.readouterr().err
        assert told in said
        assert said.count("\n") == bool(told), said
    few = (*heard, "--users", "4", "--map", store)
    assert main(["locate", *map(str, few)]) == 0
    assert "mini.zarr is not held against the channels" in capfd.readouterr().err


@pytest.mark.parametrize("suffix", ["csv", "geojson", "json"])
def test_the_suffix_of_out_is_its_format(capsys, tmp_path, arrays, suffix):
    out = tmp_path / f"fixes.{suffix}"
    path = write_npz(tmp_path / "a.npz", arrays)
    assert main(["locate", str(path), "--out", str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["fixes"], told["frame"]) == (8, "local, metres")
    content = out.read_text()
    if suffix == "csv":
        assert len(table(content)) == 8
    else:
        assert "local" in json.loads(content)["frame"]
    assert main(["locate", str(path), "--out", str(out), "--origin", "48.1,11.5"]) == 0
    assert "frame: WGS 84" in capsys.readouterr().out
    assert out.read_text() != content


def test_files_folders_patterns_stores_and_pipes_give_the_same_fixes(
    capfd, monkeypatch, tmp_path, arrays
):
    folder = tmp_path / "in"
    folder.mkdir()
    path = write_npz(folder / "a.npz", arrays)
    write_hdf5(folder / "b.h5", arrays)
    (folder / "notes.txt").write_text("not CSI")

    def places(text):
        return [(row["user"], row["x_m"], row["y_m"]) for row in table(text)]

    alone = places(typed(capfd, path))
    assert len(alone) == 8
    assert places(typed(capfd, folder)) == alone * 2
    assert places(typed(capfd, folder / "*.h5", path)) == alone * 2
    with path.open("rb") as raw:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(raw))
        piped = table(typed(capfd, "-"))
    assert [(row["user"], row["x_m"], row["y_m"]) for row in piped] == alone
    assert {row["source"] for row in piped} == {"standard input"}


def test_stations_come_from_a_short_file(capfd, tmp_path, site, arrays):
    (tmp_path / "stations.yaml").write_text(SITE)
    bare = {"csi": arrays["csi"], "t": arrays["time"]}
    path = write_npz(tmp_path / "bare.npz", bare)
    full = write_npz(tmp_path / "full.npz", arrays)
    given = ("--stations", tmp_path / "stations.yaml", "--names", "time=t")
    band = ("--bandwidth", "2e7", "--ula-spacing", "0.5")
    found, expected = table(typed(capfd, path, *given, *band)), table(typed(capfd, full))
    for ours, theirs in zip(found, expected, strict=True):
        assert float(ours["x_m"]) == pytest.approx(float(theirs["x_m"]), abs=0.05)
        assert ours["time_s"] == theirs["time_s"]


def test_a_walk_is_smoothed(capfd, tmp_path, arrays):
    path = write_npz(tmp_path / "a.npz", arrays)
    raw, tracked = table(typed(capfd, path)), table(typed(capfd, path, "--track"))
    assert len(raw) == len(tracked) == 8
    assert "velocity_x_m_per_s" in tracked[0]
    used = [row["trusted"] == "true" for row in tracked]
    if any(used):
        middle = used.index(True)
        assert float(tracked[middle]["sigma_major_m"]) <= float(raw[middle]["sigma_major_m"])


def test_mistakes_are_one_line_and_leave_nothing(capsys, tmp_path, monkeypatch, arrays):
    out = tmp_path / "out.csv"
    path = write_npz(tmp_path / "a.npz", arrays)
    still = write_npz(tmp_path / "still.npz", {k: v for k, v in arrays.items() if k != "time"})
    broken = tmp_path / "broken.npz"
    broken.write_bytes(path.read_bytes()[:-3000])
    flipped = bytearray(path.read_bytes())
    flipped[1500] ^= 1
    (tmp_path / "flipped.npz").write_bytes(flipped)
    (tmp_path / "text.npz").write_text("what is this")
    store = write_miniature(tmp_path / "mini.zarr")
    (tmp_path / "one.yaml").write_text(SITE.split("\n")[1])
    (tmp_path / "empty").mkdir()
    before = sorted(map(str, tmp_path.rglob("*")))
    cases = [
        ((tmp_path / "none.npz",), "none.npz does not exist: give a file, a folder or a store"),
        ((tmp_path / "*.nothing",), "matches no file"),
        ((tmp_path / "empty",), "holds neither a store nor a file of .npz"),
        ((broken, "--out", out), "broken.npz cannot be read as .npz, .mat or HDF5, get it again"),
        ((tmp_path / "flipped.npz", "--out", out), "flipped.npz cannot be read as"),
        ((path, broken, "--out", out), "broken.npz cannot be read as"),
        ((tmp_path / "text.npz",), "text.npz cannot be read as"),
        ((path, "--model", "gpt"), "gpt is neither a finished run's folder nor a localizer"),
        ((path, "--out", tmp_path / "fixes.shp"), "suffix '.shp' is none of .csv, .geojson"),
        ((path, "--out", out, "--format", "csv"), "--format is for standard output"),
        ((path, "--out", tmp_path / "no" / "x.csv"), "does not exist: make it"),
        ((path, "--format", "xml"), "invalid choice: 'xml'"),
        ((path, "--stations", tmp_path / "one.yaml"), "has CSI of 2 stations, 1 are given"),
        ((path, "--snr-db", "3"), "leave snr_db out"),
        ((path, "--names", "csi"), "'csi' is not of the form KEY=VALUE"),
        ((path, "--names", "csi=H"), "has no 'H': it has csi"),
        ((path, "--confidence", "0.9"), "--confidence: is in percent, as 90, got 0.9"),
        ((path, "--confidence", "100"), "confidence must lie between 0 and 100 %, got 100"),
        ((path, "--origin", "95,0"), "latitude must lie between -90 and 90 degrees, got 95"),
        ((path, "--origin", "95"), "takes two to four numbers, got '95'"),
        ((path, "--device", "tpu"), "device='tpu' is not there"),
        ((path, "--device", "cuda", "--engine", "onnx"), "device='cuda' is for torch"),
        ((path, "--model", tmp_path / "none.onnx"), "none.onnx cannot be read as an ONNX model"),
        ((path, "--engine", "jax"), "invalid choice: 'jax'"),
        ((still, "--track", "--out", out), "still.npz has no time: name it"),
        ((store,), "is a store of paths: give bandwidth"),
        ((store, "--bandwidth", "1e7", "--axes", "user"), "axes is for files, leave it out"),
        ((), "required: CSI"),
    ]
    for arguments, message in cases:
        assert message in mistake(capsys, "locate", *arguments), arguments
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO()))
    assert "standard input is empty" in mistake(capsys, "locate", "-")
    assert sorted(map(str, tmp_path.rglob("*"))) == before


GROWTH = """
import resource, sys
import torch
from radiofix.cli import main
from radiofix.serving import engines
from radiofix.types import Fix

class Still(torch.nn.Module):
    def fix(self, sounding):
        many = len(sounding)
        everywhere = torch.eye(3, dtype=torch.float64).expand(many, 3, 3)
        return Fix(everywhere[:, 0], everywhere, torch.ones(many, dtype=torch.bool))

engines.load = lambda name: Still()
for path in sys.argv[1:]:
    assert main(["locate", path, "--engine", "torch", "--out", path + ".csv", "--json"]) == 0
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
"""


def test_memory_does_not_grow_with_the_input(tmp_path, arrays):
    """Four times as many links, 295 MB more of them, in the memory that the first took."""
    few, many = tmp_path / "few.npz", tmp_path / "many.npz"
    for path, links in ((few, 3000), (many, 12_000)):
        np.savez(
            path,
            csi=np.broadcast_to(np.complex64(1e-4), (links, 32, 128)),
            bandwidth=20e6,
            antenna_position=np.zeros((32, 3)),
            carrier_frequency=3.5e9,
            station_position=arrays["station_position"][:1],
            station_orientation=arrays["station_orientation"][:1],
        )
    code = [sys.executable, "-c", GROWTH, str(few), str(many)]
    found = subprocess.run(code, capture_output=True, text=True, check=True)
    before, after = (int(line) / 1e3 for line in found.stderr.split())
    assert (many.stat().st_size - few.stat().st_size) / 1e6 > 290
    assert after - before < 75
    assert (tmp_path / "many.npz.csv").read_text().count("\n") == 12_001
