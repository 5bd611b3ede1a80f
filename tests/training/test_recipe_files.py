"""Recipes that come with the package are found from anywhere, and a user's own come first."""

import zipfile
from pathlib import Path

import pytest

from radiofix.training import recipe_files
from radiofix.training.recipe import FinetuneRecipe, load_recipe
from radiofix.training.recipe_files import about, found, own, own_recipes

CLONE = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["radiofix/position.yaml", "recipes/radiofix/position.yaml"])
def test_a_name_is_enough(name):
    assert found(Path(name)) == CLONE / "recipes" / "radiofix" / "position.yaml"
    recipe = load_recipe(FinetuneRecipe, Path(name), ["labels=7"])
    assert (recipe.labels, recipe.stations) == (7, ("3",))


def test_a_users_own_file_of_that_name_comes_first(elsewhere):
    mine = elsewhere / "recipes" / "radiofix" / "position.yaml"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine: 1")
    assert found(Path("recipes/radiofix/position.yaml")).read_text() == "mine: 1"
    assert own(Path("recipes/radiofix/position.yaml")).parent == CLONE / "recipes" / "radiofix"


@pytest.mark.parametrize(
    "path", ["radiofix/posture.yaml", "radiofix", "../recipes/radiofix/nano.yaml", "/radiofix.yaml"]
)
def test_what_is_nowhere_is_refused_in_one_line(path):
    with pytest.raises(ValueError, match=f"no recipe {path}: .radiofix recipes. lists"):
        found(Path(path))


def test_every_recipe_says_what_it_is_for():
    told = dict(own_recipes())
    assert len(told) == len(list((CLONE / "recipes").rglob("*.yaml"))) > 30
    for name, text in told.items():
        assert 20 < len(about(text)) < 400, name
        assert not about(text).endswith(" eq."), name
    assert about("# One (eq. 7\n# of it). Another.\na: 1\n# no") == "One (eq. 7 of it)."
    assert about("a: 1") == ""


def test_an_installed_package_has_them_within(elsewhere, monkeypatch):
    monkeypatch.setattr(recipe_files, "_PACKAGE", elsewhere / "radiofix")
    inside = elsewhere / "radiofix" / "recipes"
    inside.mkdir(parents=True)
    (inside / "a.yaml").write_text("# A.\n")
    assert found(Path("recipes/a.yaml")) == inside / "a.yaml"
    assert list(own_recipes()) == [("a.yaml", "# A.\n")]


def test_the_wheel_holds_them(elsewhere):
    builder = pytest.importorskip("hatchling.builders.wheel")
    (built,) = builder.WheelBuilder(str(CLONE)).build(directory=str(elsewhere))
    with zipfile.ZipFile(built) as wheel:
        names = set(wheel.namelist())
    assert {f"radiofix/recipes/{name}" for name, _ in own_recipes()} <= names
    assert "radiofix/cli/__main__.py" in names
