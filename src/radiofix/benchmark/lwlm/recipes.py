"""Recipes as the protocols change them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from radiofix.benchmark.lwlm.protocols import (
    ANTENNAS,
    PATHS,
    PILOTS,
    RANDOM,
    SUBCARRIERS,
    Lesson,
    Trial,
)
from radiofix.benchmark.lwlm.scales import Scale
from radiofix.models.parts import Part
from radiofix.physics.ofdm import Pilots
from radiofix.training.batches import Receiver
from radiofix.training.recipe import FinetuneRecipe
from radiofix.types import Paths, Sounding

LEFT_OUT = {RANDOM: ["validation", "test"]}
"""Channels that no pretraining sees, though the paper's did."""


@dataclass(frozen=True)
class AnyComb(Receiver):
    """A receiver whose links each have one of the protocols' combs of pilots, drawn anew."""

    def sound(
        self, paths: Paths, band: Int[Tensor, " link"], generator: torch.Generator
    ) -> Sounding:
        """The soundings of links, each with noise and a comb of its own."""
        sounding = super().sound(paths, band, generator)
        csi = sounding.csi
        combs = torch.stack(
            [Pilots(n, n).mask(csi.shape[1], csi.shape[2], csi.device) for n in PILOTS]
        )
        drawn = torch.randint(len(PILOTS), (len(csi),), generator=generator, device=csi.device)
        return sounding.with_csi(csi * combs[drawn])


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


def receiver(lesson: Lesson, pilots: int) -> dict[str, Any]:
    """The receiver of a lesson's links, as plain values."""
    return {
        "bandwidths": [lesson.bandwidth],
        "antennas": ANTENNAS,
        "subcarriers": SUBCARRIERS,
        "snr_db": lesson.snr_db,
        "pilots": None if pilots == 1 else {"every_antenna": pilots, "every_subcarrier": pilots},
        "paths": PATHS,
    }


def teaching(
    content: Mapping[str, Any], lesson: Lesson, scale: Scale, store: str, seed: int, rate: float
) -> dict[str, Any]:
    """A fine-tuning recipe's plain values, as a lesson has them at a scale."""
    settings = {**scale.finetuning, "rate": rate}
    own = {
        "receiver": {**content.get("receiver", {}), **receiver(lesson, lesson.pilots[0])},
        "store": store,
        "split": lesson.split,
        "among": {"class_path": lesson.users.among},
        "labels": scale.labels[lesson.labels],
        "stations": list(lesson.stations),
        "fewest_stations": 1 if lesson.question.together else None,
        "validation_users": scale.validation_users,
        "training": settings,
        "seed": seed,
    }
    return {**content, **own}


def any_comb(plain: Receiver) -> AnyComb:
    """The same receiver, its pilots drawn link by link."""
    own = {f.name: getattr(plain, f.name) for f in fields(Receiver)}
    return AnyComb(**{**own, "pilots": None})


def asking(lesson: Lesson, test: Trial, scale: Scale, store: str, seed: int) -> FinetuneRecipe:
    """Which links are asked about, and how they are received, whatever the method is."""
    plain = receiver(lesson, test.pilots)
    pilots = plain.pop("pilots")
    return FinetuneRecipe(
        encoder=None,
        head=None,
        task=Part(lesson.question.task),
        receiver=Receiver(
            **{**plain, "bandwidths": tuple(plain["bandwidths"])},
            pilots=None if pilots is None else Pilots(**pilots),
        ),
        store=store,
        split=lesson.split,
        among=Part(lesson.users.among),
        labels=scale.labels.get(lesson.labels, 0),
        stations=test.stations,
        validation_users=scale.validation_users,
        seed=seed,
    )
