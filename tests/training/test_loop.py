"""What a run is worth: killed and resumed it ends the same, and two processes do what one does."""

import signal
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from lightning_fabric import Fabric
from safetensors.torch import load_file

from radiofix.training.checkpoints import LAST, RunFolder
from radiofix.training.launch import launch
from radiofix.training.pretrain import pretrain

KILLED = """
import os, pickle, signal, sys
from radiofix.training import loop
from radiofix.training.checkpoints import RunFolder
from radiofix.training.launch import launch
from radiofix.training.pretrain import pretrain

recipe, folder, threads = pickle.loads(bytes.fromhex(sys.argv[1]))
loop.torch.set_num_threads(threads)
step = loop.Loop.step

def fatal(self):
    step(self)
    if self.progress.step == 8:
        os.kill(os.getpid(), signal.SIGKILL)

loop.Loop.step = fatal
launch(pretrain, "cpu", 1, "32-true", recipe, RunFolder(folder))
"""


def run(recipe, folder, **others):
    fabric = Fabric(accelerator="cpu", devices=1, precision=recipe.training.precision)
    return pretrain(fabric, recipe, RunFolder(folder), **others)


def steps(folder, name="training.csv"):
    lines = (folder / name).read_text().splitlines()
    return lines[0].split(","), [[float(x) for x in line.split(",")] for line in lines[1:]]


def test_a_killed_run_resumes_to_the_same_weights_bit_for_bit(tmp_path, smoke):
    import pickle

    recipe = smoke(
        "training.steps=12",
        "training.checkpoint_every=5",
        "training.validate_every=6",
        "training.average=0.9",
        "receiver.snr_db=[0,20]",
    )
    run(recipe, tmp_path / "whole")
    killed = tmp_path / "killed"
    order = pickle.dumps((recipe, killed, torch.get_num_threads())).hex()
    child = subprocess.run([sys.executable, "-c", KILLED, order], capture_output=True, check=False)
    assert child.returncode == -signal.SIGKILL, child.stderr.decode()
    assert RunFolder(killed).load(LAST)["progress"]["step"] == 5
    assert not (killed / "model.safetensors").exists()
    run(recipe, killed, resume=True)
    whole, resumed = (load_file(f / "model.safetensors") for f in (tmp_path / "whole", killed))
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    names, there = steps(tmp_path / "whole")
    _, again = steps(killed)
    assert [row[0] for row in again] == list(range(1, 13))
    loss = names.index("loss")
    assert [row[loss] for row in again] == [row[loss] for row in there]
    assert steps(killed, "validation.csv") == steps(tmp_path / "whole", "validation.csv")


def test_two_processes_follow_the_loss_curve_of_one(tmp_path, smoke):
    recipe = smoke("training.steps=20", "training.validate_every=20", "training.clip=1000")
    still = {"dropout": 0.0}
    encoder = type(recipe.encoder)(recipe.encoder.class_path, {**recipe.encoder.init_args, **still})
    for part in ("sfmcm", "dti"):
        recipe.objectives[part].init_args["decoder"]["init_args"].update(still)
    recipe = replace(recipe, encoder=encoder)
    run(recipe, tmp_path / "one")
    two = tmp_path / "two"
    launch(pretrain, "cpu", 2, "32-true", recipe, RunFolder(two))
    names, single = steps(tmp_path / "one")
    _, shared = steps(two)
    losses = [names.index(n) for n in ("loss", "sfmcm", "dti", "picl", "gradient")]
    for one, other in zip(single, shared, strict=True):
        assert [other[i] for i in losses] == pytest.approx([one[i] for i in losses], rel=2e-4)
    (_, one), (_, other) = (steps(f, "validation.csv") for f in (tmp_path / "one", two))
    assert other[0] == pytest.approx(one[0], rel=1e-3)
