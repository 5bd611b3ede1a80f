"""A head that follows waves: it finds users in their echoes, and states what it does not know."""

import math

import numpy as np
import pytest
import torch

from models.sites import (
    ECHOING,
    HEIGHT,
    ORIENTATIONS,
    SOUTH,
    STATIONS,
    heard,
    reflected,
    street,
    turned,
    turned_poses,
)
from models.soundings import gradient, random_latent, replaced
from radiofix.models.agreement import median
from radiofix.models.candidates import (
    BEHIND,
    FANNED,
    FOLDED,
    KINDS,
    OWN,
    STRAIGHT,
    TOLD,
    fanned,
)
from radiofix.models.echo_head import EchoHead, WaveHead
from radiofix.models.echoes import Echoes, ground
from radiofix.models.frame import FrameHead
from radiofix.models.incoming import incoming
from radiofix.models.kriging import to_station
from radiofix.models.site_map import give_map
from radiofix.physics.strongest import strongest_waves
from radiofix.types import Truth


def echo_head(prior=None, dim=16, waves=2):
    torch.manual_seed(0)
    head = EchoHead(dim, waves=waves, width=8)
    give_map(head, street())
    if prior is not None:
        with torch.no_grad():
            head.prior.weight.zero_()
            head.prior.weight[0, :KINDS] = torch.tensor(prior)
            head.prior.weight[0, BEHIND] = -60.0
            head.last.bias[3:5] = -40.0  # centimetres of spread
    return head


def strongest(sounding, count, height=HEIGHT):
    found = strongest_waves(sounding.csi, sounding.frequency, sounding.antenna, count)
    return incoming(sounding, found, torch.full((len(sounding),), height, dtype=torch.float64))


def latent(sounding, dim=16):
    return random_latent(len(sounding), dim=dim)


def test_a_user_is_found_in_the_echo_off_the_other_side_of_the_street():
    sounding = reflected()
    head = echo_head(prior=[-60.0, -60.0, 0.0, -60.0], waves=1)
    found = head(latent(sounding), sounding).position
    assert (found[:, :2] - torch.tensor(ECHOING[:, :2])).norm(dim=-1).max() < 0.6
    # Without the map it is taken for its mirror image behind the wall.
    plain = echo_head(prior=[-60.0, 0.0, -60.0, -60.0], waves=1)
    straight = plain(latent(sounding), sounding).position
    images = np.stack([ECHOING[:, 0], 2 * SOUTH - ECHOING[:, 1]], 1)
    assert (straight[:, :2] - torch.tensor(images)).norm(dim=-1).max() < 0.6


def test_a_user_in_sight_has_no_folded_way():
    sounding = reflected(direct=True)
    head = echo_head()
    found = head.candidates(sounding, strongest(sounding, 1))
    kind, front = found.told[..., :KINDS].argmax(-1), found.told[..., BEHIND] == 0
    assert not found.present[(kind == FOLDED) & front].any()
    assert (found.present & (kind == STRAIGHT) & front).any(1).all()


def test_candidates_of_each_kind_are_told_apart_and_those_of_other_waves_bear_them_out():
    sounding, direct = reflected(), reflected(direct=True)
    head = echo_head()
    # The second wave comes straight from where the first has been reflected from.
    first, second = (
        strongest_waves(s.csi, s.frequency, s.antenna, 1)[0] for s in (sounding, direct)
    )
    height = torch.full((len(sounding),), HEIGHT, dtype=torch.float64)
    found = head.candidates(sounding, incoming(sounding, [first, second], height))
    kind = found.told[..., :KINDS].argmax(-1)
    assert {int(k) for k in kind[found.present].unique()} == {STRAIGHT, FOLDED, FANNED}
    near, front = found.told[..., TOLD["agreeing"].start], found.told[..., BEHIND] == 0
    folded = (kind == FOLDED) & (found.wave == 0) & front & found.present
    astray = (kind == STRAIGHT) & (found.wave == 0) & front
    assert near[folded].min() > 0.8
    assert near[astray].max() < 0.1


