"""Several stations, one place: information adds up, and a liar is not believed."""

import numpy as np
import pytest
import torch

from radiofix.models.fusing import Fusion
from radiofix.serving.ellipses import scale_of
from radiofix.types import Fix


def spread(xx, yy=None, xy=0.0, zz=1.0):
    yy = xx if yy is None else yy
    return np.array([[xx, xy, 0], [xy, yy, 0], [0, 0, zz]], dtype=float)


def fuse(position, covariance, trusted=None, heard=None):
    """Of one user."""
    position = np.asarray(position, dtype=float)
    everyone = np.ones(len(position), dtype=bool)
    return Fusion().fuse(
        position[None],
        np.asarray(covariance, dtype=float)[None],
        (everyone if heard is None else np.asarray(heard))[None],
        (everyone if trusted is None else np.asarray(trusted))[None],
    )


def test_two_equal_fixes_halve_the_covariance_but_not_the_heights():
    cov = spread(9.0, 4.0, 2.0, zz=1.5)
    fused = fuse([[3, 4, 1.5]] * 2, [cov] * 2)
    assert np.allclose(fused.position[0], [3, 4, 1.5])
    assert np.allclose(fused.covariance[0, :2, :2], cov[:2, :2] / 2)
    assert fused.covariance[0, 2, 2] == pytest.approx(1.5)
    assert fused.trusted[0]


def test_fixes_that_agree_are_joined_by_their_information():
    position = [[0.0, 0.0, 1], [1.0, 0.5, 2], [0.3, -0.6, 1]]
    covariance = [spread(4.0), spread(1.0, 9.0, 0.5), spread(2.0, 3.0, -1.0)]
    fused = fuse(position, covariance)
    information = [np.linalg.inv(c[:2, :2]) for c in covariance]
    total = sum(information)
    pull = sum(i @ np.array(p)[:2] for i, p in zip(information, position, strict=True))
    assert np.allclose(fused.position[0, :2], np.linalg.solve(total, pull), atol=1e-6)
    assert np.allclose(fused.covariance[0, :2, :2], np.linalg.inv(total))
    assert np.allclose(fused.weight, 1)


@pytest.mark.parametrize("claims", [0.3, 3.0, 10.0])
@pytest.mark.parametrize("away", [12.0, 25.0, 60.0, 400.0])
def test_one_liar_among_four_moves_the_fix_by_less_than_a_metre(away, claims):
    honest = np.array([[1, 0.5, 1.5], [-0.8, 0.6, 1.5], [0.2, -1, 1.5]])
    covariance = [spread(9.0)] * 3
    alone = fuse(honest, covariance).position[0]
    for angle in np.linspace(0, 2 * np.pi, 12, endpoint=False):
        liar = [away * np.cos(angle), away * np.sin(angle), 1.5]
        fused = fuse([*honest, liar], [*covariance, spread(claims**2)])
        assert np.linalg.norm(fused.position[0] - alone) < 1
        assert fused.trusted[0] or claims > 5


def test_the_fused_place_is_where_the_weighted_pulls_cancel():
    rng = np.random.default_rng(0)
    position = rng.normal(0, 8, (50, 5, 3))
    covariance = np.broadcast_to(spread(9.0, 4.0, 1.0), (50, 5, 3, 3))
    sure = np.ones((50, 5), dtype=bool)
    fused = Fusion(freedom=2.0).fuse(position, covariance, sure, sure)
    information = np.linalg.inv(covariance[0, 0, :2, :2])
    for place, weight, given in zip(fused.position, fused.weight, position, strict=True):
        away = given[:, :2] - place[:2]
        squared = np.einsum("si,ij,sj->s", away, information, away)
        assert np.allclose(weight, np.minimum(1, 4 / (2 + squared)), atol=1e-6)
        assert np.allclose((weight[:, None] * away).sum(0), 0, atol=1e-3)


def test_the_order_of_stations_means_nothing():
    rng = np.random.default_rng(1)
    position, order = rng.normal(0, 20, (4, 3)), [2, 0, 3, 1]
    covariance = np.array([spread(v) for v in (1.0, 4.0, 9.0, 16.0)])
    first, other = fuse(position, covariance), fuse(position[order], covariance[order])
    assert np.allclose(first.position, other.position, atol=1e-5)
    assert np.allclose(first.weight[0, order], other.weight[0], atol=1e-5)


