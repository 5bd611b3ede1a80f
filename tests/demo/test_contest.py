"""The street that comes with the package, and that nobody is asked where a point was measured."""

import numpy as np
import pytest
import torch

from radiofix.data.check import check
from radiofix.data.store import open_paths
from radiofix.demo.contest import RECIPE, STORE, Contest, Entry, hold
from radiofix.demo.links import Links, held_out, labelled
from radiofix.demo.street import held
from radiofix.demo.svg import View
from radiofix.demo.table import plain, rows
from radiofix.models.fusing import Fused
from radiofix.scenes.outdoors import inside_buildings
from radiofix.training.recipe import FinetuneRecipe, load_recipe


def test_the_packaged_street_has_2000_users_and_4_stations_in_under_2_mb():
    store = open_paths(STORE)
    assert (store.users, len(store.stations)) == (2000, 4)
    assert store.attributes["scenario"] == "o1"
    assert sum(file.stat().st_size for file in STORE.rglob("*") if file.is_file()) < 2e6


def test_every_byte_of_the_packaged_street_is_as_its_checksums_say():
    report = check(STORE, inside_buildings)
    assert report.ok, [finding for finding in report.findings if not finding.ok]
    assert "checksums" in {finding.name for finding in report.findings}


def recipe(labels=40, aside=8):
    import dataclasses

    read = load_recipe(FinetuneRecipe, RECIPE)
    return dataclasses.replace(read, labels=labels, validation_users=aside, store=str(STORE))


def test_no_phone_to_be_found_stands_near_a_labelled_point():
    store = open_paths(STORE)
    known = labelled(recipe(labels=1000), store)
    aside = held_out(recipe(), store, "validation", 162)
    phones = held_out(recipe(), store, "test", store.users)
    assert not {*known.users, *aside.users} & set(phones.users)
    taught = np.concatenate([known.truth, aside.truth])
    away = np.linalg.norm(phones.truth[:, None, :2] - taught[None, :, :2], axis=-1)
    assert away.min() > 4.9


def test_links_are_spread_over_phones_and_stations():
    store = open_paths(STORE)
    links = held_out(recipe(), store, "test", 5)
    spread = links.spread(links.sounding.station_position.numpy())
    assert spread.shape == (5, 4, 3)
    for column, station in enumerate(store.stations):
        np.testing.assert_allclose(spread[:, column], station.position.expand(5, 3))
    np.testing.assert_allclose(links.truth, store.dataset["user_position"].values[links.users])


def contest(position, truth, covariance):
    """One method that puts phones at `position`."""
    users = len(truth)
    links = Links(None, np.arange(users), np.arange(users), np.zeros(users, int), truth)
    fused = Fused(position, covariance, np.ones(users, bool), np.ones((users, 1)))
    entries = (Entry("ours", "ours", "", position, 0.0),)
    return Contest(None, np.arange(3), np.arange(2), links, entries, fused, recipe())


def test_errors_are_told_on_the_ground_by_median_mean_and_nine_tenths():
    truth = np.zeros((11, 3))
    position = np.zeros((11, 3))
    position[:, 0] = np.arange(11.0)
    position[:, 2] = 100.0
    (row,) = rows(contest(position, truth, np.tile(np.eye(3), (11, 1, 1))))
    assert (row.median, row.mean, row.p90) == pytest.approx((5.0, 5.0, 9.0))
    assert plain((row,)).splitlines()[1].split() == ["ours", "5.0", "m", "5.0", "m", "9.0", "m"]


def test_an_ellipse_of_90_percent_ends_at_2_146_deviations():
    position = np.zeros((4, 3))
    position[:, 0] = [2.14, 2.15, 4.29, 4.30]
    covariance = np.tile(np.eye(3), (4, 1, 1))
    covariance[2:] *= 4.0
    assert held(contest(position, np.zeros((4, 3)), covariance)) == 0.5


def test_a_street_laid_down_is_turned_and_not_mirrored():
    corners = np.array([[0.0, 0.0], [3.0, 0.0], [0.0, 7.0]])

    def turning(places):
        (a, b), (c, d) = places[1] - places[0], places[2] - places[0]
        return np.sign(a * d - b * c)

    standing, lying = (View((0.0, 0.0), (3.0, 7.0), 2.0, lie) for lie in (False, True))
    # Downward on a page is positive: what turns left in the plane turns the other way there.
    assert turning(standing(corners)) == turning(lying(corners)) == -1
    assert (standing.size, lying.size) == ((6.0, 14.0), (14.0, 6.0))


@pytest.mark.parametrize("labels", [19, 1200])
def test_too_few_or_too_many_labels_are_refused(labels):
    with pytest.raises(ValueError, match=f"labels must be from 20 to 1,199, got {labels}"):
        hold(labels)


def test_every_method_and_every_run_hears_the_same_channels():
    store = open_paths(STORE)
    links = held_out(recipe(), store, "test", 20)
    again = held_out(recipe(), store, "test", 20)
    assert torch.equal(links.sounding.csi, again.sounding.csi)
