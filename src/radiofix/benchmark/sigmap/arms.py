"""What the arms of a comparison differ in: who tells of the map, and how much may change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from radiofix.benchmark.runs.lessons import Lesson
from radiofix.benchmark.runs.site import Site
from radiofix.benchmark.sigmap.wrong import elsewhere, misled, misled_head
from radiofix.models.parts import Part

_ADAPTATION, _HEADS = "radiofix.training.adaptation", "radiofix.models.sigmap_heads"
_TASKS = "radiofix.objectives.sigmap_tasks"
FROZEN, LOW_RANK, FULL = (f"{_ADAPTATION}.{n}" for n in ("FrozenEncoder", "LowRank", "FullTuning"))
PROMPT_TUNING = "radiofix.training.prompting.PromptTuning"
_PROMPTS = "radiofix.models.map_prompt"
CITY = 5_000.0
"""Radius of a graph that is a whole city's, as published [m]."""
SLOWER = 0.1
"""Of a frozen encoder's head's own rate, for prompts, which act through all its layers."""
EIGHT = 8
"""Prompts of our own prompter."""
POOLED = Part(f"{_PROMPTS}.SummedGraphPrompter", {"radius": CITY})
COARSE = Part(f"{_PROMPTS}.SummedGraphPrompter", {"radius": CITY, "most": 512})
"""The same where the stations of many cities make one batch: vertices gathered into cubes."""
WALLS = Part("radiofix.models.wall_prompt.WallPrompter", {"prompts": EIGHT})
_FOLLOWING = "radiofix.models.echo_head"
CONSTANT = Part(f"{_PROMPTS}.ConstantPrompter", {"prompts": 1})
"""As many tokens as the published prompt has."""
CONSTANT_EIGHT = Part(f"{_PROMPTS}.ConstantPrompter", {"prompts": EIGHT})
"""As many as ours has."""

Headed = Callable[[Lesson, Site], Part]
"""The head of a lesson."""


@dataclass(frozen=True)
class Arm:
    """Changes of a recipe: a prompter or none, what it is told, and what of the backbone learns."""

    prompter: Part | None = None
    adaptation: str = FROZEN
    misled: bool = False
    """Whether it is told another city's map."""
    begun: bool = False
    """Whether what fine-tuning begins with is told of the map already."""

    def __call__(self, lesson: Lesson, site: Site) -> Mapping[str, Any]:
        """The prompter and the adaptation as a recipe names them."""
        told = self.prompter is not None or self.begun
        backbone = {"class_path": self.adaptation}
        ahead = self.adaptation == FROZEN and site.scale.frozen_rates
        settings = {"backbone": backbone, "factor": SLOWER if ahead else 1.0}
        tuning = {"class_path": PROMPT_TUNING, "init_args": settings}
        changes: dict[str, Any] = {"adaptation": tuning if told else backbone}
        if self.prompter is not None:
            prompter = self.prompter
            if self.misled:
                prompter = misled(prompter, elsewhere(site, lesson.users))
            changes["prompter"] = prompter.plain
        return changes


@dataclass(frozen=True)
class Published:
    """An arm with the paper's heads and eq. 3's loss, in three dimensions."""

    arm: Arm
    head: str = f"{_HEADS}.ClassTokenHead"
    """For one station; several that are not fused have one of their own each, eq. 10."""

    def __call__(self, lesson: Lesson, site: Site) -> Mapping[str, Any]:
        """The arm's changes, the task, and the head where it is not the recipe's."""
        together = lesson.question.together
        task = f"{_TASKS}.{'FusedSquaredPositionTask' if together else 'SquaredPositionTask'}"
        changes = {**self.arm(lesson, site), "task": {"class_path": task}}
        if together:
            return changes
        head: dict[str, Any] = {"class_path": self.head}
        if len(lesson.stations) != 1:
            own = {"stations": site.columns(lesson)}
            head = {"class_path": f"{_HEADS}.DedicatedHeads", "init_args": own}
        return {**changes, "head": head}


def in_frame(lesson: Lesson, site: Site) -> Part:
    """Our head, which places users in their stations' frames."""
    return Part("radiofix.models.frame.FrameHead")


def waves(lesson: Lesson, site: Site) -> Part:
    """The same head where it follows waves, without a map."""
    return Part(f"{_FOLLOWING}.WaveHead")


def echoes(lesson: Lesson, site: Site) -> Part:
    """The same head where it follows waves to the walls of the map, and on from there."""
    return Part(f"{_FOLLOWING}.EchoHead")


def misled_echoes(lesson: Lesson, site: Site) -> Part:
    """The same head where it follows waves among another city's walls."""
    return misled_head(elsewhere(site, lesson.users))


@dataclass(frozen=True)
class InFrame:
    """An arm with a head of ours, and our loss."""

    arm: Arm
    head: Headed = in_frame
    krige: bool = False
    """Whether places are moved by the errors at labelled users whose channels are alike."""

    def __call__(self, lesson: Lesson, site: Site) -> Mapping[str, Any]:
        """The arm's changes, and the head."""
        changes = {**self.arm(lesson, site), "head": self.head(lesson, site).plain}
        return {**changes, "krige": True} if self.krige else changes