def test_links_that_are_not_trusted_are_left_out_and_alone_they_are_marked():
    position = [[0, 0, 1], [40, 0, 1], [0.5, 0, 1]]
    covariance = [spread(1.0)] * 3
    fused = fuse(position, covariance, trusted=[True, False, True])
    assert fused.weight[0].tolist() == [1, 0, 1]
    assert np.allclose(fused.position[0], [0.25, 0, 1])
    assert fused.trusted[0]
    alone = fuse(position[:1], covariance[:1], trusted=[False])
    assert np.allclose(alone.position[0], [0, 0, 1])
    assert not alone.trusted[0]


def test_two_that_contradict_each_other_are_not_trusted_and_nobody_heard_is_nowhere():
    fused = fuse([[0, 0, 1], [50, 0, 1]], [spread(4.0)] * 2)
    assert not fused.trusted[0]
    nowhere = fuse([[0, 0, 1]], [spread(1.0)], heard=[False])
    assert np.isnan(nowhere.position).all()
    assert np.isnan(nowhere.covariance).all()
    assert not nowhere.trusted[0]


def test_what_was_not_heard_may_be_anything():
    covariance = np.stack([spread(2.0), np.full((3, 3), np.nan)])
    fused = fuse([[1, 2, 3], [np.nan] * 3], covariance, heard=[True, False])
    assert np.allclose(fused.position[0], [1, 2, 3])
    assert np.allclose(fused.covariance[0], spread(2.0))


def test_of_honest_fixes_the_fused_ellipse_holds_what_it_says():
    rng = np.random.default_rng(2)
    factors = rng.normal(0, 1, (4, 2, 2)) * 3 + 2 * np.eye(2)
    covariance = np.zeros((4, 3, 3))
    covariance[:, :2, :2] = factors @ factors.mT
    covariance[:, 2, 2] = 1
    position = np.zeros((4000, 4, 3))
    position[..., :2] = np.einsum("sij,usj->usi", factors, rng.normal(size=(4000, 4, 2)))
    sure = np.ones((4000, 4), dtype=bool)
    fused = Fusion().fuse(position, np.broadcast_to(covariance, (4000, 4, 3, 3)), sure, sure)
    place, inverse = fused.position[:, :2], np.linalg.inv(fused.covariance[:, :2, :2])
    squared = np.einsum("ui,uij,uj->u", place, inverse, place)
    assert 0.88 < (squared < scale_of(0.9) ** 2).mean() < 0.95
    # A guard costs little: the plain information filter is the best there is for honest fixes.
    plain = np.linalg.inv(np.linalg.inv(covariance[:, :2, :2]).sum(0))
    assert (place**2).sum(1).mean() < 1.15 * np.trace(plain)


def test_freedom_must_be_positive():
    with pytest.raises(ValueError, match="freedom must be positive, got 0"):
        Fusion(freedom=0.0)


def test_links_one_after_the_other_are_joined_as_tables_of_them_are():
    random = np.random.default_rng(0)
    group = np.array([0, 0, 0, 1, 3, 3])
    position = random.normal(size=(6, 3)) * 10
    position[4] = np.nan
    factor = random.normal(size=(6, 3, 3)) + 2 * np.eye(3)
    covariance = factor @ factor.transpose(0, 2, 1)
    trusted = np.array([True, False, True, False, True, True])
    fix = Fix(*map(torch.from_numpy, (position, covariance, trusted)))
    joined = Fusion().join(fix, group, 4)
    assert joined.weight.shape == (4, 3)
    for row, links in enumerate(([0, 1, 2], [3], [], [5])):
        if not links:
            assert np.isnan(joined.position[row]).all()
            continue
        alone = fuse(position[links], covariance[links], trusted[links])
        assert np.allclose(joined.position[row], alone.position[0])
        assert np.allclose(joined.covariance[row], alone.covariance[0])
        assert joined.trusted[row] == alone.trusted[0]
    # Who was heard by the second station alone counts at its place.
    assert joined.weight[3, 0] == 0 < joined.weight[3, 1]


def test_far_from_the_origin_of_a_frame_the_place_is_the_same_to_a_millimetre():
    # One station says along x, the other along y: 1 to 10,000.
    position = [[0.0, 30.0, 1.5], [20.0, 0.0, 1.5], [1.0, -0.5, 1.5]]
    covariance = [spread(1e-2, 1e6), spread(1e6, 1e-2), spread(1e2, 1e-2, 0.9)]
    here = fuse(position, covariance).position[0]
    utm = np.array([691_600.0, 5_334_765.0, 0.0])
    there = fuse(np.array(position) + utm, covariance).position[0]
    assert np.allclose(there - utm, here, atol=1e-3)
