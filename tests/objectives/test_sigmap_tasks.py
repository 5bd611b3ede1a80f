"""SigMap's loss: squared distances in three dimensions, in the labels' deviations."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch

from models.soundings import random_sounding, random_truth, replaced
from radiofix.models.heads import Estimate
from radiofix.objectives.sigmap_tasks import FusedSquaredPositionTask, SquaredPositionTask
from radiofix.objectives.tasks import Task


def fitted(task: Task) -> Task:
    task.fit([random_sounding()], [random_truth()])
    return task


def variance() -> float:
    """Mean squared deviation of the horizontal coordinates, both together."""
    horizontal = random_truth().position.numpy()[:, :2]
    return float(np.mean((horizontal - horizontal.mean(0)) ** 2))


def test_the_loss_is_equation_3_and_the_error_a_distance_in_three_dimensions() -> None:
    task, truth = fitted(SquaredPositionTask()), random_truth()
    offset = torch.tensor([[3.0, -4, 0], [0, 0, 12], [3, 4, 12], [0, 0, 0], [1, 0, 0], [1, 2, 2]])
    estimate = Estimate(truth.position + offset)
    error = np.array([5, 12, 13, 0, 1, 3])
    loss = task.loss(estimate, random_sounding(), truth).numpy()
    np.testing.assert_allclose(loss, error**2 / variance(), rtol=1e-9, atol=1e-12)
    got = task.error(estimate, random_sounding(), truth).numpy()
    np.testing.assert_allclose(got, error, rtol=1e-9, atol=1e-9)
    assert task.unit == "m"


def test_the_height_pulls_as_hard_as_the_other_coordinates() -> None:
    task, truth = fitted(SquaredPositionTask()), random_truth()
    position = (truth.position + torch.tensor([2.0, 2.0, 2.0])).requires_grad_()
    task.loss(Estimate(position), random_sounding(), truth).sum().backward()
    torch.testing.assert_close(position.grad, torch.full((6, 3), 4 / variance()).double())


def test_a_user_is_where_its_links_together_say() -> None:
    task = fitted(FusedSquaredPositionTask())
    sounding = replaced(random_sounding(4), user=torch.tensor([8, 3, 8, 3]))
    truth = random_truth(4)
    truth = replace(truth, position=truth.position[[0, 1, 0, 1]])
    position = truth.position.clone()
    position[:, 2] += torch.tensor([4.0, 1.0, 0.0, 1.0])
    estimate = Estimate(position, logit=torch.tensor([math.log(3), 0, 0, 0]))
    error = np.array([3, 1, 3, 1])
    got = task.error(estimate, sounding, truth).numpy()
    np.testing.assert_allclose(got, error, rtol=1e-6)
    loss = task.loss(estimate, sounding, truth).numpy()
    np.testing.assert_allclose(loss, error**2 / variance(), rtol=1e-6)


def test_labels_decide_the_loss() -> None:
    task, truth = fitted(SquaredPositionTask()), random_truth()
    moved = replace(truth, position=truth.position + 1)
    assert float(task.loss(Estimate(truth.position), random_sounding(), truth).max()) == 0
    assert float(task.loss(Estimate(truth.position), random_sounding(), moved).min()) > 0
