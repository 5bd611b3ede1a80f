"""Recipes as the protocols change them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from radiofix.benchmark.runs.lessons import NOISE_FIGURE_DB, PATTERNS, Lesson, Trial
from radiofix.benchmark.runs.protocols import RANDOM
from radiofix.benchmark.runs.scales import Scale
from radiofix.physics.arrays import ula
from radiofix.physics.channel import Channel
from radiofix.physics.impairments import Impairments
from radiofix.physics.ofdm import Pilots
from radiofix.training.batches import Receiver
from radiofix.training.measured import Recorded
from radiofix.training.recipe import BLEND
from radiofix.types import Paths, Sounding

PATHS = 5
"""Strongest paths of a link, as in the paper."""
ANTENNAS, SUBCARRIERS = 32, 128
LEFT_OUT = {RANDOM: ["validation", "test"]}
"""Channels that no pretraining sees, though the paper's did."""


class InLesson(Receiver):
    """A receiver as a lesson has it: with its budget, its elements, and any of its combs.

    No dataclass of its own, so that a recipe is written and read with a receiver's own fields.
    """

    lesson: Lesson

    def __init__(self, plain: Receiver, lesson: Lesson) -> None:
        # Known before the fields are, whose check makes a channel.
        object.__setattr__(self, "lesson", lesson)
        own = {f.name: getattr(plain, f.name) for f in fields(Receiver)}
        several = len(lesson.pilots) > 1
        super().__init__(**{**own, "pilots": None if several else own["pilots"]})

    def channel(self, bandwidth: float | Tensor, snr_db: float | Tensor | None) -> Channel:
        """The channel of links with these bands [Hz] and noise."""
        budget = self.lesson.power_dbm is not None
        pattern = PATTERNS[self.lesson.pattern]
        return replace(
            super().channel(bandwidth, None if budget else snr_db),
            array=ula(self.antennas, self.spacing, pattern),
            tx_power_dbm=self.lesson.power_dbm,
            noise_figure_db=NOISE_FIGURE_DB if budget else None,
        )

    def sound(
        self, links: Paths | Recorded, band: Int[Tensor, " link"], generator: torch.Generator
    ) -> Sounding:
        """The soundings of links, each with noise; of several combs each has one, drawn anew."""
        sounding = super().sound(links, band, generator)
        combs = self.lesson.pilots
        if len(combs) == 1:
            return sounding
        csi = sounding.csi
        masks = torch.stack(
            [Pilots(n, n).mask(csi.shape[1], csi.shape[2], csi.device) for n in combs]
        )
        drawn = torch.randint(len(combs), (len(csi),), generator=generator, device=csi.device)
        return sounding.with_csi(csi * masks[drawn])


def changed(content: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Plain values with other ones under dotted keys; a change of what is not there is left out."""
    result: dict[str, Any] = _copy(content)
    for key, value in changes.items():
        *way, last = key.split(".")
        place: Any = result
        for step in way:
            place = place.get(step) if isinstance(place, dict) else None
        if isinstance(place, dict):
            place[last] = _merged(place.get(last), value)
    return result


def _merged(old: Any, new: Any) -> Any:
    """Mappings key by key, all else as the new one has it."""
    if isinstance(old, dict) and isinstance(new, Mapping):
        return {**old, **new}
    return _copy(new)


def _copy(value: Any) -> Any:
    """Mappings within mappings anew, so that no recipe is changed through another."""
    if isinstance(value, Mapping):
        return {key: _copy(inner) for key, inner in value.items()}
    return value


def with_stations(content: Mapping[str, Any], columns: Sequence[int]) -> dict[str, Any]:
    """Plain values in which every part that has stations of its own is given these columns."""
    return {
        key: _given(value, columns) if key in ("encoder", "head") else value
        for key, value in content.items()
    }


def _given(value: Any, columns: Sequence[int]) -> Any:
    if not isinstance(value, Mapping):
        return value
    return {
        key: list(columns) if key == "stations" else _given(inner, columns)
        for key, inner in value.items()
    }


def receiver(lesson: Lesson, pilots: int) -> dict[str, Any]:
    """The receiver of a lesson's links, as plain values, but for what `InLesson` adds."""
    return {
        "bandwidths": [lesson.bandwidth],
        "antennas": ANTENNAS,
        "subcarriers": SUBCARRIERS,
        "snr_db": lesson.snr_db,
        "pilots": None if pilots == 1 else {"every_antenna": pilots, "every_subcarrier": pilots},
        "paths": PATHS,
    }


def teaching(
    content: Mapping[str, Any],
    lesson: Lesson,
    scale: Scale,
    store: str,
    seed: int,
    rate: float,
    anew: bool = False,
    partial: bool = False,
) -> dict[str, Any]:
    """A fine-tuning recipe's plain values, as a lesson has them at a scale.

    Args:
        content: of the recipe.
        lesson: that is taught.
        scale: of the bench.
        store: of the lesson's users.
        seed: of the run.
        rate: of learning.
        anew: whether the network's head begins with nothing.
        partial: whether users are asked by some of several stations too: then stations are left
            out while it learns.
    """
    few = scale.few_for(lesson.labels, anew)
    settings = {**scale.finetuning, **few, "rate": rate}
    told = content.get("receiver", {})
    faults = {**(told.get("impairments") or {}), "user_timing": lesson.clock}
    own = {
        "receiver": {**told, **receiver(lesson, lesson.pilots[0]), "impairments": faults},
        "store": store,
        "split": lesson.split,
        "among": {"class_path": lesson.users.among},
        "labels": scale.labels[lesson.labels],
        "stations": list(lesson.stations) or None,
        "fewest_stations": 1 if partial and lesson.question.together else None,
        # All have the choice that validation users make; published recipes have none.
        "blend": list(BLEND),
        "validation_users": scale.validation_users,
        "training": settings,
        "seed": seed,
    }
    return {**content, **own}


def asked_receiver(lesson: Lesson, test: Trial) -> InLesson:
    """How the links of a test are received, whatever the method is."""
    plain = receiver(lesson, test.pilots)
    plain["bandwidths"] = tuple(plain["bandwidths"])
    plain["pilots"] = None if test.pilots == 1 else Pilots(test.pilots, test.pilots)
    faults = Impairments(user_timing=lesson.clock)
    return InLesson(Receiver(**plain, impairments=faults), replace(lesson, pilots=(test.pilots,)))