@pytest.mark.filterwarnings("ignore:the station at")
def test_a_station_far_from_all_houses_follows_waves_straight():
    head, sounding = echo_head(), reflected()
    far = torch.tensor([5_000.0, 0.0, 0.0]).double()
    sounding = replaced(sounding, station_position=sounding.station_position + far)
    waves = strongest(sounding, 2)
    found, aside = head.candidates(sounding, waves), fanned(waves, *head._seen(sounding))[0]
    for told in (found, aside):
        assert told.told.isfinite().all()
        assert told.place.isfinite().all()
    assert not aside.present.any()
    assert (found.told[found.present][:, :KINDS].argmax(-1) == STRAIGHT).all()


def test_what_a_wave_lost_at_an_edge_is_told_beside_what_a_half_plane_takes():
    head, sounding = echo_head(), reflected()
    waves = strongest(sounding, 1)
    seen, of = head._seen(sounding)
    found, circles = fanned(waves, seen, of)
    chosen = (found.circle >= 0) & found.present
    links, candidates = torch.where(chosen)
    assert len(links) > 20
    told = found.told[chosen][:, TOLD["aside"]].numpy()
    for index, (link, candidate) in enumerate(
        zip(links.tolist(), candidates.tolist(), strict=True)
    ):
        circle = int(found.circle[link, candidate])
        centre, left = circles.centre[link, circle].numpy(), float(circles.radius[link, circle])
        onward = (found.place[link, candidate].numpy() - centre) / left
        side = circle // 2
        level, size = float(waves.level[link, side]), float(waves.size[link, side])
        own = np.linalg.norm(seen.edge[of[link]].numpy() - centre, axis=-1) < 1e-3
        # An edge may be seen twice, in a mirror and by itself: one of both is meant.
        fits = []
        for edge in np.flatnonzero(own):
            arriving = seen.arriving[of[link], edge].numpy()
            outward = seen.outward[of[link], edge].numpy()
            half = max(math.sqrt(max(0.0, (1 - arriving @ onward) / 2)), 0.02)
            spread = math.sqrt((level - left) * left * level)
            lost = math.log10(size * spread * half) + 3.8
            # A turn is toward the house if the open lies on its other side.
            aside = np.array([-arriving[1], arriving[0]])
            turn, open_ = aside @ onward, aside @ outward
            fits.append([arriving @ onward, -turn * np.sign(open_), max(-3.0, min(3.0, lost))])
        expected = told[index][[0, 1, 4]]
        assert min(np.abs(np.array(fits) - expected).max(1)) < 2e-3


def mine(head, own, sounding):
    """What the place of its own is told to be, weighed."""
    away = to_station(
        (own.position - sounding.station_position)[:, :2], sounding.station_orientation
    )
    told = torch.cat([away / 100, away.norm(dim=-1, keepdim=True).clamp(min=1).log10()], -1)
    return (told.detach().float() @ head.prior.weight[0, TOLD["place"]].detach()).numpy()


