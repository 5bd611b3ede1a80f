"""What is asked of links, and how an answer is read from a place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from radiofix.models.heads import Estimate
from radiofix.models.labels import angle_of_arrival, time_of_arrival
from radiofix.models.parts import Part
from radiofix.objectives.tasks import Task
from radiofix.types import Sounding


@dataclass(frozen=True)
class Question:
    """A quantity that every method is asked for."""

    name: str
    unit: str
    task: str
    """Class of the task, which says what is right and how far off an answer is."""
    read: Callable[[Estimate, Sounding], Any]
    """The answer that the task expects, from where a method without a head puts each user."""
    together: bool = False
    """Whether all links of a user are one question."""

    def make_task(self) -> Task:
        """The task; it measures, and its losses are not asked for."""
        task: Task = Part(self.task).build()
        return task


def _delay(estimate: Estimate, sounding: Sounding) -> Any:
    return time_of_arrival(sounding, estimate.position)


def _azimuth(estimate: Estimate, sounding: Sounding) -> Any:
    return angle_of_arrival(sounding, estimate.position)


def _itself(estimate: Estimate, sounding: Sounding) -> Any:
    return estimate


_TASKS = "radiofix.objectives.tasks"
TOA = Question("toa", "m", f"{_TASKS}.ToaTask", _delay)
AOA = Question("aoa", "degrees", f"{_TASKS}.AoaTask", _azimuth)
POSITION = Question("position", "m", f"{_TASKS}.PositionTask", _itself)
FUSION = Question("fusion", "m", f"{_TASKS}.FusedPositionTask", _itself, together=True)
QUESTIONS = {question.name: question for question in (TOA, AOA, POSITION, FUSION)}
