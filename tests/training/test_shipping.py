"""What a run leaves behind can be loaded by anybody, and says the same."""

import json
import shutil

import pytest
import torch
from lightning_fabric import Fabric
from safetensors.torch import load_file

import radiofix as rf
from radiofix.data.store import open_paths
from radiofix.models import pretrained as shelf
from radiofix.models.calibration import coverage
from radiofix.models.localizer import horizontal_scale
from radiofix.objectives.simulated import Simulated
from radiofix.training.checkpoints import RunFolder
from radiofix.training.finetune import finetune
from radiofix.training.localizing import finetuned
from radiofix.training.pretrain import lesson, pretrain
from radiofix.training.recipe import FinetuneRecipe, PretrainRecipe, read_recipe
from radiofix.training.shipping import card

ENCODER = {
    "class_path": "radiofix.models.radiofix.RadiofixEncoder",
    "init_args": {
        "dim": 16,
        "layers": 1,
        "heads": 2,
        "patch_antennas": 4,
        "patch_subcarriers": 8,
    },
}
HEAD = {"class_path": "radiofix.models.frame.FrameHead", "init_args": {"dim": 16}}
RECEIVER = {"bandwidths": [10e6], "antennas": 8, "subcarriers": 16}


@pytest.fixture(scope="module")
def simulated(tmp_path_factory, store):
    content = {
        "encoder": ENCODER,
        "objectives": {
            "simulated": {
                "class_path": "radiofix.objectives.simulated.Simulated",
                "init_args": {"head": HEAD, "antennas": 8, "subcarriers": 16},
            }
        },
        "weights": {"simulated": 1},
        "receiver": RECEIVER,
        "split": "random",
        "store": str(store),
        "training": {"steps": 5, "batch": 8, "validate_every": 5},
    }
    folder = RunFolder(tmp_path_factory.mktemp("simulated") / "run")
    recipe = read_recipe(PretrainRecipe, content, "test")
    pretrain(Fabric(accelerator="cpu", devices=1), recipe, folder)
    return folder.path


@pytest.fixture(scope="module")
def taught(tmp_path_factory, store, simulated):
    content = {
        "encoder": None,
        "head": None,
        "task": {"class_path": "radiofix.objectives.tasks.PositionTask"},
        "from": str(simulated),
        "receiver": RECEIVER,
        "split": "random",
        "store": str(store),
        "labels": 10,
        "training": {"steps": 3, "batch": 8, "validate_every": 3},
    }
    folder = RunFolder(tmp_path_factory.mktemp("taught") / "run")
    recipe = read_recipe(FinetuneRecipe, content, "test")
    finetune(Fabric(accelerator="cpu", devices=1), recipe, folder)
    return folder.path


def links(store):
    paths = open_paths(store)
    channel = rf.Channel(10e6, 16, rf.ula(8))
    heard = paths.links(station=0)
    return channel, channel.synthesize(heard[heard.present.any(-1)]), paths.stations[0]


def test_a_fine_tuned_run_is_loaded_with_its_calibration(store, taught):
    channel, csi, station = links(store)
    fix = rf.load(taught).locate(csi, station, channel)
    module, _ = finetuned(taught)
    expected = module.localizer.locate(csi, station, channel)
    assert torch.equal(fix.position, expected.position)
    assert torch.equal(fix.covariance, expected.covariance)
    assert float(rf.load(taught).calibration.threshold) < torch.inf


def test_a_localizer_that_saw_no_label_is_calibrated_on_worlds(store, simulated):
    localizer = rf.load(simulated)
    worlds = Simulated(localizer.head, antennas=8, subcarriers=16)
    sounding, position = worlds.draw(3000, torch.Generator().manual_seed(1))
    with torch.no_grad():
        estimate = localizer(sounding)
    away = (estimate.position - position)[:, :2]
    held = coverage(away, localizer.calibration.stretched(horizontal_scale(estimate)))
    assert held == pytest.approx(0.9, abs=0.02)
    channel, csi, station = links(store)
    assert localizer.locate(csi, station, channel).position.isfinite().all()


