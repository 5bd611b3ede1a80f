"""Kriging is the textbook's Gaussian process, and is silent where it has nothing to say."""

import numpy as np
import pytest
import torch
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Matern

from models.soundings import random_sounding, random_truth, replaced
from radiofix.models import kriging as module
from radiofix.models.calibration import coverage
from radiofix.models.echo_head import WaveHead
from radiofix.models.frame import FrameHead
from radiofix.models.heads import Estimate, PositionHead
from radiofix.models.kriging import Kriging, to_scene
from radiofix.models.localizer import Localizer
from radiofix.models.radiofix import RadiofixEncoder

DIM = 3


def field(links, seed, noise=0.0):
    """Summaries, and an error that is a smooth function of them [m]."""
    generator = torch.Generator().manual_seed(seed)
    at = torch.rand(links, DIM, generator=generator).double()
    error = torch.stack([torch.sin(3 * at[:, 0]) + at[:, 1], at[:, 1] * at[:, 2] - 1], -1)
    return at, 5 * error + noise * torch.randn(links, 2, generator=generator)


def fitted(noise=0.1):
    kriging = Kriging(DIM)
    kriging.fit(*field(300, 0, noise), *field(80, 1, noise))
    return kriging


def test_what_it_adds_is_what_a_gaussian_process_regression_expects():
    kriging, (known, error), (asked, _) = fitted(), field(300, 0, 0.1), field(40, 2)
    spread = known.std(0) * DIM**0.5
    theirs = GaussianProcessRegressor(
        Matern(float(kriging.length), nu=1.5), alpha=float(kriging.noise), optimizer=None
    ).fit((known / spread).numpy(), error.numpy())
    expected = torch.from_numpy(theirs.predict((asked / spread).numpy()))
    torch.testing.assert_close(kriging.correction(asked)[0], expected, atol=1e-6, rtol=1e-6)


def test_the_share_that_is_left_is_what_the_nearest_labelled_link_leaves():
    kriging, (asked, _) = fitted(), field(20, 2)
    spread, noise = kriging.spread, float(kriging.noise)
    for link, left in zip(asked, kriging.correction(asked)[1], strict=True):
        away = ((link - kriging.middle) / spread - kriging.known).norm(dim=-1)
        near = Matern(float(kriging.length), nu=1.5)([[0.0]], [[float(away.min())]]).item()
        assert float(left) == pytest.approx(1 + noise - near**2 / (1 + noise), rel=1e-9)


def test_held_out_links_come_nearer_and_choose_how_smooth_and_how_noisy():
    asked, error = field(200, 2)
    loud, quiet = fitted(noise=3.0), fitted(noise=0.01)
    assert float(loud.noise) > float(quiet.noise)
    before = error.norm(dim=-1).mean()
    for kriging, share in ((loud, 0.4), (quiet, 0.02)):
        assert (error - kriging.correction(asked)[0]).norm(dim=-1).mean() < share * before


def test_errors_that_tell_nothing_of_others_are_forgotten():
    generator = torch.Generator().manual_seed(0)
    kriging = fitted()
    blank = [torch.randn(n, d, generator=generator) for n in (300, 100) for d in (DIM, 2)]
    kriging.fit(*blank)
    assert not kriging.fitted
    few = [t[: module.FEWEST - 1] for t in field(300, 0)]
    kriging.fit(*few, *field(80, 1))
    assert not kriging.fitted
    estimate = Estimate(torch.zeros(4, 3, dtype=torch.float64))
    assert kriging(estimate, torch.zeros(4, DIM), torch.zeros(4, 3)) is estimate


def test_far_from_all_labelled_links_the_head_stands():
    kriging = fitted()
    scale = torch.eye(2, dtype=torch.float64).expand(2, 2, 2)
    place = torch.tensor([[1.0, 2, 3]] * 2, dtype=torch.float64)
    asked = torch.stack([torch.full((DIM,), 0.5), torch.full((DIM,), 1e4)])
    moved = kriging(Estimate(place, scale), asked, torch.zeros(2, 3))
    assert (moved.position[0, :2] - place[0, :2]).norm() > 0.5
    assert float(moved.position[0, 2]) == 3
    torch.testing.assert_close(moved.position[1], place[1])
    whole = (1 + float(kriging.noise)) ** 0.5
    torch.testing.assert_close(moved.scale[1], whole * scale[1])
    assert float(moved.scale[0].norm()) < 0.5 * float(scale[0].norm())


