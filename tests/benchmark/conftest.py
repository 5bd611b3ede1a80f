"""A small town with O1's stations, and a bench that is done in no time."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import miniature
from radiofix.benchmark import toy
from radiofix.benchmark.lwlm import protocols as lwlm
from radiofix.benchmark.lwlm.scales import SMOKE, Scale
from radiofix.benchmark.runs.site import Site
from radiofix.benchmark.sigmap import protocols, scales
from radiofix.data.store import StoreWriter

RECIPES = Path(__file__).parents[2] / "recipes"
TINY = Scale(
    name="tiny",
    labels={1_000: 5, 10_000: 8},
    test_users=6,
    validation_users=4,
    limit_users=4,
    seeds=(0,),
    rates=(1e-3,),
    finetuning={"steps": 2, "batch": 4, "validate_every": 2},
    pretraining={"steps": 2, "batch": 4, "validate_every": 2, "precision": "32-true"},
    sizes=SMOKE.sizes,
)


@pytest.fixture(scope="session")
def town(tmp_path_factory):
    """The miniature street with four stations that are called as O1's."""
    names = ["3", "4", "9", "10"]

    def writer(path, attributes, users, stations):
        return StoreWriter(path, {**attributes, "station_names": names}, users, stations)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(miniature, "STATIONS", 4)
        position = [[0, 0, 6], [60, 5, 6], [0, -20, 6], [60, -15, 6]]
        patch.setattr(miniature, "STATION_POSITION", np.array(position, dtype=float))
        yaw = np.array([0, np.pi, 0, np.pi])
        patch.setattr(miniature, "STATION_ORIENTATION", yaw[:, None] * [1.0, 0, 0])
        patch.setattr(miniature, "StoreWriter", writer)
        return miniature.write_miniature(tmp_path_factory.mktemp("town") / "town.zarr")


@pytest.fixture
def site(tmp_path, town):
    return Site(
        TINY, {"o1": str(town)}, tmp_path / "results", tmp_path / "work", RECIPES, lwlm.AGENDA
    )


@pytest.fixture(scope="session")
def towns(tmp_path_factory):
    """The made-up stores of smoke, by their names."""
    folder = tmp_path_factory.mktemp("towns")
    toy.write_stores(folder)
    return {name: str(folder / f"{name}.zarr") for name in (*toy.TOWNS, "cities")}


@pytest.fixture(scope="session")
def shared(tmp_path_factory, towns):
    """One place for what all tests begin with."""
    folder = tmp_path_factory.mktemp("sigmap")
    return Site(scales.SMOKE, towns, folder / "results", folder / "work", RECIPES, protocols.AGENDA)


@pytest.fixture
def place(shared, tmp_path):
    """Results of a test's own, over the same beginnings."""
    return replace(shared, out=tmp_path / "results")
