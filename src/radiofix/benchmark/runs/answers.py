"""What a method says of test users, and how far off that is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from radiofix.benchmark.metrics import ellipse_radius, squared_length
from radiofix.models.heads import Estimate
from radiofix.objectives.tasks import AoaTask, Task
from radiofix.types import Sounding, Truth

Array = NDArray[np.float64]
Answer = Callable[[Sounding], Any]
"""From links to what the task of their question reads."""
Links = Iterable[tuple[Sounding, Truth]]
"""May be gone through again and again."""


@dataclass(frozen=True)
class Answers:
    """One number a user (or link), in the order of the store."""

    error: Array
    """In the question's unit."""
    user: NDArray[np.int64]
    """Rows of the store."""
    station: NDArray[np.int64]
    """Columns of it; of a user that was fused the first that heard it."""
    milliseconds: float
    """A fix, many at a time."""
    squared: Array | None = None
    """e^T C^-1 e, where a covariance is stated."""
    radius: Array | None = None
    """Of the circle as large as the stated 90 % ellipse [m]."""
    direction: Array | None = None
    """Of an angle: its error as u = sin(zenith) sin(azimuth), the zenith being known."""


@torch.no_grad()
def ask(answer: Answer, task: Task, links: Links, together: bool) -> Answers:
    """Puts all links to a method, batch by batch; a user that was fused is one answer."""
    errors, users, stations, lengths, radii, directions = [], [], [], [], [], []
    seconds = 0.0
    for sounding, truth in links:
        begun = time.perf_counter()
        output = answer(sounding)
        error = task.error(output, sounding, truth).double().cpu()
        seconds += time.perf_counter() - begun
        kept = _first_of_each(sounding.user) if together else torch.ones(len(error)).bool()
        errors.append(error[kept])
        users.append(sounding.user.cpu()[kept])
        stations.append(sounding.station.cpu()[kept])
        if isinstance(output, Estimate) and output.scale is not None and not together:
            squared, radius = _honesty(output, truth)
            lengths.append(squared)
            radii.append(radius)
        if isinstance(task, AoaTask):
            directions.append(_aside(task, output, sounding, truth))
    return Answers(
        error=torch.cat(errors).numpy(),
        user=torch.cat(users).numpy(),
        station=torch.cat(stations).numpy(),
        milliseconds=1e3 * seconds / sum(len(e) for e in errors),
        squared=np.concatenate(lengths) if lengths else None,
        radius=np.concatenate(radii) if radii else None,
        direction=np.concatenate(directions) if directions else None,
    )


def _first_of_each(user: Tensor) -> Tensor:
    """Links that are their user's first; links of one user follow each other."""
    new = torch.ones(len(user), dtype=torch.bool)
    new[1:] = (user[1:] != user[:-1]).cpu()
    return new


def _honesty(output: Estimate, truth: Truth) -> tuple[Array, Array]:
    assert output.scale is not None
    away = (output.position - truth.position)[:, :2].double().cpu().numpy()
    scale = output.scale.double().cpu()
    covariance = (scale @ scale.mT).numpy()
    return squared_length(away, covariance), ellipse_radius(covariance)


def _aside(task: AoaTask, azimuth: Tensor, sounding: Sounding, truth: Truth) -> Array:
    away = (truth.position - sounding.station_position).double()
    level = away[:, :2].norm(dim=-1) / away.norm(dim=-1)
    right = task.quantity(sounding, truth).double()
    found: Array = (level * (azimuth.double().sin() - right.sin())).abs().cpu().numpy()
    return found