def test_mean_and_covariance_are_those_of_the_mixture():
    sounding = heard()
    torch.manual_seed(1)
    head = WaveHead(16, waves=3, width=8)
    torch.nn.init.normal_(head.last.weight, std=0.3)
    features = head.penultimate(latent(sounding), sounding)
    own = FrameHead.place(head, features, sounding)
    seen = {}
    head.last.register_forward_hook(lambda _, __, out: seen.setdefault("verdict", out.detach()))
    torch.nn.init.normal_(head.prior.weight, std=0.3)
    whole = head.train().place(features, sounding)
    found = head.candidates(sounding, strongest(sounding, 3, float(head.height)))
    link = 4
    yaw = float(sounding.station_orientation[link, 0])
    turn = np.array([[math.cos(yaw), -math.sin(yaw)], [math.sin(yaw), math.cos(yaw)]])
    verdict = seen["verdict"][link].double().numpy()
    weights = head.prior.weight[0].detach().numpy()
    told = found.told[link].numpy() @ weights
    prior = np.array([weights[OWN] + mine(head, own, sounding)[link], *told])
    present = np.array([True, *found.present[link].tolist()])
    logit = np.where(present, verdict[:, 0] + prior, -np.inf)
    weight = np.exp(logit - logit.max()) / np.exp(logit - logit.max()).sum()
    moved = found.place[link].double().numpy() + 10 * verdict[1:, 1:3]
    station = sounding.station_position[link, :2].numpy()
    places = [own.position[link, :2].detach().numpy(), *(station + turn @ at for at in moved)]
    scale = own.scale[link].detach().numpy()
    spreads = [scale @ scale.T]
    for raw in verdict[1:, 3:]:
        deviation = 10 * np.exp(6.2 * np.tanh(raw[:2] / 6.2))
        factor = np.array([[deviation[0], 0], [raw[2] * deviation[1], deviation[1]]])
        spreads.append(turn @ factor @ factor.T @ turn.T)
    mean = sum(w * p for w, p in zip(weight, places, strict=True))
    covariance = sum(
        w * (c + np.outer(p - mean, p - mean))
        for w, p, c in zip(weight, places, spreads, strict=True)
    )
    np.testing.assert_allclose(whole.position[link, :2].detach(), mean, rtol=1e-4, atol=1e-3)
    stated = (whole.scale[link] @ whole.scale[link].T).detach()
    np.testing.assert_allclose(stated, covariance, rtol=1e-3)


def test_the_answer_is_where_the_expected_distance_is_least_and_covers_what_it_leaves_open():
    share = torch.tensor([[0.6, 0.3, 0.1]]).double()
    place = torch.tensor([[[0.0, 0.0], [100.0, 0.0], [3.0, 60.0]]]).double()
    tight = 0.01 * torch.eye(2).double().expand(1, 3, 2, 2)
    found = median(share, place, tight)
    # More than half of it at one place: there it is, and not 33 m away as the mean.
    assert float(found.norm()) < 0.5
    share = torch.tensor([[0.4, 0.35, 0.25]]).double()
    found = median(share, place, tight)[0].numpy()
    axis = np.linspace(-5, 105, 221)
    x, y = np.meshgrid(axis, axis)
    away = np.hypot(x[..., None] - place[0, :, 0].numpy(), y[..., None] - place[0, :, 1].numpy())
    cost = away @ share[0].numpy()
    best = np.unravel_index(cost.argmin(), cost.shape)
    assert np.hypot(found[0] - x[best], found[1] - y[best]) < 1.0


def test_it_learns_by_the_mean_and_answers_by_the_median():
    sounding = reflected()
    head = echo_head()
    told = latent(sounding)
    learning, answering = head.train()(told, sounding), head.eval()(told, sounding)
    mixture = answering.mixture
    mean = (mixture.weight.exp()[..., None] * mixture.place).sum(1)
    torch.testing.assert_close(learning.position[:, :2], mean)
    expected = median(mixture.weight.exp(), mixture.place, mixture.scale @ mixture.scale.mT)
    torch.testing.assert_close(answering.position[:, :2], expected)
    # About the median the squares are larger than about the mean, by those of what lies between.
    between = (expected - mean)[:, :, None]
    wider = learning.scale @ learning.scale.mT + between @ between.mT
    stated = answering.scale @ answering.scale.mT
    torch.testing.assert_close(stated, wider, atol=1e-4, rtol=1e-4)


def test_an_untrained_head_takes_the_strongest_waves_folded_way_and_else_the_straight_one():
    for direct in (False, True):
        sounding = reflected(direct=direct)
        found = echo_head(waves=1).eval()(latent(sounding), sounding).position
        off = (found[:, :2] - torch.tensor(ECHOING[:, :2])).norm(dim=-1)
        assert off.max() < 3


