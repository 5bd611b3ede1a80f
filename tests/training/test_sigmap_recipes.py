"""SigMap's recipes: Table 5's optimiser, and the map as a prompt before a frozen encoder."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from radiofix.benchmark.toy import write_town
from radiofix.cli import main
from radiofix.training.checkpoints import RunFolder
from radiofix.training.localizing import build_localizer, pretrained
from radiofix.training.recipe import FinetuneRecipe, PretrainRecipe, load_recipe

from .conftest import RECIPES

SIGMAP = RECIPES / "sigmap"
LEARNS = ("graph", "projection", "head")


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    place = tmp_path_factory.mktemp("town") / "town.zarr"
    write_town(place, 1, ("1", "2", "3", "4"))
    return place


def finetuning(name):
    return load_recipe(FinetuneRecipe, SIGMAP / f"{name}.yaml")


def typed(*arguments):
    return main([str(argument) for argument in arguments])


def learnt_of(name):
    """Which part of a prompted localizer a parameter is of."""
    if name.startswith("localizer.head."):
        return "head"
    if not name.startswith("localizer.encoder.teller."):
        return "backbone"
    own = name.removeprefix("localizer.encoder.teller.")
    if own.startswith("projection."):
        return "projection"
    return "graph" if own.startswith(("vertex.", "station.", "layers.")) else "map"


def test_published_recipes_have_table_5s_adam():
    published = [finetuning(name).training for name in ("position", "fusion", "map")]
    for training in (load_recipe(PretrainRecipe, SIGMAP / "base.yaml").training, *published):
        assert (training.rate, training.weight_decay, training.clip) == (1e-4, 1e-5, 1.0)
        assert not training.decoupled
        assert training.warmup * 30 == training.steps


def test_the_map_is_all_that_its_recipe_adds():
    told, bare = finetuning("map"), finetuning("position")
    assert told.adaptation.class_path.endswith("PromptTuning")
    assert told.adaptation.build().backbone.adapt(torch.nn.Linear(1, 1)) == ()
    assert replace(told, prompter=None, adaptation=bare.adaptation) == bare
    encoder = build_localizer(told).localizer.encoder
    assert (encoder.teller.prompts, encoder.teller.graphs.radius) == (1, 5_000.0)
    told.adaptation.build().adapt(encoder)
    assert not any(p.requires_grad for p in encoder.encoder.parameters())


def test_graph_network_projection_and_head_learn_and_the_backbone_stays(tmp_path, town, capsys):
    short = ["--set", "training.steps=4", "training.batch=8"]
    run = ["--store", town, "--out", tmp_path / "masked", *short, "training.validate_every=4"]
    assert typed("pretrain", SIGMAP / "smoke.yaml", *run) == 0
    run = ["--store", town, "--out", tmp_path / "told", "--from", tmp_path / "masked"]
    assert typed("finetune", SIGMAP / "map-smoke.yaml", *run) == 0
    assert "learns" in capsys.readouterr().out
    before = load_file(tmp_path / "masked" / "model.safetensors")
    after = load_file(tmp_path / "told" / "model.safetensors")
    begun = pretrained(str(tmp_path / "masked"))
    start = build_localizer(finetuning("map-smoke"), begun).state_dict()
    moved = dict.fromkeys(LEARNS, 0)
    for name, tensor in after.items():
        part = learnt_of(name)
        if part == "backbone" and name.startswith("localizer.encoder.encoder."):
            own = name.removeprefix("localizer.encoder.encoder.")
            assert torch.equal(tensor, before[f"encoder.{own}"]), name
        elif part in LEARNS and tensor.is_floating_point():
            moved[part] += not torch.equal(tensor, start[name])
    assert all(moved.values()), moved
    told = RunFolder(tmp_path / "told").config()["learns"]
    assert told["backbone"] == 0
    assert told["teller"] == sum(
        tensor.numel() for name, tensor in after.items() if learnt_of(name) in LEARNS[:2]
    )


@pytest.mark.parametrize("name", ["map", "position"])
def test_the_published_recipe_runs_on_a_made_up_town_with_a_smaller_encoder(tmp_path, town, name):
    small = ["encoder.init_args.dim=32", "encoder.init_args.layers=1", "encoder.init_args.heads=2"]
    small += ["encoder.init_args.patch=[8,8]", "labels=8", "validation_users=8"]
    small += ["training.steps=2", "training.warmup=0", "training.batch=4"]
    run = ["--store", town, "--out", tmp_path / "run", "--set", *small]
    assert typed("finetune", SIGMAP / f"{name}.yaml", *run) == 0
    config = RunFolder(tmp_path / "run").config()
    assert config["recipe"]["training"]["decoupled"] is False
    assert config["learns"]["backbone"] == 0
    assert (config["learns"]["teller"] > 0) == (name == "map")
    assert (config["learns"]["teller"] > 0) == (name == "map")
