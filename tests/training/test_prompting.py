"""Fine-tuning with the map as a prompt: what learns, what stays, whose map is told."""

import shutil

import pytest
import torch
from safetensors.torch import load_file

import radiofix as rf
from models.soundings import random_sounding
from radiofix.data.joining import join
from radiofix.data.store import open_paths
from radiofix.models.map_reading import read_map
from radiofix.training.checkpoints import RunFolder
from radiofix.training.finetune import finetune
from radiofix.training.launch import single
from radiofix.training.localizing import finetuned
from radiofix.training.recipe import FinetuneRecipe, read_recipe

from .test_shipping import ENCODER, HEAD, RECEIVER, simulated  # noqa: F401  # a fixture

WALLS = {
    "class_path": "radiofix.models.wall_prompt.WallPrompter",
    "init_args": {"prompts": 2, "width": 16, "heads": 2, "walls": 8, "sectors": 8},
}


def recipe(store, **changes):
    content = {
        "encoder": ENCODER,
        "prompter": WALLS,
        "adaptation": {"class_path": "radiofix.training.prompting.PromptTuning"},
        "head": HEAD,
        "task": {"class_path": "radiofix.objectives.tasks.PositionTask"},
        "receiver": RECEIVER,
        "store": str(store),
        "split": "random",
        "labels": 20,
        "training": {"steps": 6, "batch": 8, "rate": 1e-2, "validate_every": 3},
        **changes,
    }
    return read_recipe(FinetuneRecipe, content, "test")


def run(asked, folder):
    return finetune(single(asked.training), asked, RunFolder(folder))


def test_the_backbone_stays_while_prompts_and_head_learn_and_the_map_goes_along(
    tmp_path,
    store,
    simulated,  # noqa: F811
):
    run(recipe(store, **{"from": str(simulated)}), tmp_path / "told")
    before = load_file(simulated / "model.safetensors")
    after = load_file(tmp_path / "told" / "model.safetensors")
    backbone = [name for name in before if name.startswith("encoder.")]
    for name in backbone:
        assert torch.equal(before[name], after[f"localizer.encoder.{name}"]), name
    head = "output.weight"
    taught = before[f"mixture.objectives.simulated.head.{head}"]
    assert not torch.equal(taught, after[f"localizer.head.{head}"])
    walls = read_map(open_paths(store)).walls
    told = [tensor for name, tensor in after.items() if name.endswith(".walls")]
    assert told
    assert all(torch.equal(tensor, walls.to(tensor)) for tensor in told)
    module, again = finetuned(tmp_path / "told")
    assert again.prompter is None
    shipped = rf.load(tmp_path / "told")
    sounding = random_sounding()
    assert torch.equal(shipped.fix(sounding).position, module.localizer.fix(sounding).position)


ADAPTATION = "radiofix.training.adaptation"


@pytest.mark.parametrize(
    ("adaptation", "prompter", "backbone"),
    [
        ({"class_path": "radiofix.training.prompting.PromptTuning"}, WALLS, 0.0),
        ({"class_path": f"{ADAPTATION}.FrozenEncoder"}, None, 0.0),
        ({"class_path": f"{ADAPTATION}.LowRank", "init_args": {"rank": 2}}, None, None),
        ({"class_path": f"{ADAPTATION}.FullTuning"}, None, 1.0),
    ],
)
def test_a_run_tells_how_many_parameters_learn(
    tmp_path,
    store,
    simulated,  # noqa: F811
    adaptation,
    prompter,
    backbone,
):
    changes = {"adaptation": adaptation, "prompter": prompter, "from": str(simulated)}
    outcome = run(recipe(store, **changes), tmp_path / "told")
    module, _ = finetuned(tmp_path / "told")
    localizer = module.localizer
    whole = localizer.encoder if prompter is None else localizer.encoder.encoder
    sizes = [p.numel() for p in whole.parameters()]
    if backbone is None:
        # Two thin matrices beside each matrix of two dimensions in a linear layer.
        linear = [m for m in whole.modules() if isinstance(m, torch.nn.Linear)]
        added = sum(min(2, *m.weight.shape) * sum(m.weight.shape) for m in linear)
        expected, frozen = added, sum(sizes)
    else:
        expected, frozen = int(backbone * sum(sizes)), int((1 - backbone) * sum(sizes))
    teller = 0
    if prompter is not None:
        teller = sum(p.numel() for p in localizer.encoder.teller.parameters())
    head = sum(p.numel() for p in localizer.head.parameters())
    told = RunFolder(tmp_path / "told").config()["learns"]
    counts = (expected, teller, head, frozen)
    assert tuple(told[n] for n in ("backbone", "teller", "head", "frozen")) == counts
    of = expected + teller + frozen
    assert told["share"] == pytest.approx((expected + teller) / of)
    assert told["share_with_head"] == pytest.approx((expected + teller + head) / (of + head))
    assert told == outcome.learns.plain


