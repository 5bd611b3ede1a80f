"""`pretrain`, `finetune`, `evaluate` and `bench train` as a user types them."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from cli.mistakes import mistake
from miniature import write_miniature
from radiofix.cli import main, models
from radiofix.data.store import open_paths
from radiofix.physics.arrays import ula
from radiofix.physics.channel import Channel
from radiofix.training.logs import JUDGED
from radiofix.training.loop import Outcome, Progress

SMOKE = Path(__file__).parents[2] / "recipes" / "lwlm" / "smoke.yaml"
FINETUNE = """
encoder: null
head: {class_path: radiofix.models.heads.PositionHead}
task: {class_path: radiofix.objectives.tasks.PositionTask}
receiver: {bandwidths: [1.0e+7], antennas: 8, subcarriers: 16}
split: random
labels: 10
training: {steps: 5, batch: 10, rate: 1.0e-3, validate_every: 5}
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return write_miniature(tmp_path_factory.mktemp("models") / "miniature.zarr")


def typed(capsys, *arguments):
    status = main([str(argument) for argument in arguments])
    return status, capsys.readouterr().out


def test_the_smoke_recipe_learns_and_is_fine_tuned_and_evaluated(capsys, tmp_path, store):
    small = ["training.batch=8", "training.steps=60", "training.validate_every=30"]
    command = ("pretrain", SMOKE, "--store", store, "--out", tmp_path / "a", "--json")
    status, out = typed(capsys, *command, "--set", *small)
    assert status == 0
    assert json.loads(out)["finished"]
    lines = (tmp_path / "a" / "validation.csv").read_text().splitlines()
    assert lines[0] == "step,loss,sfmcm,dti,picl"
    first, last = ([float(x) for x in line.split(",")] for line in (lines[1], lines[-1]))
    assert last[1] < first[1]
    recipe = tmp_path / "finetune.yaml"
    recipe.write_text(FINETUNE)
    command = ("finetune", recipe, "--store", store, "--out", tmp_path / "b")
    status, out = typed(capsys, *command, "--from", tmp_path / "a", "--labels", 15, "--seed", 2)
    assert status == 0
    assert "finished" in out
    config = json.loads((tmp_path / "b" / "config.json").read_text())
    assert (config["recipe"]["labels"], config["seed"]) == (15, 2)
    learns = config["learns"]
    assert learns["frozen"] == learns["teller"] == 0
    assert f"learns {learns['backbone']:,} of {learns['backbone']:,} parameters" in out
    assert "beside the head (100 %)" in out
    status, out = typed(capsys, "evaluate", tmp_path / "b", "--store", store, "--json")
    assert status == 0
    found = json.loads(out)
    assert found["part"] == "test"
    assert 0 < found["median"] <= found["p67"] <= found["p80"] <= found["p90"] <= found["p95"]
    assert found["mean"] <= found["rmse"]
    status, out = typed(capsys, "evaluate", tmp_path / "b", "--store", store, "--split", "region")
    assert status == 0
    assert "split region, part test" in out


def test_arrays_with_some_places_are_imported_learnt_from_judged_and_located(
    capsys, tmp_path, store
):
    links = open_paths(store).links(station=0)
    position = links.user_position.numpy().copy()
    position[::4] = np.nan
    csi = Channel(20e6, 16, ula(8)).synthesize(links).numpy()
    np.savez(tmp_path / "points.npz", H=csi, place=position)
    site = tmp_path / "site.zarr"
    known = ("bandwidth=2e7", "ula_spacing=0.5", "carrier_frequency=3.5e9")
    axes = ("--axes", "user antenna subcarrier", "--names", "csi=H", "user_position=place")
    status, _ = typed(
        capsys,
        *("import", "arrays", tmp_path / "points.npz", "--out", site, *axes),
        *("--set", *known, "station_position=[0,0,6]"),
    )
    assert status == 0
    recipe = tmp_path / "finetune.yaml"
    recipe.write_text(FINETUNE)
    run = tmp_path / "run"
    command = ("finetune", recipe, "--store", site, "--from", "radiofix-nano", "--out", run)
    status, out = typed(capsys, *command, "--labels", 12, "--json")
    assert status == 0
    assert json.loads(out)["finished"]
    status, out = typed(capsys, "evaluate", run, "--store", site, "--json")
    assert status == 0
    heard = (open_paths(site).dataset["csi"].values != 0).any((1, 2, 3))
    tested = open_paths(site).split("random", "test")
    assert json.loads(out)["answers"] == heard[tested].sum()
    fixes = tmp_path / "fixes.csv"
    status, _ = typed(capsys, "locate", site, "--model", run, "--out", fixes)
    assert status == 0
    rows = {int(row["user"]): row for row in csv.DictReader(fixes.open())}
    assert len(rows) == 60
    away = [
        np.hypot(float(rows[user]["x_m"]) - place[0], float(rows[user]["y_m"]) - place[1])
        for user, place in enumerate(links.user_position.tolist())
        if user in set(tested[heard[tested]])
    ]
    assert np.mean(away) == pytest.approx(json.loads(out)["mean"], rel=1e-3)


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (9.5, 13.25, "farther off than before training (9.5, then 13.2)"),
        (9.5, 9.5, "no nearer"),
        (9.5, 3.0, ""),
    ],
)
def test_training_that_brought_nothing_is_told_of(tmp_path, caplog, before, after, told):
    (tmp_path / JUDGED).write_text(f"step,mean\n0,{before}\n5,{after}\n")
    progress = Progress(figures={"mean": after})
    models._tell_what_training_brought(tmp_path, Outcome(progress, True, 1.0))
    assert told in caplog.text
    assert bool(caplog.text) == bool(told)