def witnessed(store, **changes):
    content = {
        "encoder": ENCODER,
        "objectives": {
            "witnessed": {
                "class_path": "radiofix.objectives.witnessed.Witnessed",
                "init_args": {"head": HEAD},
            }
        },
        "weights": {"witnessed": 1},
        "receiver": {**RECEIVER, "bandwidths": [10e6, 50e6]},
        "witnesses": {"kept": 1.0},
        "split": "random",
        "store": str(store),
        "training": {"steps": 3, "batch": 8, "validate_every": 3},
        **changes,
    }
    return read_recipe(PretrainRecipe, content, "test")


def test_a_localizer_taught_by_witnesses_is_calibrated_on_them(tmp_path, store):
    folder = RunFolder(tmp_path / "run")
    pretrain(Fabric(accelerator="cpu", devices=1), witnessed(store), folder)
    channel, csi, station = links(store)
    fix = rf.load(folder.path).locate(csi, station, channel)
    assert fix.covariance.isfinite().all()
    assert fix.trusted.float().mean() > 0.5


def test_pretraining_goes_on_from_another_runs_encoder_and_head(tmp_path, store, simulated):
    recipe = witnessed(store, **{"from": str(simulated)})
    module = lesson(recipe, open_paths(store), Fabric(accelerator="cpu", devices=1)).module
    before = load_file(simulated / "model.safetensors")
    now = module.state_dict()
    taken = [name for name in before if name.startswith("encoder.")]
    assert all(torch.equal(now[name], before[name]) for name in taken)
    head = "mixture.objectives.simulated.head.output.weight"
    assert torch.equal(now[head.replace("simulated", "witnessed")], before[head])


def test_an_encoder_that_remembers_goes_on_from_one_that_knows_no_station(store, simulated):
    remembering = {**ENCODER, "init_args": {**ENCODER["init_args"], "known_stations": 3}}
    recipe = witnessed(store, encoder=remembering, **{"from": str(simulated)})
    module = lesson(recipe, open_paths(store), Fabric(accelerator="cpu", devices=1)).module
    before = load_file(simulated / "model.safetensors")
    now = module.state_dict()
    assert all(torch.equal(now[n], before[n]) for n in before if n.startswith("encoder."))
    assert int((~now["encoder.memory.station"].isnan()).any(-1).sum()) == 2
    assert not now["encoder.memory.vectors"].any()


def test_another_encoder_than_the_recipes_cannot_be_gone_on_from(store, simulated):
    other = {**ENCODER, "init_args": {**ENCODER["init_args"], "layers": 2}}
    recipe = witnessed(store, encoder=other, **{"from": str(simulated)})
    with pytest.raises(ValueError, match="has another encoder than the recipe"):
        lesson(recipe, open_paths(store), Fabric(accelerator="cpu", devices=1))


def test_the_config_names_what_made_it_and_the_card_can_be_read(taught):
    known = shelf.describe(taught)
    assert known["trained_by"] == "finetune"
    assert known["store"]["sha256"]
    assert known["figures"]["validation_mean"] > 0
    assert known["recipe"]["store"] == "miniature.zarr"
    assert known["recipe"]["pretrained"] == "run"
    told = (taught / "localizer" / "README.md").read_text()
    assert "parameters" in told
    assert "validation_mean" in told


def test_the_cards_in_the_package_are_those_of_their_configs():
    for name in shelf.names():
        told = (shelf.SHELF / name / shelf.CARD).read_text()
        assert told == card(shelf.load(name), shelf.describe(name)), name


def test_what_is_no_localizer_or_a_damaged_one_is_one_line(tmp_path, taught):
    with pytest.raises(ValueError, match=r"^radiofix-none is neither a finished run's folder nor"):
        rf.load("radiofix-none")
    copy = tmp_path / "copy"
    shutil.copytree(taught / "localizer", copy)
    weights = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(weights[:-10])
    with pytest.raises(ValueError, match="cannot be read as a localizer"):
        rf.load(copy)
    (copy / "model.safetensors").write_bytes(weights)
    config = json.loads((copy / "config.json").read_text())
    config["encoder"]["init_args"]["dim"] = 8
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="weights that do not fit its config"):
        rf.load(copy)
    config["encoder"]["class_path"] = "os.system"
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="classes of radiofix alone"):
        rf.load(copy)


def test_every_localizer_in_the_package_loads_and_is_small():
    for name in shelf.names():
        localizer = rf.load(name)
        assert localizer.calibration.threshold.isfinite()
        folder = shelf.SHELF / name
        size = sum(entry.stat().st_size for entry in folder.iterdir())
        assert size < (5e6 if "nano" in name else 15e6), name
