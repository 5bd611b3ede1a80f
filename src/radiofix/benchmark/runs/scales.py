"""How much of the protocols is run: steps, labels, test users, seeds, sizes of encoders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

RATE_LABELS = 1_000
"""Labels, as the paper counts them, at which rates of learning are compared."""
FEW_LABELS = 1_000
"""Up to so many, as the paper counts them, fine-tuning may be shorter."""


@dataclass(frozen=True)
class Pace:
    """Seconds of one core that work was measured to take, before a run is done."""

    start: float
    """A run that learns nothing and answers nothing."""
    link: float = 0.0
    """A link trained on, once."""
    fix: float = 0.0
    """A link answered."""
    pretraining: float = 0.0
    """A step."""
    schooling: float = 0.0
    """A step in many scenes."""


@dataclass(frozen=True)
class Scale:
    """What one machine can do. All networks are trained by the same settings."""

    name: str
    labels: Mapping[int, int]
    """Of the paper's numbers, those that are run, and how many users each means here."""
    test_users: int
    validation_users: int
    limit_users: int
    """Test users whose posterior over the whole store is worked out."""
    seeds: tuple[int, ...]
    rates: tuple[float, ...]
    """Of fine-tuning; of several, each network gets the one that validation users prefer."""
    frozen_rates: tuple[float, ...] = field(kw_only=True, default=())
    """The same of new heads on encoders that stay as they are; none: as of others."""
    finetuning: Mapping[str, Any]
    """Settings of every fine-tuning, without the rate."""
    pretraining: Mapping[str, Any]
    """Settings of every pretraining; others are the recipe's own."""
    sizes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Changes of recipes, by the family of the method; none: sizes as published."""
    pace: Mapping[str, Pace] = field(default_factory=dict)
    """By the method's name or its family; none: what is done tells."""
    splits: tuple[str, ...] = ("region", "random")
    """Of each figure's, those that are run."""
    sparing: bool = False
    """Whether one seed is taken of figures that ask `once` and of methods in `Agenda.beside`, and
    of methods in `Agenda.limited` those lessons alone that it names."""
    points: int | None = None
    """Of a figure's axis, how many that are run, the ends first; None: all."""
    grid_spacing: float = 0.25
    """Between users of a store that the limit can be worked out on, at most [m]."""
    few: Mapping[str, Any] = field(default_factory=dict)
    """Other settings of fine-tuning with at most `FEW_LABELS`."""
    few_anew: Mapping[str, Any] = field(default_factory=dict)
    """Of those, other ones of networks whose head begins with nothing: they take longer."""
    schooling: Mapping[str, Any] = field(default_factory=dict)
    """Settings of training in many scenes, before any label of the one that is asked about."""
    schooled_users: int = 0
    """Labelled users of it, over all scenes."""

    def few_for(self, labels: int, anew: bool) -> Mapping[str, Any]:
        """What else fine-tuning is told with so many labels, of a network that begins so."""
        if labels > FEW_LABELS:
            return {}
        return {**self.few, **(self.few_anew if anew else {})}
