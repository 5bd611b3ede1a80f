"""Where several stations' places agree: against the formula written out, and on plain cases."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from radiofix.models import agreement
from radiofix.models.agreement import AREA, LOST, agree, median
from radiofix.models.fusing import Fusion
from radiofix.types import Fix, Mixture


def mixture(parts):
    """Of links, each a list of (probability, x, y, deviation)."""
    most = max(len(link) for link in parts)
    told = Mixture.empty(len(parts), most)
    for row, link in enumerate(parts):
        for column, (probability, x, y, deviation) in enumerate(link):
            told.weight[row, column] = math.log(probability)
            told.place[row, column] = torch.tensor([x, y])
            told.scale[row, column] = deviation * torch.eye(2)
    return told


def fix_of(told, trusted=None):
    """Fixes as a head sums its places up."""
    share = told.weight.exp()
    covariance = told.scale @ told.scale.mT
    place = median(share, told.place, covariance)
    off = told.place - place[:, None]
    whole = (share[..., None, None] * (covariance + off[..., None] * off[..., None, :])).sum(1)
    full = torch.eye(3, dtype=torch.float64).repeat(len(place), 1, 1)
    full[:, :2, :2] = whole
    position = torch.cat([place, torch.full_like(place[:, :1], 1.5)], -1)
    trusted = torch.ones(len(place), dtype=torch.bool) if trusted is None else trusted
    return Fix(position, full, trusted, told)


def test_a_user_is_where_the_formula_says():
    generator = torch.Generator().manual_seed(0)
    stations, parts = 3, 4
    weight = torch.randn(stations, parts, generator=generator, dtype=torch.float64)
    weight = weight.log_softmax(-1)
    place = 30 * torch.randn(stations, parts, 2, generator=generator, dtype=torch.float64)
    scale = torch.randn(stations, parts, 2, 2, generator=generator, dtype=torch.float64).tril()
    scale = scale + 3 * torch.eye(2)
    found = agree(Mixture(weight, place, scale), users=1)
    w, x = weight.exp().numpy(), place.numpy()
    c = (scale @ scale.mT).numpy()

    def density(off, covariance):
        length = math.sqrt(off @ np.linalg.inv(covariance) @ off)
        area = 2 * math.pi / 3 * math.sqrt(np.linalg.det(covariance))
        return math.exp(-math.sqrt(3) * length) / area

    mass, belief = w.copy(), np.ones((stations, parts, stations))
    moved, left = np.zeros((stations, parts, 2)), np.zeros((stations, parts, 2, 2))
    for s in range(stations):
        for k in range(parts):
            known = np.linalg.inv(c[s, k])
            pull = known @ x[s, k]
            for t in set(range(stations)) - {s}:
                near = np.array(
                    [w[t, m] * density(x[s, k] - x[t, m], c[s, k] + c[t, m]) for m in range(parts)]
                )
                q = (1 - LOST) * near.sum() + LOST / AREA
                mass[s, k] *= q
                belief[s, k, t] = (1 - LOST) * near.sum() / q
                r = near / near.sum()
                mean = r @ x[t]
                spread = sum(
                    p * (b + np.outer(a - mean, a - mean))
                    for p, a, b in zip(r, x[t], c[t], strict=True)
                )
                told = belief[s, k, t] * np.linalg.inv(spread)
                known, pull = known + told, pull + told @ mean
            left[s, k] = np.linalg.inv(known)
            moved[s, k] = left[s, k] @ pull
    share = torch.from_numpy(mass / mass.sum()).flatten()[None]
    flat = torch.from_numpy(moved).flatten(0, 1)[None], torch.from_numpy(left).flatten(0, 1)[None]
    expected = median(share, *flat)
    assert torch.allclose(found.position, expected, atol=1e-6)
    off = flat[0] - expected[:, None]
    spread = flat[1] + off[..., None] * off[..., None, :]
    assert torch.allclose(found.covariance, (share[..., None, None] * spread).sum(1), atol=1e-6)
    probable = share.reshape(stations, parts).numpy()
    for t in range(stations):
        others = [s for s in range(stations) if s != t]
        held = (probable[others] * belief[others, :, t]).sum() / probable[others].sum()
        assert float(found.belief[0, t]) == pytest.approx(held)


def test_two_normal_places_are_joined_by_their_information():
    told = mixture([[(1.0, 0, 0, 3)], [(1.0, 2, 1, 4)]])
    found = agree(told, users=1)
    information = 1 / 9, found.belief[0, 0].item() / 16
    # From the first station's place and from the second's: the believed share is all but 1.
    assert information[1] == pytest.approx(1 / 16, rel=2e-3)
    expected = np.array([2, 1]) * information[1] / sum(information)
    assert np.allclose(found.position[0], expected, atol=0.01)
    assert np.allclose(found.covariance[0], np.eye(2) / sum(information), atol=0.01)


@pytest.mark.parametrize("deviations", [(5, 5), (5, 5, 5, 5), (1, 30), (1, 30, 30)])
def test_of_honest_stations_ellipses_hold_what_they_say_and_the_sharp_one_counts(deviations):
    random = np.random.default_rng(0)
    users = 400
    told = mixture([[(1.0, *random.normal(0, d, 2), d)] for _ in range(users) for d in deviations])
    group = np.arange(users).repeat(len(deviations))
    fix = fix_of(told)
    joined = Fusion().join(fix, group, users)
    alone = Fusion().join(replace(fix, mixture=None), group, users)
    error, other = (np.linalg.norm(f.position[:, :2], axis=1).mean() for f in (joined, alone))
    assert error < 1.1 * other
    stated = joined.covariance[:, :2, :2]
    inside = np.einsum(
        "ui,uij,uj->u", joined.position[:, :2], np.linalg.inv(stated), joined.position[:, :2]
    )
    assert 0.85 < (inside < 4.605).mean() < 0.95
    assert joined.trusted.mean() > 0.95


def test_a_place_that_each_held_improbable_wins_where_they_share_it():
    shared = (0.1, 50, 20, 1)
    told = mixture(
        [
            [(0.6, 0, 0, 1), (0.3, -60, 90, 1), shared],
            [(0.5, 90, -70, 1), (0.4, -20, -90, 1), shared],
        ]
    )
    joined = Fusion().join(fix_of(told), np.array([0, 0]), 1)
    assert np.linalg.norm(joined.position[0, :2] - [50, 20]) < 0.6
    assert np.sqrt(np.trace(joined.covariance[0, :2, :2])) < 10
    assert joined.trusted[0]
    # By their covariances alone they would meet somewhere between their likeliest places.
    alone = Fusion().join(replace(fix_of(told), mixture=None), np.array([0, 0]), 1)
    assert np.linalg.norm(alone.position[0, :2] - [50, 20]) > 10


def test_a_sure_liar_among_three_is_not_believed():
    honest = [(0.7, 10, 10, 1), (0.3, -40, 10, 1)]
    told = mixture([honest, [(1.0, 10.5, 9.5, 1)], [(1.0, 200, 200, 0.3)]])
    joined = Fusion().join(fix_of(told), np.array([0, 0, 0]), 1)
    assert np.linalg.norm(joined.position[0, :2] - [10.2, 9.8]) < 1
    assert joined.trusted[0]
    assert joined.weight[0, :2].min() > 0.9
    assert joined.weight[0, 2] < 0.1


@pytest.mark.parametrize(("deviation", "away"), [(0.5, 100), (2, 60), (5, 100), (20, 400)])
def test_two_that_contradict_each_other_are_neither_sure_nor_trusted(deviation, away):
    told = mixture([[(1.0, 0, 0, deviation)], [(1.0, away, 0, deviation)]])
    joined = Fusion().join(fix_of(told), np.array([0, 0]), 1)
    assert np.sqrt(joined.covariance[0, 0, 0]) > 0.4 * away
    assert not joined.trusted[0]
    assert joined.weight.max() < 0.1


def test_where_one_link_brings_no_places_covariances_tell_of_the_user():
    told = mixture([[(0.6, 0, 0, 1), (0.4, 30, 0, 1)], [(0.6, 1, 0, 1), (0.4, -30, 0, 1)]])
    fix = fix_of(told)
    half = Fix.join([fix[:1], replace(fix[1:], mixture=None)])
    plain = Fusion().join(replace(fix, mixture=None), np.array([0, 0]), 1)
    joined = Fusion().join(half, np.array([0, 0]), 1)
    assert np.allclose(joined.position, plain.position)
    assert np.allclose(joined.weight, plain.weight)


def test_links_of_a_user_that_do_not_follow_each_other_are_refused():
    fix = fix_of(mixture([[(1.0, 0, 0, 1)]] * 3))
    with pytest.raises(ValueError, match="order them by their users"):
        Fusion().join(fix, np.array([0, 1, 0]), 2)


def test_who_is_heard_once_or_trusted_once_stays_where_that_link_puts_him():
    told = mixture([[(0.6, 0, 0, 1), (0.4, 30, 0, 1)]] * 4)
    trusted = torch.tensor([True, True, False, False])
    fix = fix_of(told, trusted)
    moved = Fix(fix.position + torch.arange(4)[:, None], fix.covariance, trusted, told)
    joined = Fusion().join(moved, np.array([0, 1, 1, 2]), 3)
    assert np.allclose(joined.position, moved.position[[0, 1, 3]])
    assert np.allclose(joined.covariance, moved.covariance[[0, 1, 3]])
    assert joined.trusted.tolist() == [True, True, False]


def test_heights_stay_as_stations_say_them():
    told = mixture([[(1.0, 0, 0, 1)], [(1.0, 1, 0, 1)]])
    joined = Fusion().join(fix_of(told), np.array([0, 0]), 1)
    assert joined.position[0, 2] == pytest.approx(1.5)
    assert joined.covariance[0, 2, 2] == pytest.approx(1.0)


def test_users_do_not_depend_on_who_is_asked_with_them(monkeypatch):
    generator = torch.Generator().manual_seed(1)
    links, parts = 12, 5
    told = Mixture(
        torch.randn(links, parts, generator=generator, dtype=torch.float64).log_softmax(-1),
        20 * torch.randn(links, parts, 2, generator=generator, dtype=torch.float64),
        torch.eye(2, dtype=torch.float64).repeat(links, parts, 1, 1),
    )
    whole = agree(told, users=4)
    monkeypatch.setattr(agreement, "PAIRS", 1)
    pieces = agree(told, users=4)
    for name in ("position", "covariance", "belief"):
        assert torch.allclose(getattr(whole, name), getattr(pieces, name))
        alone = [getattr(agree(told[3 * u : 3 * u + 3], users=1), name) for u in range(4)]
        assert torch.allclose(getattr(whole, name), torch.cat(alone))


def test_far_from_the_frames_origin_sharp_places_are_the_same():
    generator = np.random.default_rng(0)
    users, parts, away = 200, 9, torch.tensor([5e5, 5.4e6], dtype=torch.float64)
    truth = np.repeat(generator.uniform(-100, 100, (users, 2)), 2, axis=0)
    links = []
    for x, y in truth:
        off = generator.normal(0, 0.1, 2)
        others = generator.uniform(-100, 100, (parts - 1, 2))
        places = np.vstack([[x + off[0], y + off[1]], others])
        links.append([(1 / parts, *place, 0.1) for place in places])
    near = mixture(links)
    # Parts that are not there stand at the frame's origin, thousands of kilometres away.
    far = replace(near, place=near.place + away).strongest(64)
    found, moved = agree(near, users).position, agree(far, users).position
    assert moved.isfinite().all()
    torch.testing.assert_close(moved - away, found, rtol=0, atol=1e-3)


def test_a_station_that_is_not_there_changes_nothing():
    told = mixture([[(0.8, 0, 0, 1), (0.2, 9, 9, 2)], [(0.5, 1, 0, 1), (0.5, 40, 0, 1)]])
    more = Mixture.join([told, Mixture.empty(1, 2)])
    two, three = agree(told, users=1), agree(more, users=1)
    assert torch.allclose(two.position, three.position)
    assert torch.allclose(two.covariance, three.covariance)


def test_fixes_keep_their_places_when_they_are_chosen_and_joined():
    few, many = mixture([[(1.0, 1, 2, 3)]]), mixture([[(0.75, 4, 5, 6), (0.25, 7, 8, 9)]] * 2)
    none = Fix.nowhere(1)
    every = Fix.join([fix_of(few), none, fix_of(many)])
    assert every.mixture.weight.shape == (4, 2)
    assert every.mixture.weight[0].tolist() == [0.0, -math.inf]
    assert every.mixture.weight[1].tolist() == [-math.inf, -math.inf]
    assert torch.equal(every[2:].mixture.place, many.place)
    heard = torch.tensor([False, True, False, True])
    spread = fix_of(many).among(heard)
    assert torch.equal(spread[heard].mixture.weight, many.weight)
    assert (spread[~heard].mixture.weight == -math.inf).all()
    assert Fix.join([none, none]).mixture is None
    best = many.strongest(1)
    assert best.place[:, 0].tolist() == [[4, 5], [4, 5]]
