"""Tasks: losses without unit to learn by, errors in metres and degrees to read."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from models.soundings import random_sounding, random_truth, replaced
from radiofix.models.heads import Estimate
from radiofix.models.labels import angle_of_arrival, time_of_arrival
from radiofix.objectives.tasks import (
    OF_CHOICE,
    AoaTask,
    FusedPositionTask,
    PositionTask,
    Task,
    ToaTask,
    surprise,
)
from radiofix.types import SPEED_OF_LIGHT, Mixture


def fitted(task: Task) -> Task:
    task.fit([random_sounding()], [random_truth()])
    return task


def test_toa_loss_is_equation_21_in_deviations_and_its_error_is_in_metres() -> None:
    task, sounding, truth = fitted(ToaTask()), random_sounding(), random_truth()
    delay = time_of_arrival(sounding, truth.position)
    output = delay + torch.tensor([3.0, -6.0, 0.0, 1.0, 1.0, 1.0]) / SPEED_OF_LIGHT
    deviation = np.std(delay[truth.line_of_sight].numpy()) * SPEED_OF_LIGHT
    expected = np.array([3, 6, 0, 1, 1, 1])
    np.testing.assert_allclose(task.error(output, sounding, truth).numpy(), expected, atol=1e-6)
    np.testing.assert_allclose(
        task.loss(output, sounding, truth).numpy(), expected / deviation, rtol=1e-6, atol=1e-9
    )
    assert task.unit == "m"


def test_aoa_goes_the_short_way_round() -> None:
    task, sounding, truth = fitted(AoaTask()), random_sounding(), random_truth()
    azimuth = angle_of_arrival(sounding, truth.position)
    off = torch.tensor([0.1, -0.2, 2 * math.pi - 0.1, math.pi, 7.0, 0.0])
    expected = np.abs(np.angle(np.exp(1j * off.numpy())))
    deviation = np.std(azimuth[truth.line_of_sight].numpy())
    np.testing.assert_allclose(
        task.error(azimuth + off, sounding, truth).numpy(), np.rad2deg(expected), atol=1e-4
    )
    np.testing.assert_allclose(
        task.loss(azimuth + off, sounding, truth).numpy(), expected / deviation, atol=1e-5
    )


def test_toa_and_aoa_are_asked_of_links_with_line_of_sight_and_positions_of_all() -> None:
    truth = random_truth()
    for task in (ToaTask(), AoaTask()):
        assert task.usable(truth).tolist() == [False, True, True] * 2
    unknown = replace(truth, position=truth.position.clone())
    unknown.position[2, 1] = torch.nan
    assert PositionTask().usable(unknown).tolist() == [True, True, False, True, True, True]


def away(truth_position: torch.Tensor, *offset: float) -> torch.Tensor:
    return truth_position + torch.tensor(offset, dtype=torch.float64)


def test_position_loss_is_the_horizontal_distance_of_equation_25() -> None:
    task, truth = fitted(PositionTask()), random_truth()
    estimate = Estimate(away(truth.position, 3, -4, 50))
    p = truth.position.numpy()[:, :2]
    deviation = np.sqrt(np.mean((p - p.mean(0)) ** 2))
    error = task.error(estimate, random_sounding(), truth)
    loss = task.loss(estimate, random_sounding(), truth)
    np.testing.assert_allclose(error.numpy(), np.full(6, 5))
    np.testing.assert_allclose(loss.numpy(), np.full(6, 5 / deviation))


def test_surprise_is_that_of_a_density_with_the_stated_covariance() -> None:
    scale = torch.tensor([[2.0, 0.0], [-0.7, 0.5]], dtype=torch.float64)
    axis = torch.linspace(-60, 60, 1201, dtype=torch.float64)
    points = torch.cartesian_prod(axis, axis)
    density = (-surprise(points, scale.expand(len(points), 2, 2))).exp() * 0.1**2
    assert float(density.sum()) == pytest.approx(1, abs=1e-3)
    covariance = (points.T * density) @ points
    torch.testing.assert_close(covariance, scale @ scale.T, rtol=2e-3, atol=2e-3)


def test_a_user_far_off_counts_in_proportion_and_not_squared() -> None:
    scale = torch.eye(2, dtype=torch.float64)[None]
    near, far = (surprise(torch.tensor([[r, 0.0]]).double(), scale) for r in (10.0, 1000.0))
    assert float(far - near) == pytest.approx(990 * math.sqrt(3))
    exact = torch.zeros(1, 2, dtype=torch.float64, requires_grad=True)
    surprise(exact, scale).backward()
    assert bool(exact.grad.isfinite().all())


def test_a_covariance_is_learnt_without_moving_the_position() -> None:
    task, truth, sounding = fitted(PositionTask()), random_truth(), random_sounding()
    slopes = []
    for factor in (None, torch.tensor([[2.0, 0.0], [1.0, 3.0]])):
        position = away(truth.position, 3, -4, 0).requires_grad_()
        scale = None if factor is None else factor.expand(6, 2, 2).clone().requires_grad_()
        task.loss(Estimate(position, scale), sounding, truth).sum().backward()
        slopes.append(position.grad)
    torch.testing.assert_close(slopes[0], slopes[1])
    assert float(scale.grad.abs().sum()) > 0


def test_the_best_covariance_is_the_errors_own() -> None:
    task, truth, sounding = fitted(PositionTask()), random_truth(300), random_sounding(300)
    own = torch.tensor([[4.0, 0.0], [-2.0, 1.0]], dtype=torch.float64)
    turn = 2 * math.pi * torch.arange(300, dtype=torch.float64) / 300
    # At this distance, all around, a round density finds the deviation 1 the likeliest.
    draw = 2 / math.sqrt(3) * torch.stack([turn.cos(), turn.sin()], -1)
    position = truth.position.clone()
    position[:, :2] += draw @ own.T

    def loss(factor: torch.Tensor) -> float:
        return float(
            task.loss(Estimate(position, factor.expand(300, 2, 2)), sounding, truth).mean()
        )

    for change in ([[0.1, 0], [0, 0]], [[0, 0], [0.1, 0]], [[0, 0], [0, 0.1]]):
        step = torch.tensor(change, dtype=torch.float64)
        assert loss(own) < min(loss(own + step), loss(own - step))


def test_a_user_is_where_its_links_together_say() -> None:
    task, sounding = fitted(FusedPositionTask()), random_sounding(4)
    sounding = replaced(sounding, user=torch.tensor([8, 3, 8, 3]))
    truth = random_truth(4)
    truth = replace(truth, position=truth.position[[0, 1, 0, 1]])
    position = truth.position.clone()
    position[:, 0] += torch.tensor([4.0, 1.0, 0.0, 1.0])
    logit = torch.tensor([math.log(3), 0, 0, 0])
    estimate = Estimate(position, logit=logit)
    error = task.error(estimate, sounding, truth)
    torch.testing.assert_close(error, torch.tensor([3.0, 1, 3, 1]).double(), rtol=1e-6, atol=0)
    one_scale = task.loss(estimate, sounding, truth) / error
    torch.testing.assert_close(one_scale, one_scale[:1].expand(4))


def test_labels_decide_the_loss() -> None:
    sounding, truth = random_sounding(), random_truth()
    moved = replace(truth, position=away(truth.position, 5, 1, 0))
    outputs = {
        ToaTask: time_of_arrival(sounding, truth.position),
        AoaTask: angle_of_arrival(sounding, truth.position),
        PositionTask: Estimate(truth.position),
    }
    for kind, output in outputs.items():
        task = fitted(kind())
        assert float(task.loss(output, sounding, truth).max()) < 1e-9
        assert float(task.loss(output, sounding, moved).min()) > 1e-4


def test_a_task_without_a_scale_says_what_to_do() -> None:
    with pytest.raises(ValueError, match="call fit with the training links"):
        ToaTask().loss(torch.zeros(6), random_sounding(), random_truth())


def test_scenes_kilometres_apart_leave_the_scale_that_each_has() -> None:
    sounding, truth = random_sounding(stations=1), random_truth()
    ways = (truth.position - sounding.station_position)[:, :2].numpy()
    expected = np.sqrt(np.mean((ways - ways.mean(0)) ** 2))
    apart = torch.tensor([[0.0, 0, 0], [10_000, 0, 0], [0, 10_000, 0]]).double().repeat(2, 1)
    moved = replaced(sounding, station_position=sounding.station_position + apart)
    task = PositionTask()
    task.fit([moved], [replace(truth, position=truth.position + apart)])
    estimate = Estimate(away(truth.position, 3, -4, 0) + apart)
    loss = task.loss(estimate, moved, replace(truth, position=truth.position + apart))
    np.testing.assert_allclose(loss.numpy(), np.full(6, 5 / expected), rtol=1e-6)


def mixed(truth_position: torch.Tensor, logit: torch.Tensor) -> Mixture:
    """A place 2 m beside the user, and one that is 80 m off."""
    places = truth_position[:, None, :2] + torch.tensor([[2.0, 0.0], [0.0, 80.0]]).double()
    scales = torch.tensor([[[3.0, 0.0], [1.0, 2.0]], [[9.0, 0.0], [0.0, 9.0]]]).double()
    weight = torch.cat([logit, torch.full_like(logit[:, :1], -torch.inf)], 1).log_softmax(-1)
    places = torch.cat([places, torch.zeros(len(places), 1, 2).double()], 1)
    scales = torch.cat([scales, torch.eye(2).double()[None]])
    return Mixture(weight, places, scales.expand(len(places), 3, 2, 2))


def test_what_weighs_several_places_is_surprised_by_all_of_them_together() -> None:
    task, truth, sounding = fitted(PositionTask()), random_truth(), random_sounding()
    deviation = float(task.label.deviation)
    weight = np.array([0.3, 0.7])
    mixture = mixed(truth.position, torch.tensor(weight).log().expand(6, 2))
    estimate = Estimate(away(truth.position, 3, -4, 0), torch.eye(2).expand(6, 2, 2), None, mixture)
    densities = []
    for off, scale in zip(([2.0, 0.0], [0.0, 80.0]), mixture.scale[0, :2].numpy(), strict=True):
        white = np.linalg.solve(scale, off)
        volume = np.linalg.det(scale) / deviation**2
        densities.append(np.exp(-np.sqrt(3) * np.linalg.norm(white)) * 3 / (2 * np.pi) / volume)
    expected = 5 / deviation - OF_CHOICE * np.log(weight @ np.array(densities))
    loss = task.loss(estimate, sounding, truth)
    np.testing.assert_allclose(loss.numpy(), np.full(6, expected), rtol=1e-5)


def test_it_learns_which_place_is_right() -> None:
    task, truth, sounding = fitted(PositionTask()), random_truth(), random_sounding()
    logit = torch.zeros(6, 2, dtype=torch.float64, requires_grad=True)
    position = away(truth.position, 0, 41, 0)
    estimate = Estimate(position, torch.eye(2).expand(6, 2, 2), None, mixed(truth.position, logit))
    task.loss(estimate, sounding, truth).sum().backward()
    assert bool((logit.grad[:, 0] < 0).all())
    assert bool(logit.grad.isfinite().all())
