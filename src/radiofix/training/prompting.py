"""Prompt tuning: the backbone as an adaptation leaves it, what tells of the map learns."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import nn

from radiofix.models.prompted import Told
from radiofix.training.adaptation import Adaptation, FrozenEncoder
from radiofix.training.optimizer import Group, group


@dataclass(frozen=True)
class PromptTuning(Adaptation):
    """What tells of the map learns; the backbone is adapted as it would be without it."""

    backbone: Adaptation = field(default_factory=FrozenEncoder)
    factor: float = 1.0
    """Of the run's rate, for what tells of the map."""

    def adapt(self, encoder: nn.Module) -> tuple[Group, ...]:
        """The backbone's groups, and one of the prompts."""
        told = _told(encoder)
        return (*self.backbone.adapt(told.encoder), group(told.teller, self.factor))

    def settle(self, encoder: nn.Module) -> None:
        """Settles the backbone."""
        self.backbone.settle(_told(encoder).encoder)


def _told(encoder: nn.Module) -> Told:
    if not isinstance(encoder, Told):
        raise ValueError(
            f"{type(encoder).__name__} has no prompts to tune: wrap it in a PromptedEncoder"
        )
    return encoder
