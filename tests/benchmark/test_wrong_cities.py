"""Which city's houses a bench tells in place of the right ones: a mistake that could be made."""

from __future__ import annotations

import warnings
from types import SimpleNamespace

import pytest
import torch

from models.sites import STREET, street
from radiofix.benchmark.runs.lessons import Users
from radiofix.benchmark.sigmap import wrong
from radiofix.benchmark.sigmap.wrong import AnotherCitys, elsewhere
from radiofix.models.wrong_maps import stations_inside, with_buildings_of

ELSEWHERE = torch.tensor([900.0, 0.0, 0.0]).double()


def city(*boxes):
    """Houses round two stations that are those of the street, elsewhere."""
    moved = [(a + 900.0, b, c + 900.0, d, top) for a, b, c, d, top in boxes]
    return street(moved, street().stations.numpy() + ELSEWHERE.numpy())


@pytest.fixture
def maps(monkeypatch):
    """Cities by the names of their stores: `over` has a house round a station of the street."""
    made = {
        "street": street(),
        "open": city(*STREET[:2]),
        "other": city(*STREET[2:]),
        "over": city((-20.0, -5.0, -5.0, 5.0, 9.0)),
    }
    # A city's own stations are outdoors; the street's, laid round its middle, are not all.
    made["over"] = made["over"].shifted(torch.tensor([[12.0, 8.0, 0.0]]).double())
    monkeypatch.setattr(wrong, "open_paths", lambda store: store)
    monkeypatch.setattr(wrong, "read_map", made.__getitem__)
    return made


def test_stations_that_stand_inside_houses_are_counted(maps):
    assert stations_inside(maps["street"]) == 0
    assert stations_inside(with_buildings_of(maps["street"], maps["over"])) == 1


def test_the_first_city_is_told_whose_houses_leave_all_stations_outdoors(maps):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        told = AnotherCitys(("street", "over", "other", "open"))(maps["street"])
    assert told.buildings == maps["other"].buildings
    expected = with_buildings_of(maps["street"], maps["other"])
    assert torch.equal(told.walls, expected.walls)
    assert torch.equal(told.stations, maps["street"].stations)


def test_where_no_city_leaves_them_outdoors_it_is_said(maps):
    with pytest.warns(UserWarning, match="1 of 2 stand inside of those that are told"):
        told = AnotherCitys(("over", "street"))(maps["street"])
    assert told.buildings == maps["over"].buildings
    with pytest.raises(ValueError, match="no store of another city is given"):
        AnotherCitys(("street",))(maps["street"])


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("whole", ("kept-1", "kept-2", "whole", "munich", "etoile")),
        ("kept-1", ("kept-1", "kept-2", "whole", "munich", "etoile")),
        ("florence", ("munich", "etoile", "kept-1", "kept-2", "whole")),
    ],
)
def test_o1_is_drawn_and_told_a_drawn_city_s_houses_first(asked, expected):
    given = {name: name for name in ("whole", "kept-2", "kept-1", "etoile", "munich")}
    site = SimpleNamespace(stores=given)
    assert elsewhere(site, Users(asked, asked)).stores == expected