def test_without_a_label_nothing_learns(tmp_path, store, simulated):  # noqa: F811
    full = {"class_path": f"{ADAPTATION}.FullTuning"}
    none = {"prompter": None, "head": None, "labels": 0, "adaptation": full}
    outcome = run(recipe(store, **none, **{"from": str(simulated)}), tmp_path / "asked")
    whole = sum(p.numel() for p in finetuned(tmp_path / "asked")[0].localizer.parameters())
    assert (outcome.learns.learnt, outcome.learns.frozen) == (0, whole)


def test_another_stores_buildings_can_be_told(tmp_path, store):
    both = tmp_path / "both.zarr"
    shutil.copytree(store, tmp_path / "twin.zarr")
    join([open_paths(store), open_paths(tmp_path / "twin.zarr")], both)
    run(recipe(store, map=str(both)), tmp_path / "other")
    weights = load_file(tmp_path / "other" / "model.safetensors")
    told = [len(tensor) for name, tensor in weights.items() if name.endswith(".walls")]
    assert set(told) == {2 * len(read_map(open_paths(store)).walls)}
    config = (tmp_path / "other" / "localizer" / "config.json").read_text()
    assert '"map": "both.zarr"' in config
    assert str(tmp_path) not in config


def test_a_map_that_nobody_reads_and_prompts_without_labels_are_refused(tmp_path, store, simulated):  # noqa: F811
    full = {"class_path": "radiofix.training.adaptation.FullTuning"}
    unread = recipe(store, prompter=None, map=str(store), adaptation=full)
    with pytest.raises(ValueError, match="told to nobody"):
        run(unread, tmp_path / "nobody")
    with pytest.raises(ValueError, match="labels=0 trains no prompter"):
        run(recipe(store, labels=0, **{"from": str(simulated)}), tmp_path / "none")


def test_a_head_that_follows_waves_goes_on_with_the_runs_own_head_and_carries_the_map(
    tmp_path,
    store,
    simulated,  # noqa: F811
):
    follow = {"class_path": "radiofix.models.echo_head.EchoHead", "init_args": {"width": 8}}
    full = {"class_path": "radiofix.training.adaptation.FullTuning"}
    still = {"steps": 1, "batch": 8, "rate": 1e-12, "validate_every": 1}
    asked = recipe(store, prompter=None, adaptation=full, head=follow, training=still)
    begun = {**asked.__dict__, "pretrained": str(simulated)}
    run(FinetuneRecipe(**begun), tmp_path / "echoes")
    before = load_file(simulated / "model.safetensors")
    shipped = rf.load(tmp_path / "echoes")
    taught = before["mixture.objectives.simulated.head.output.weight"]
    torch.testing.assert_close(shipped.head.state_dict()["output.weight"], taught)
    walls = read_map(open_paths(store)).walls
    assert torch.equal(shipped.head.sights.site.walls, walls)
    # A new city is told to the same network, and asked without a label.
    none = recipe(store, prompter=None, adaptation=full, head=None, labels=0)
    begun = {**none.__dict__, "pretrained": str(tmp_path / "echoes")}
    run(FinetuneRecipe(**begun), tmp_path / "asked")
    sounding = random_sounding()
    expected = shipped(sounding).position
    torch.testing.assert_close(rf.load(tmp_path / "asked")(sounding).position, expected)
