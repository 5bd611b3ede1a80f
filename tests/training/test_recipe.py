"""Every recipe is read and made; what does not fit is told in one line."""

import json
import re

import pytest

from radiofix.models.lwlm import LwlmEncoder
from radiofix.models.parts import Part
from radiofix.training.encoding import build
from radiofix.training.localizing import build_localizer
from radiofix.training.recipe import (
    BLEND,
    FinetuneRecipe,
    PretrainRecipe,
    load_recipe,
    plain,
    read_recipe,
)

from .conftest import RECIPES

KINDS = {True: PretrainRecipe, False: FinetuneRecipe}
FILES = sorted(RECIPES.rglob("*.yaml"))
PUBLISHED = [
    *(f"lwlm/{name}" for name in ("toa", "aoa", "position", "fusion")),
    *(f"sigmap/{name}" for name in ("position", "fusion", "map")),
]


def kind_of(path):
    return KINDS["objectives:" in path.read_text()]


def count(module):
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_recipe_is_read_and_its_parts_are_made(path):
    kind = kind_of(path)
    recipe = load_recipe(kind, path)
    assert read_recipe(kind, json.loads(json.dumps(plain(recipe))), "again") == recipe
    if kind is PretrainRecipe:
        module = build(recipe)
        recipe.partner.build()
        assert set(module.mixture.objectives) == set(recipe.weights)
    elif recipe.encoder is not None and recipe.head is not None:
        build_localizer(recipe)
        recipe.adaptation.build()


def test_lwlm_base_has_the_values_of_table_1():
    recipe = load_recipe(PretrainRecipe, RECIPES / "lwlm" / "base.yaml")
    assert recipe.receiver.bandwidths == (10e6, 20e6, 50e6)
    assert (recipe.receiver.antennas, recipe.receiver.subcarriers) == (32, 128)
    assert recipe.weights == {"sfmcm": 10, "dti": 20, "picl": 1}
    training = recipe.training
    assert (training.batch, training.rate, training.weight_decay) == (32, 1e-4, 0.0)
    assert (training.rate_factor(0), training.rate_factor(training.steps - 1)) == (1.0, 1.0)
    assert training.steps == 200 * 4 * 3 * 488_698 // 32
    module = build(recipe)
    assert count(module.encoder) == 5_269_504
    mask = module.mixture.objectives["sfmcm"].mask
    assert (mask.masked_antennas, mask.masked_subcarriers) == (16, 64)
    parts = [module.mixture.objectives[n].part for n in ("sfmcm", "dti", "picl")]
    assert parts == [(0, 96), (96, 192), (192, 256)]


@pytest.mark.parametrize("name", ["sfmcm", "dti", "picl"])
def test_single_objectives_are_base_with_the_others_left_out(name):
    base, single = (
        load_recipe(PretrainRecipe, RECIPES / "lwlm" / f"{n}.yaml") for n in ("base", name)
    )
    assert single.objectives == {name: base.objectives[name]}
    for field in ("encoder", "receiver", "training", "split", "parts", "stations"):
        assert getattr(single, field) == getattr(base, field), field


def test_the_same_seed_makes_the_same_weights():
    recipe = load_recipe(PretrainRecipe, RECIPES / "lwlm" / "smoke.yaml")
    other = load_recipe(PretrainRecipe, RECIPES / "lwlm" / "smoke.yaml", ["seed=1"])
    first, again, else_ = (build(r).encoder.patches.weight for r in (recipe, recipe, other))
    assert first.equal(again)
    assert not first.equal(else_)


def test_anything_can_be_set_by_its_dotted_key():
    changes = ["training.rate=3e-4", "encoder.init_args.dim=64", "receiver.snr_db=[0, 20]"]
    changes += ["stations=[3, 4]", "objectives.sfmcm.init_args.mask.init_args.run=4"]
    recipe = load_recipe(PretrainRecipe, RECIPES / "lwlm" / "smoke.yaml", changes)
    assert recipe.training.rate == 3e-4
    assert recipe.encoder.init_args["dim"] == 64
    assert recipe.receiver.snr_db == (0.0, 20.0)
    assert recipe.objectives["sfmcm"].init_args["mask"]["init_args"]["run"] == 4


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_recipes_end_with_what_was_learnt_and_mix_it_with_nothing(name):
    recipe = load_recipe(FinetuneRecipe, RECIPES / f"{name}.yaml", ["from=runs/a"])
    assert recipe.blend == ()
    assert FinetuneRecipe.blend == BLEND


def test_from_names_the_pretrained_run():
    recipe = load_recipe(FinetuneRecipe, RECIPES / "lwlm" / "position.yaml", ["from=runs/a"])
    assert recipe.pretrained == "runs/a"
    assert read_recipe(FinetuneRecipe, plain(recipe), "again") == recipe


def test_what_does_not_fit_is_one_line(tmp_path):
    broken = tmp_path / "broken.yaml"
    broken.write_text("a: [1\nb: 2")
    listed = tmp_path / "list.yaml"
    listed.write_text("- 1")
    smoke = RECIPES / "lwlm" / "smoke.yaml"
    cases = [
        (smoke, ["trainng.steps=3"], "trainng"),
        (smoke, ["training.stepz=3"], "stepz"),
        (smoke, ["training.steps=many"], "many"),
        (smoke, ["training.steps=0"], "steps must be at least 1, got 0"),
        (smoke, ["training.precision=8"], "precision"),
        (smoke, ["training.steps.more=1"], "training.steps.more cannot be set"),
        (smoke, ["seed"], "'seed' is not of the form KEY=VALUE"),
        (smoke, ["weights.more=1"], "give each one weight"),
        (smoke, ["receiver.bandwidths=[-1]"], "bandwidth must be positive, got -1"),
        (smoke, ["encoder.class_path=os.system"], "os.system is refused"),
        (smoke, ["encoder.dim=3"], "dim belongs under init_args"),
        (
            smoke,
            ["objectives.dti.init_args.decoder.class_path=subprocess.Popen"],
            "subprocess.Popen is refused",
        ),
        (broken, [], "is no YAML"),
        (listed, [], "is no recipe"),
    ]
    for path, changes, message in cases:
        with pytest.raises(ValueError, match=re.escape(message)) as caught:
            load_recipe(PretrainRecipe, path, changes)
        assert "\n" not in str(caught.value)


def test_a_part_that_cannot_be_made_is_one_line():
    path = "radiofix.models.lwlm.LwlmEncoder"
    cases = [
        (Part(path, {"layres": 2}), "layres"),
        (Part(path, {"layers": "two"}), "two"),
        (Part(path, {"patch": 3}), "does not divide"),
        (Part("radiofix.models.lwlm.Nothing"), "does not exist"),
        (Part("radiofix.nowhere.Thing"), "does not exist"),
        (Part("radiofix.types.SPEED_OF_LIGHT"), "is no class"),
    ]
    for part, message in cases:
        with pytest.raises(ValueError, match=re.escape(message)) as caught:
            part.build()
        assert "\n" not in str(caught.value)


def test_what_the_recipe_says_goes_before_what_is_given():
    part = Part("radiofix.models.lwlm.LwlmEncoder", {"dim": 32, "heads": 2})
    made = part.build(dim=64, layers=1, stranger=5)
    assert isinstance(made, LwlmEncoder)
    assert (made.dim, len(made.layers)) == (32, 1)