def test_a_run_out_of_time_goes_on_with_resume(capsys, tmp_path, store):
    settings = ["--set", "training.batch=8", "training.steps=4", "--json"]
    command = ("pretrain", SMOKE, "--store", store, "--out", tmp_path / "a", *settings)
    status, out = typed(capsys, *command, "--minutes", "1e-9")
    assert status == 0
    assert not json.loads(out)["finished"]
    assert json.loads(out)["steps"] == 1
    assert "--resume" in mistake(capsys, *command)
    status, out = typed(capsys, *command, "--resume")
    assert json.loads(out)["finished"]
    assert json.loads(out)["steps"] == 4
    other = mistake(capsys, *command, "--resume", "--set", "seed=5")
    assert "another seed" in other


def test_mistakes_are_one_line_and_leave_nothing(capsys, tmp_path, store):
    out = tmp_path / "run"
    recipe = tmp_path / "finetune.yaml"
    recipe.write_text(FINETUNE)
    before = sorted(map(str, tmp_path.rglob("*")))
    pre = ("pretrain", SMOKE, "--store", store, "--out", out)
    cases = [
        ((*pre, "--set", "training.stepz=1"), "stepz"),
        ((*pre, "--set", "encoder.class_path=os.system"), "refused"),
        ((*pre, "--resume"), "is no run to resume"),
        ((*pre, "--device", "tpu"), "device='tpu' is none"),
        ((*pre, "--processes", "0"), "must be at least 1"),
        ((*pre, "--processes", "3"), "batch=16 cannot be shared by 3 processes evenly"),
        (("pretrain", tmp_path / "no.yaml", "--out", out), "no.yaml"),
        (("pretrain", SMOKE, "--store", store, "--out", tmp_path), "exists already"),
        (("finetune", recipe, "--store", store, "--out", out, "--labels", "x"), "must be a number"),
        (("finetune", recipe, "--out", out, "--labels", "-1"), "must be at least 0, got -1"),
        (("evaluate", tmp_path, "--store", store), "is no finished run"),
        (("bench", "train", tmp_path / "no.yaml"), "no.yaml"),
    ]
    for arguments, message in cases:
        assert message in mistake(capsys, *arguments), arguments
    assert sorted(map(str, tmp_path.rglob("*"))) == before
    for arguments, message in (
        (("pretrain", SMOKE, "--out", out), "no store is given"),
        ((*pre[:3], tmp_path / "none.zarr", "--out", tmp_path / "b"), "is no store"),
        (("finetune", recipe, "--store", store, "--out", tmp_path / "c"), "no encoder is given"),
        (("finetune", recipe, "--store", store, "--labels", "0", "--out", out), "no encoder is"),
    ):
        assert message in mistake(capsys, *arguments), arguments


def test_bench_train_compares_a_step_with_its_bare_layers(capsys):
    command = ("bench", "train", SMOKE, "--repeats", 2, "--json")
    status, out = typed(capsys, *command)
    assert status == 0
    found = json.loads(out)
    # Eight links at a time: two encoder layers for three views, one layer in each of two decoders.
    assert found["layer_calls"] == 2 * (3 * 16 // 8) + 2 * (16 // 8)
    tokens = 4 * 8 + 1
    assert found["tokens"] == tokens * 16 * (2 * 3 + 1 + 1)
    assert found["ratio"] == pytest.approx(found["step_s"] / found["bare_s"])
    assert found["samples_per_s"] == pytest.approx(16 / found["step_s"])