def test_everything_that_follows_waves_learns():
    sounding = reflected()
    head = echo_head()
    torch.nn.init.normal_(head.last.weight, std=0.1)
    estimate = head(latent(sounding), sounding)
    (estimate.position.square().mean() + estimate.scale.square().mean()).backward()
    assert all(size > 0 for size in gradient(head).values()), gradient(head)


def test_the_scene_turned_and_moved_with_its_stations_turns_and_moves_the_fix():
    pose = torch.from_numpy(np.hstack([STATIONS, ORIENTATIONS * [1, 0, 0]]))
    angle, by = 0.4, (30.0, -70.0, 0.0)
    torch.manual_seed(0)
    head = EchoHead(16, waves=2, width=8)
    torch.nn.init.normal_(head.last.weight, std=0.1)
    fixes = []
    for site_map, poses in (
        (street(), pose),
        (turned(street(), angle, by), turned_poses(pose, angle, by)),
    ):
        give_map(head, site_map)
        sounding = heard(poses)
        fixes.append(head(latent(sounding), sounding).position)
    cos, sin = math.cos(angle), math.sin(angle)
    turn = torch.tensor([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]], dtype=torch.float64)
    moved = fixes[0] @ turn.T + torch.tensor(by, dtype=torch.float64)
    torch.testing.assert_close(fixes[1], moved, atol=0.5, rtol=0)


def test_links_without_any_csi_and_without_waves_are_placed_all_the_same():
    sounding = heard()
    silent = replaced(sounding, csi=torch.zeros_like(sounding.csi))
    head = echo_head()
    assert head(latent(silent), silent).position.isfinite().all()
    with pytest.raises(ValueError, match="waves=0 must be at least 1"):
        WaveHead(16, waves=0)


def test_a_head_that_goes_on_with_another_users_height_looks_anew():
    sounding = reflected()
    head = echo_head(prior=[-60.0, -60.0, 0.0, -60.0])
    head(latent(sounding), sounding)
    head.height.fill_(2.5)
    head(latent(sounding), sounding)
    assert head.sights.height == 2.5
    assert sum(isinstance(kept, Echoes) for kept in head.sights.site.views.values()) == 1


def test_a_hill_lifts_the_ways_and_the_fix_and_nothing_else():
    sounding, up = reflected(), torch.tensor([0.0, 0.0, 20.0]).double()
    lifted = replaced(sounding, station_position=sounding.station_position + up)
    head = echo_head(prior=[-60.0, -60.0, 0.0, -60.0], waves=1)
    flat = head(latent(sounding), sounding).position
    give_map(head, turned(street(), 0.0, tuple(up.tolist())))
    hill = head(latent(lifted), lifted).position
    torch.testing.assert_close(hill, flat + up, atol=1e-3, rtol=0)


def test_the_height_that_is_learnt_is_that_over_the_ground():
    sounding, up = reflected(), torch.tensor([0.0, 0.0, 20.0]).double()
    lifted = replaced(sounding, station_position=sounding.station_position + up)
    head = echo_head()
    give_map(head, turned(street(), 0.0, tuple(up.tolist())))
    users = torch.tensor(ECHOING) + up + torch.tensor([0.0, 0.0, 0.3]).double()
    head.fit([lifted], [Truth(users, torch.zeros(len(users), dtype=torch.bool))])
    assert float(head.height) == pytest.approx(HEIGHT + 0.3)
    assert torch.allclose(head(latent(lifted), lifted).position[:, 2], users[:, 2])


def test_the_ground_is_where_the_nearest_houses_stand():
    pose = torch.tensor([0.0, 9.0, 26.0, 0.0, 0.0, 0.0]).double()
    assert ground(turned(street(), 0.0, (0.0, 0.0, 20.0)), pose) == pytest.approx(20.0)
    nobody = street().only(torch.zeros(4, dtype=torch.bool))
    assert ground(nobody, pose) == 0.0
