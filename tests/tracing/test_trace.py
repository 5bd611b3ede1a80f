"""Traced paths obey geometry, and a trace can be killed at any moment."""

import hashlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from radiofix.data.check import check
from radiofix.data.store import StoreError, open_paths
from radiofix.scenes.outdoors import inside_buildings
from radiofix.tracing import engines
from radiofix.tracing.plan import TracePlan
from radiofix.tracing.run import trace
from radiofix.tracing.solver import require_tracer
from radiofix.types import SPEED_OF_LIGHT

pytest.importorskip("sionna.rt", reason="needs radiofix[trace]")
PLAN = TracePlan("o1", users="1-7", stations=(3, 10), bounces=2, rays=2000, paths=6)
COMMAND = (
    *(sys.executable, "-m", "radiofix.cli", "trace", "o1", "--users", "1-7"),
    *("--stations", "3,10", "--bounces", "2", "--rays", "2000", "--paths", "6"),
)


def content(store: Path) -> dict[str, str]:
    """Every file of a store and what is in it."""
    files = [path for path in sorted(store.rglob("*")) if path.is_file()]
    return {str(p.relative_to(store)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    require_tracer()
    out = tmp_path_factory.mktemp("whole") / "o1.zarr"
    trace(PLAN, out)
    return out


def test_line_of_sight_has_the_delay_gain_and_angles_of_a_straight_line(whole):
    store = open_paths(whole)
    paths = store.links()
    assert len(paths) == 7 * 181 * 2
    assert paths.line_of_sight.all()
    sight = paths.interactions == 0
    assert (sight.sum(-1) == 1).all()
    offset = (paths.user_position - paths.station_position).numpy()
    distance = np.linalg.norm(offset, axis=-1)
    delay = paths.delay[sight].numpy()
    np.testing.assert_allclose(delay * SPEED_OF_LIGHT, distance, atol=1e-3)
    friis = SPEED_OF_LIGHT / (4 * np.pi * 3.5e9 * distance)
    np.testing.assert_allclose(paths.gain[sight].abs().numpy(), friis, rtol=1e-4)
    phase = np.exp(-2j * np.pi * 3.5e9 * delay.astype(np.float64))
    np.testing.assert_allclose(paths.gain[sight].numpy() / friis, phase, atol=0.02)
    azimuth = np.arctan2(offset[:, 1], offset[:, 0])
    np.testing.assert_allclose(paths.station_azimuth[sight].numpy(), azimuth, atol=1e-4)
    zenith = np.arccos(offset[:, 2] / distance)
    np.testing.assert_allclose(paths.station_zenith[sight].numpy(), zenith, atol=1e-4)
    back = np.arctan2(-offset[:, 1], -offset[:, 0])
    np.testing.assert_allclose(paths.user_azimuth[sight].numpy(), back, atol=1e-4)


def test_single_bounces_have_the_delays_of_mirror_images(whole):
    """Ground and the two long walls (x = 233 and 290.008 m): the station seen in a mirror."""
    paths = open_paths(whole).links()
    user, station = paths.user_position.numpy(), paths.station_position.numpy()
    images = []
    for axis, wall in ((2, 0.0), (0, 235.504 - 2.504), (0, 287.504 + 2.504)):
        image = station.copy()
        image[:, axis] = 2 * wall - image[:, axis]
        images.append(np.linalg.norm(user - image, axis=-1))
    lengths = paths.delay.numpy() * SPEED_OF_LIGHT
    single = paths.interactions.numpy() == 1
    off = np.min([np.abs(lengths - image[:, None]) for image in images], axis=0)
    assert (off[single] < 2e-3).mean() > 0.95
    ground = np.abs(np.where(single, lengths, np.inf) - images[0][:, None]).min(-1)
    assert (ground < 2e-3).all()


def test_a_traced_store_is_sound_and_lists_its_origin(whole):
    report = check(whole, inside_buildings)
    assert report.ok, [f for f in report.findings if not f.ok]
    attributes = open_paths(whole).attributes
    assert attributes["plan"]["users"] == "1-7"
    assert attributes["split_sizes"] == [10_000, 1_000, 10_000]
    assert attributes["tracer"].startswith("Sionna RT 2")
    assert attributes["station_names"] == ["3", "10"]
    scene_map = open_paths(whole).map
    assert len(np.unique(scene_map.face_building)) == 32 + 1


def test_killed_and_resumed_gives_the_same_bytes(whole, tmp_path):
    out = tmp_path / "o1.zarr"
    command = (*COMMAND, "--out", str(out))
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    units = tmp_path / ".o1.zarr.units"
    deadline = time.monotonic() + 120
    while not list(units.glob("unit-*.npz")):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not out.exists()
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 2
    assert "was begun and not finished: add --resume" in again.stderr
    other = subprocess.run(
        (*command, "--resume", "--seed", "5"), capture_output=True, text=True, check=False
    )
    assert other.returncode == 2
    assert "was begun with seed=0, now seed=5" in other.stderr
    subprocess.run((*command, "--resume"), check=True, stderr=subprocess.DEVNULL)
    assert content(out) == content(whole)
    assert not units.exists()


def test_a_store_is_never_overwritten(whole):
    before = content(whole)
    with pytest.raises(StoreError, match="exists already"):
        trace(PLAN, whole, resume=True)
    assert content(whole) == before


def write_house(file: Path, height: float) -> bytes:
    """A GeoJSON file of one house, some 22 by 22 m."""
    corners = [[0.0, 0.0], [2e-4, 0.0], [2e-4, 2e-4], [0.0, 2e-4], [0.0, 0.0]]
    house = {
        "type": "Feature",
        "properties": {"height": height},
        "geometry": {"type": "Polygon", "coordinates": [corners]},
    }
    file.write_text(json.dumps({"type": "FeatureCollection", "features": [house]}))
    return file.read_bytes()


def test_a_trace_whose_file_changed_is_not_gone_on_with(tmp_path):
    """Units of two worlds must not come into one store."""
    file, out = tmp_path / "site.geojson", tmp_path / "site.zarr"
    plan = TracePlan(f"osm:{file}", {"station_count": 1}, users="6", bounces=1, rays=500)
    seen = []

    def cut_off(plan, units):
        seen.append(plan)
        raise InterruptedError

    low = write_house(file, 9.0)
    with pytest.raises(InterruptedError):
        trace(plan, out, cut_off)
    write_house(file, 18.0)
    with pytest.raises(
        StoreError, match=r"begun with the scene's sha256=.*same arguments and file"
    ):
        trace(plan, out, cut_off, resume=True)
    # A worker that reads the file later than the trace did is no better off.
    with pytest.raises(ValueError, match=r"site.geojson has sha256=.*: bring the file back"):
        engines.trace_unit(seen[0].to_json(), 0)
    file.write_bytes(low)
    trace(plan, out, resume=True, split_sizes=(3, 2, 1))
    store = open_paths(out)
    assert store.map.vertices[:, 2].max() == 9.0
    assert store.attributes["plan"]["arguments"]["sha256"] == hashlib.sha256(low).hexdigest()
    assert store.attributes["split_sizes"] == [3, 2, 1]
    assert [len(store.split("random", p)) for p in ("train", "validation", "test")] == [3, 2, 1]


@pytest.mark.parametrize("sizes", [(-5, 1, 1), (1, 2, -3), (1, 2), ()])
def test_impossible_split_sizes_are_refused_before_anything_is_traced(tmp_path, sizes):
    def never(plan, units):
        raise AssertionError("traced")

    with pytest.raises(ValueError, match="must be three numbers of users, none negative"):
        trace(PLAN, tmp_path / "o1.zarr", never, split_sizes=sizes)
    assert not list(tmp_path.iterdir())


def test_two_processes_find_the_same(whole, tmp_path):
    trace(PLAN, tmp_path / "o1.zarr", engines.local(2))
    assert content(tmp_path / "o1.zarr") == content(whole)


@pytest.mark.timeout(400)
def test_a_ray_cluster_finds_the_same_though_a_node_dies(whole, tmp_path, monkeypatch):
    ray = pytest.importorskip("ray", reason="needs radiofix[cluster]")
    monkeypatch.setenv("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    # Ray's workers give way to everything else; here a test waits for them.
    monkeypatch.setenv("RAY_worker_niceness", "0")
    from ray.cluster_utils import Cluster

    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
    )
    second = cluster.add_node(num_cpus=1)
    try:
        ray.init(address=cluster.address, log_to_driver=False)
        assert ray.cluster_resources()["CPU"] == 2
        alive = [second]

        def kill_one_node(before: int, done: int, total: int) -> None:
            if done and alive:
                cluster.remove_node(alive.pop(), allow_graceful=False)

        trace(PLAN, tmp_path / "o1.zarr", engines.ray(2), progress=kill_one_node)
        assert not alive
        assert content(tmp_path / "o1.zarr") == content(whole)
    finally:
        ray.shutdown()
        cluster.shutdown()


def test_diffraction_reaches_the_cross_street(tmp_path):
    """Users round the corner have no line of sight; bent paths reach them."""
    plan = TracePlan("o1", users="60", groups=(2,), stations=(3,), diffraction=True, rays=2000)
    trace(plan, tmp_path / "bent.zarr")
    paths = open_paths(tmp_path / "bent.zarr").links()
    far = paths.user_position[:, 0] < 200
    assert not paths.line_of_sight[far].any()
    assert paths.diffracted[far].any(-1).float().mean() > 0.9
