"""The commands as a user types them: results, `--json`, exit status, one line for a mistake."""

import argparse
import json
import subprocess
import sys
from importlib import import_module

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cli.mistakes import mistake
from miniature import write_miniature
from radiofix.cli import ROOMS, main, parser


@pytest.fixture
def store(tmp_path):
    return write_miniature(tmp_path / "mini.zarr")


def files(folder):
    return sorted(str(path) for path in folder.rglob("*"))


def test_scenes_are_listed_for_people_and_machines(capsys):
    assert main(["scenes"]) == 0
    assert "munich" in capsys.readouterr().out
    assert main(["scenes", "--json"]) == 0
    assert {"o1", "city", "osm", "etoile"} <= set(json.loads(capsys.readouterr().out))


def test_info_counts_what_the_store_holds(capsys, store):
    assert main(["info", str(store), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["users"] == 60
    assert len(summary["stations"]) == 2
    assert main(["info", str(store)]) == 0
    assert "line of sight" in capsys.readouterr().out


def test_check_is_0_for_a_sound_store_and_1_for_a_damaged_one(capsys, store):
    assert main(["check", str(store)]) == 0
    chunk = next((store / "delay" / "c").rglob("0"))
    chunk = next(path for path in (store / "delay" / "c").rglob("*") if path.is_file())
    content = bytearray(chunk.read_bytes())
    content[len(content) // 2] ^= 1
    chunk.write_bytes(content)
    capsys.readouterr()
    assert main(["check", str(store), "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert not report["ok"]
    assert any("delay" in f["detail"] for f in report["findings"] if not f["ok"])


@pytest.mark.parametrize("colour", ["los", "power", "paths", "split:random"])
def test_a_store_is_drawn_by_every_colour(tmp_path, store, colour):
    out = tmp_path / "picture.svg"
    assert main(["plot", str(store), "--out", str(out), "--colour-by", colour]) == 0
    assert out.read_text().startswith("<?xml")


@pytest.mark.parametrize(
    ("variable", "colour"),
    [
        ("gain", "power"),
        ("interactions", "los"),
        ("interactions", "paths"),
        ("split_random", "split:random"),
        ("user_position", "power"),
        ("station_position", "los"),
    ],
)
def test_a_damaged_store_is_not_drawn_and_one_line_says_so(
    capsys, tmp_path, store, variable, colour
):
    for chunk in (store / variable / "c").rglob("*"):
        if chunk.is_file():
            content = bytearray(chunk.read_bytes())
            content[len(content) // 2] ^= 1
            chunk.write_bytes(content)
    out = tmp_path / "x.png"
    said = mistake(capsys, "plot", store, "--out", out, "--colour-by", colour)
    assert f"{store} is damaged, radiofix check {store} tells where" in said
    assert not out.exists()


def test_a_link_and_a_scene_are_drawn(tmp_path, store):
    link, echoes, scene = (tmp_path / f"{name}.png" for name in ("link", "echoes", "scene"))
    assert main(["plot", str(store), "--link", "3,1", "--out", str(link)]) == 0
    assert main(["plot", str(store), "--echoes", "3,1", "--out", str(echoes)]) == 0
    assert main(["plot", "city:5", "--out", str(scene)]) == 0
    for picture in (link, echoes, scene):
        assert picture.read_bytes().startswith(b"\x89PNG")


def test_arrays_become_a_store(capsys, tmp_path):
    rng = np.random.default_rng(0)
    csi = rng.normal(size=(5, 4, 8)) + 1j * rng.normal(size=(5, 4, 8))
    np.savez(tmp_path / "site.npz", H=csi, pos=rng.uniform(0, 20, (5, 3)))
    out = tmp_path / "site.zarr"
    command = ["import", "arrays", str(tmp_path / "site.npz"), "--out", str(out)]
    command += ["--names", "csi=H", "user_position=pos", "--axes", "user antenna subcarrier"]
    command += ["--set", "carrier_frequency=3.5e9", "bandwidth=2e7", "ula_spacing=0.5"]
    command += ["station_position=[0,0,10]", "--json"]
    assert main(command) == 0
    made = json.loads(capsys.readouterr().out)
    assert (made["user"], made["antenna"], made["subcarrier"]) == (5, 4, 8)


def test_mistakes_are_one_line_and_leave_nothing(capsys, tmp_path, store):
    before = files(tmp_path)
    out = tmp_path / "out.zarr"
    cases = [
        (("trace", "atlantis", "--out", out), "atlantis"),
        (("trace", "o1", "--out", out, "--users", "0"), "users must lie between 1 and 497931"),
        (("trace", "o1", "--out", out, "--stations", "3,99"), "o1 has no station 99"),
        (("trace", "o1", "--out", out, "--stations", "3,x"), "must be a number, got 'x'"),
        (("trace", "o1", "--out", out, "--frequency", "-1"), "must be a positive number, got -1"),
        (("trace", "o1", "--out", out, "--bounces", "-1"), "bounces must be at least 0"),
        (("trace", "o1", "--out", out, "--set", "height"), "'height' is not of the form KEY=VALUE"),
        (("trace", "o1", "--out", out, "--set", "wings=2"), "wings"),
        (("trace", "o1", "--out", out, "--set", "wall_distance=99"), "wall_distance must lie"),
        (("trace", "o1", "--out", tmp_path / "no" / "x"), "does not exist: make it"),
        (("trace", "o1", "--out", store, "--users", "5"), "exists already"),
        (
            ("trace", "o1", "--out", out, "--set", "wall_distance=abc"),
            "must be a number, got 'abc'",
        ),
        (("trace", "city:1", "--out", out, "--set", "name=abc"), "argument 'name'"),
        (("trace", "o1", "--out", out, "--split-sizes", "1,2"), "three numbers"),
        (("trace", "o1", "--out", out, "--split-sizes=-5,1,1"), "none negative"),
        (("plot", "city:5", "--out", tmp_path / "x.png", "--set", "name=x"), "argument 'name'"),
        (("info", tmp_path / "none"), "is no store"),
        (("check", tmp_path / "none"), "does not exist"),
        (("plot", store, "--out", tmp_path / "x.gif"), ".gif"),
        (("plot", store, "--out", tmp_path / "x.png", "--link", "99,0"), "99"),
        (("plot", store, "--out", tmp_path / "x.png", "--colour-by", "mood"), "mood"),
        (("plot", "city:5", "--out", tmp_path / "x.png", "--link", "1,1"), "a link needs a store"),
        (
            ("plot", store, "--out", tmp_path / "x.png", "--echoes", "1"),
            "--echoes takes USER,STATION",
        ),
        (("plot", store, "--out", tmp_path / "x.png", "--echoes", "99,0"), "99"),
        (("import", "deepmimo", tmp_path / "none", "--out", out), "does not exist"),
        (("import", "deepmimo", tmp_path, "--out", out), "is no DeepMIMO scenario"),
        (("bench", "channel", "--links", "0"), "must be at least 1, got 0"),
        (("levitate",), "invalid choice: 'levitate'"),
        ((), "required: COMMAND"),
    ]
    for arguments, message in cases:
        assert message in mistake(capsys, *arguments), arguments
    assert files(tmp_path) == before


@given(
    option=st.sampled_from(
        ["--users", "--stations", "--frequency", "--bounces", "--rays", "--seed"]
    ),
    value=st.text(alphabet=st.characters(codec="ascii", exclude_characters="\x00-"), min_size=1),
)
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_no_value_of_any_option_gives_a_traceback(capsys, tmp_path, option, value):
    """A bad scene stops every run before it traces; nothing else may escape either."""
    try:
        status = main(["trace", "atlantis", "--out", str(tmp_path / "x"), option, value])
    except SystemExit as stop:
        status = stop.code
    assert status == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_bench_channel_reports_rate_and_memory(capsys):
    assert main(["bench", "channel", "--links", "256", "--repeats", "2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["links_per_s"] > 0
    assert found["bytes_written"] == 256 * 32 * 128 * 8
    assert 0 < found["share_of_memory_bandwidth"] < 1


def test_import_is_quick_and_needs_no_extra():
    """Sionna, Ray and the rest of the extras stay out of `import radiofix`."""
    code = (
        "import sys, time; t = time.perf_counter(); import radiofix; "
        "print(time.perf_counter() - t); "
        "print([m for m in ('sionna', 'mitsuba', 'ray', 'fastapi') if m in sys.modules])"
    )
    command = [sys.executable, "-c", code]
    runs = [
        subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")
        for _ in range(3)
    ]
    assert min(float(run[0]) for run in runs) < 3
    assert all(run[1] == "[]" for run in runs)


@pytest.mark.parametrize("name", ["--snr-db", "--snr"])
def test_the_snr_of_a_bound_is_called_as_elsewhere_or_as_it_was(name):
    options = parser().parse_args(["plot", "o1.zarr", "--out", "a.png", name, "7.5"])
    assert options.snr_db == 7.5


def test_every_command_is_in_the_room_that_the_command_line_looks_for_it_in():
    for room, named in ROOMS.items():
        commands = argparse.ArgumentParser().add_subparsers()
        import_module(f"radiofix.cli.{room}").add_commands(commands)
        assert tuple(commands.choices) == named
    listed = parser().format_help()
    assert all(f"    {name} " in listed for named in ROOMS.values() for name in named)


def test_a_command_does_not_import_what_others_need():
    code = (
        "import sys; from radiofix.cli import main\n"
        "try: main(['locate', '--help'])\n"
        "except SystemExit: pass\n"
        "print([n for n in ('matplotlib', 'xarray', 'sklearn') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
