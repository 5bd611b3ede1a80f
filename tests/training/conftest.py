from pathlib import Path

import pytest

from miniature import write_miniature
from radiofix.training.recipe import PretrainRecipe, load_recipe

RECIPES = Path(__file__).parents[2] / "recipes"


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    return write_miniature(tmp_path_factory.mktemp("training") / "miniature.zarr")


@pytest.fixture
def smoke(store):
    """The smoke recipe on the miniature store, with changes of one's own."""

    def changed(*changes):
        small = ["training.batch=8", "training.log_every=1", f"store={store}"]
        return load_recipe(PretrainRecipe, RECIPES / "lwlm" / "smoke.yaml", [*small, *changes])

    return changed