def test_what_was_learnt_at_one_station_turns_with_another():
    made, sounding = kriged(), random_sounding(30, 8)
    plain = localizer().fix(sounding).position
    turn, shift = 0.7, torch.tensor([5.0, -3.0, 0.0], dtype=torch.float64)
    orientation = sounding.station_orientation.clone()
    orientation[:, 1:] = 0
    orientation[:, 0] = 0.2
    upright = replaced(sounding, station_orientation=orientation)
    before = made.fix(upright).position - upright.station_position
    orientation = orientation.clone()
    orientation[:, 0] += turn
    elsewhere = replaced(
        sounding,
        station_orientation=orientation,
        station_position=sounding.station_position + shift,
    )
    after = made.fix(elsewhere).position - elsewhere.station_position
    cos, sin = np.cos(turn), np.sin(turn)
    rotation = torch.tensor([[cos, -sin], [sin, cos]], dtype=torch.float64)
    torch.testing.assert_close(after[:, :2], before[:, :2] @ rotation.T, atol=1e-3, rtol=1e-5)
    assert (made.fix(sounding).position - plain).norm(dim=-1).mean() > 1


def test_of_too_many_labelled_links_some_are_remembered(monkeypatch):
    monkeypatch.setattr(module, "MOST", 120)
    kriging = fitted()
    assert kriging.known.shape == (120, DIM)
    assert kriging.weight.shape == (120, 2)
    asked, error = field(100, 2)
    left = (error - kriging.correction(asked)[0]).norm(dim=-1).mean()
    assert left < 0.1 * error.norm(dim=-1).mean()


def localizer(head=None):
    torch.manual_seed(0)
    return Localizer(RadiofixEncoder(16, 1, 2, 4, 8), head or FrameHead(16)).eval()


def links(seed, made):
    """Links whose users stand off from where a localizer puts them, by what their summary says."""
    sounding = random_sounding(60, seed)
    with torch.no_grad():
        features = made.encoder(sounding).summary.double()
    truth = random_truth(60, seed)
    off = to_scene(20 * torch.tanh(features[:, :2]), sounding.station_orientation)
    truth.position[:, :2] = made.fix(sounding).position[:, :2] + off
    return sounding, truth


def kriged(head=None):
    made = localizer(head)
    made.krige([links(s, made) for s in range(6)], [links(s, made) for s in (6, 7)])
    return made


@pytest.mark.parametrize("head", [None, PositionHead(16)])
def test_a_localizer_moves_its_fixes_and_states_what_is_left(head):
    if head is not None:
        head.fit([random_sounding()], [random_truth()])
    plain = localizer(head)
    sounding, truth = links(9, plain)
    known, held_out = ([links(s, plain) for s in seeds] for seeds in (range(6), range(6, 8)))
    before = (plain.fix(sounding).position - truth.position)[:, :2].norm(dim=-1).mean()
    plain.krige(known, held_out)
    assert plain.kriging.fitted
    plain.calibrate([s for s, _ in known], held_out)
    fix = plain.fix(sounding)
    error = (fix.position - truth.position)[:, :2]
    assert error.norm(dim=-1).mean() < 0.7 * before
    torch.testing.assert_close(plain(sounding).position.double(), fix.position)
    held = coverage(error, torch.linalg.cholesky(fix.covariance[:, :2, :2]))
    assert 0.75 < held <= 1
    # Learnt again it begins anew, by the head's own errors.
    again = plain.kriging.weight.clone()
    plain.krige(known, held_out)
    torch.testing.assert_close(plain.kriging.weight, again)


def test_of_places_that_were_weighed_nothing_is_said_once_the_fix_is_moved():
    made = kriged(WaveHead(16))
    sounding, _ = links(9, made)
    assert made.kriging.fitted
    assert made.fix(sounding).mixture is None
    made.kriging = Kriging(16)
    assert made.fix(sounding).mixture is not None


def test_weights_bring_their_labelled_links_and_older_ones_have_none():
    made, sounding = kriged(), random_sounding(30, 8)
    state = made.state_dict()
    assert state["kriging.known"].shape == (360, 16)
    fresh = localizer()
    fresh.load_state_dict(state)
    torch.testing.assert_close(fresh.fix(sounding).position, made.fix(sounding).position)
    older = {k: v for k, v in state.items() if not k.startswith("kriging.")}
    fresh.load_state_dict(older)
    assert not fresh.kriging.fitted
    torch.testing.assert_close(fresh.fix(sounding).position, localizer().fix(sounding).position)
    fresh.load_state_dict(state)
    assert fresh.kriging.fitted
    broken = {k: v for k, v in state.items() if k != "kriging.weight"}
    with pytest.raises(RuntimeError, match=r"kriging\.weight"):
        fresh.load_state_dict(broken)
    del older["encoder.norm.weight"]
    with pytest.raises(RuntimeError, match=r"encoder\.norm\.weight"):
        fresh.load_state_dict(older)
