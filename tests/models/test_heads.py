"""Heads: the published size and formula, the units of what they say, and fusion."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch import nn

from models.soundings import gradient, random_latent, random_truth, replaced, steady_sounding
from radiofix.models.configuration import configuration
from radiofix.models.heads import (
    AoaHead,
    ConfiguredRegressor,
    DedicatedPositionHeads,
    Estimate,
    FusionHead,
    ImpliedAoaHead,
    ImpliedToaHead,
    PositionHead,
    ToaHead,
    fuse,
)
from radiofix.models.labels import angle_of_arrival, time_of_arrival
from radiofix.types import SPEED_OF_LIGHT


@pytest.fixture(autouse=True)
def _same_weights() -> None:
    torch.manual_seed(0)


def fitted(head: nn.Module, links: int = 6, stations: int = 3) -> nn.Module:
    head.fit([steady_sounding(links, stations=stations)], [random_truth(links)])
    return head


def test_the_published_head_has_67330_parameters() -> None:
    assert sum(p.numel() for p in PositionHead(256).parameters()) == 67_330


def test_the_published_head_adds_the_configuration_and_has_two_layers() -> None:
    head, latent, sounding = ConfiguredRegressor(16, 2), random_latent(), steady_sounding()
    head.configuration.fit([sounding])
    w = {name: p.detach().numpy() for name, p in head.named_parameters()}
    told = configuration(sounding).numpy()
    told = (told - told.mean(0)) / told.std(0)
    embedded = told @ w["configuration.linear.weight"].T + w["configuration.linear.bias"]
    features = latent.summary.detach().numpy() + np.maximum(embedded, 0)
    features = np.maximum(features @ w["hidden.weight"].T + w["hidden.bias"], 0)
    expected = features @ w["output.weight"].T + w["output.bias"]
    np.testing.assert_allclose(head(latent, sounding).detach().numpy(), expected, atol=1e-5)


def test_a_position_implies_the_time_and_the_angle_that_are_asked() -> None:
    estimator, latent, sounding = fitted(PositionHead(16)), random_latent(), steady_sounding()
    away = (estimator(latent, sounding).position - sounding.station_position).detach().numpy()
    turned = Rotation.from_euler("ZYX", sounding.station_orientation.numpy()).inv().apply(away)
    delay = ImpliedToaHead(estimator)(latent, sounding).detach().numpy()
    azimuth = ImpliedAoaHead(estimator)(latent, sounding).detach().numpy()
    np.testing.assert_allclose(delay, np.linalg.norm(away, axis=1) / SPEED_OF_LIGHT, rtol=1e-6)
    np.testing.assert_allclose(azimuth, np.arctan2(turned[:, 1], turned[:, 0]), atol=1e-6)


def test_a_head_that_asks_another_fits_and_trains_that_one() -> None:
    estimator = PositionHead(16)
    head = ImpliedToaHead(estimator)
    assert {name for name, _ in head.named_parameters()} == {
        f"estimator.{name}" for name, _ in estimator.named_parameters()
    }
    sounding, truth = steady_sounding(), random_truth()
    head.fit([sounding], [truth])
    fresh = PositionHead(16)
    fresh.fit([sounding], [truth])
    for name, scale in fresh.named_buffers():
        assert torch.equal(dict(estimator.named_buffers())[name], scale), name
    head(random_latent(), sounding).sum().backward()
    assert all(p.grad is not None for p in estimator.parameters())


def test_labels_follow_from_where_the_two_ends_stand() -> None:
    sounding, truth = steady_sounding(), random_truth()
    delay = time_of_arrival(sounding, truth.position)
    azimuth = angle_of_arrival(sounding, truth.position)
    for n in range(len(sounding)):
        away = (truth.position[n] - sounding.station_position[n]).numpy()
        turn = Rotation.from_euler("ZYX", sounding.station_orientation[n].numpy())
        local = turn.inv().apply(away)
        assert float(delay[n]) == pytest.approx(np.linalg.norm(away) / SPEED_OF_LIGHT, rel=1e-12)
        assert float(azimuth[n]) == pytest.approx(math.atan2(local[1], local[0]), abs=1e-9)


def test_a_user_straight_ahead_of_a_turned_station_is_at_azimuth_0() -> None:
    sounding = steady_sounding(1)
    yaw = torch.tensor([[math.pi / 2, 0.0, 0.0]], dtype=torch.float64)
    facing = replaced(sounding, station_orientation=yaw)
    north = sounding.station_position + torch.tensor([[0.0, 30.0, 0.0]])
    east = sounding.station_position + torch.tensor([[30.0, 0.0, 0.0]])
    assert float(angle_of_arrival(facing, north)) == pytest.approx(0, abs=1e-12)
    assert float(angle_of_arrival(facing, east)) == pytest.approx(-math.pi / 2)


@pytest.mark.parametrize(
    ("head", "label"), [(ToaHead(16), time_of_arrival), (AoaHead(16), angle_of_arrival)]
)
def test_delay_and_angle_heads_speak_in_the_labels_unit(head: nn.Module, label: object) -> None:
    sounding, truth = steady_sounding(), random_truth()
    fitted(head)
    head.regressor.output.weight.data.zero_()
    head.regressor.output.bias.data.fill_(1.0)
    seen = label(sounding, truth.position)[truth.line_of_sight].numpy()
    expected = seen.mean() + seen.std()
    said = head(random_latent(), sounding).detach().numpy()
    np.testing.assert_allclose(said, np.full(6, expected), rtol=1e-9)


def test_position_head_speaks_in_metres_at_the_mean_height_of_the_labels() -> None:
    head, truth = fitted(PositionHead(16)), random_truth().position.numpy()
    head.regressor.output.weight.data.zero_()
    head.regressor.output.bias.data.copy_(torch.tensor([1.0, -2.0]))
    said = head(random_latent(), steady_sounding())
    expected = truth.mean(0) + truth.std(0) * [1, -2, 0]
    np.testing.assert_allclose(said.position.detach().numpy(), np.tile(expected, (6, 1)))
    assert said.scale is None
    assert said.logit is None


def test_positions_are_not_rounded_to_bfloat16_under_autocast() -> None:
    head, latent, sounding = fitted(PositionHead(16)), random_latent(), steady_sounding()
    with torch.autocast("cpu", torch.bfloat16):
        rounded = head(latent, sounding).position
    torch.testing.assert_close(rounded, head(latent, sounding).position, rtol=0, atol=1e-6)


def test_gradient_reaches_every_parameter_of_a_position_and_its_attention() -> None:
    head = fitted(FusionHead(PositionHead(16), 8))
    sounding = replaced(steady_sounding(), user=torch.zeros(6, dtype=torch.int64))
    position, _ = fuse(head(random_latent(), sounding), sounding.user)
    position[:, :2].square().sum().backward()
    # The softmax does not feel what is added to all logits alike.
    assert {n for n, size in gradient(head).items() if size <= 1e-7} <= {"attention.2.bias"}


def of_two_users(links: int) -> torch.Tensor:
    return torch.arange(links) % 2 * 5 + 3


def test_fusion_is_the_attention_weighted_mean_of_each_users_links() -> None:
    generator = torch.Generator().manual_seed(3)
    position = torch.randn(7, 3, generator=generator, dtype=torch.float64)
    logit = 5 * torch.randn(7, generator=generator, dtype=torch.float64) + 900
    user = of_two_users(7)
    fused, weight = fuse(Estimate(position, logit=logit), user)
    for row, name in enumerate((3, 8)):
        mine = (user == name).numpy()
        share = np.exp(logit.numpy()[mine] - 900)
        share /= share.sum()
        np.testing.assert_allclose(weight.numpy()[mine], share)
        np.testing.assert_allclose(fused[row].numpy(), share @ position.numpy()[mine])


def test_the_order_of_stations_changes_nothing() -> None:
    head, latent, user = fitted(FusionHead(PositionHead(16))), random_latent(), of_two_users(6)
    sounding = replaced(steady_sounding(), user=user)
    order = torch.tensor([5, 2, 0, 4, 1, 3])
    shuffled = replace(latent, summary=latent.summary[order], tokens=latent.tokens[order])
    first, _ = fuse(head(latent, sounding), user)
    second, _ = fuse(head(shuffled, sounding[order]), user[order])
    torch.testing.assert_close(first, second)


def test_a_user_with_one_station_is_where_that_station_says() -> None:
    head, sounding = fitted(FusionHead(PositionHead(16))), steady_sounding()
    estimate = head(random_latent(), sounding)
    position, weight = fuse(estimate, sounding.user)
    torch.testing.assert_close(position, estimate.position)
    assert torch.equal(weight, torch.ones_like(weight))


def test_estimates_made_apart_are_fused_as_if_made_together() -> None:
    head, latent, user = fitted(FusionHead(PositionHead(16))), random_latent(), of_two_users(6)
    sounding = steady_sounding()
    together = head(latent, sounding)
    apart = [head(latent[i : i + 1], sounding[i : i + 1]) for i in range(6)]
    joined = Estimate(
        torch.cat([e.position for e in apart]), logit=torch.cat([e.logit for e in apart])
    )
    torch.testing.assert_close(fuse(joined, user)[0], fuse(together, user)[0])


def test_a_shared_head_fitted_with_4_stations_serves_18() -> None:
    head = fitted(FusionHead(PositionHead(16)), links=12, stations=4)
    sounding = steady_sounding(18, seed=5, stations=18)
    user = torch.zeros(18, dtype=torch.int64)
    estimate = head(random_latent(18), sounding)
    position, weight = fuse(estimate, user)
    assert position.shape == (1, 3)
    assert float(weight.detach().sum()) == pytest.approx(1)
    low, high = estimate.position.amin(0), estimate.position.amax(0)
    assert bool(((position >= low - 1e-9) & (position <= high + 1e-9)).all())


def test_a_dedicated_head_serves_its_own_station_and_learns_from_it_alone() -> None:
    heads = fitted(DedicatedPositionHeads([2, 0, 1], 16))
    latent, sounding = random_latent(), steady_sounding()
    said = heads(latent, sounding).position
    for place, station in enumerate((2, 0, 1)):
        mine = sounding.station == station
        alone = heads.heads[place](latent, sounding).position
        torch.testing.assert_close(said[mine], alone[mine])
    said[sounding.station == 0, :2].square().sum().backward()
    sizes = gradient(heads)
    assert all(size > 0 for name, size in sizes.items() if name.startswith("heads.1."))
    assert all(size == 0 for name, size in sizes.items() if not name.startswith("heads.1."))


def test_dedicated_heads_can_be_fused_and_refuse_a_station_they_never_met() -> None:
    head = fitted(FusionHead(DedicatedPositionHeads([0, 1, 2], 16)))
    sounding = steady_sounding()
    assert head(random_latent(), sounding).logit.shape == (6,)
    stranger = replaced(sounding, station_position=sounding.station_position + 2)
    with pytest.raises(ValueError, match="has no head of its own, only those at"):
        head(random_latent(), stranger)


def test_dedicated_heads_know_their_stations_by_pose_and_not_by_number() -> None:
    heads = fitted(DedicatedPositionHeads([2, 0, 1], 16))
    latent, sounding = random_latent(), steady_sounding()
    said = heads(latent, sounding).position
    # Where only stations 1 and 2 are there, whoever counts them says 0 and 1.
    renumbered = replaced(sounding, station=(sounding.station - 1) % 3)
    assert torch.equal(heads(latent, renumbered).position, said)
    again = DedicatedPositionHeads([2, 0, 1], 16)
    again.load_state_dict(heads.state_dict())
    assert torch.equal(again(latent, renumbered).position, said)
    about = replaced(sounding, station_position=sounding.station_position + 0.05)
    about = replaced(about, station_orientation=sounding.station_orientation + 2 * math.pi)
    assert bool(torch.isfinite(heads(latent, about).position).all())


def test_two_sectors_of_one_mast_are_two_stations() -> None:
    mast = steady_sounding()
    sounding = replaced(mast, station_position=torch.zeros_like(mast.station_position))
    heads = DedicatedPositionHeads([0, 1], 16)
    few = sounding[torch.nonzero(sounding.station < 2)[:, 0]]
    heads.fit([few], [random_truth(len(few.csi))])
    said = heads(random_latent(len(few.csi)), few).position
    for row in (0, 1):
        mine = few.station == row
        alone = heads.heads[row](random_latent(len(few.csi)), few).position
        torch.testing.assert_close(said[mine], alone[mine])
    with pytest.raises(ValueError, match="no head of its own"):
        heads(random_latent(), sounding)
    alike = replaced(sounding, station_orientation=torch.zeros_like(sounding.station_orientation))
    with pytest.raises(ValueError, match=r"stations \[0, 1\] stand and look alike"):
        heads.fit([alike], [random_truth(6)])


def test_estimates_without_logits_cannot_be_fused() -> None:
    with pytest.raises(ValueError, match="make them with a FusionHead"):
        fuse(Estimate(torch.zeros(2, 3)), torch.zeros(2, dtype=torch.int64))
