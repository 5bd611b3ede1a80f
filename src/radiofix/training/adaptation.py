"""How much of a pretrained encoder fine-tuning may change."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import nn

from radiofix.training.lora import add_low_rank, merge_low_rank
from radiofix.training.optimizer import Group, group, owned


class Adaptation(ABC):
    """A way to fine-tune an encoder."""

    @abstractmethod
    def adapt(self, encoder: nn.Module) -> tuple[Group, ...]:
        """Readies the encoder; what of it learns, and how fast."""

    def settle(self, encoder: nn.Module) -> None:
        """Makes the encoder what it was before `adapt`, with what it has learnt."""
        encoder.requires_grad_(True)


@dataclass(frozen=True)
class FullTuning(Adaptation):
    """Everything learns; a layer's rate is `layer_decay` times that of the layer above."""

    layer_decay: float = 1.0
    factor: float = 1.0
    """Of the run's rate, for the last layers: a head that is new may learn faster than they."""

    def __post_init__(self) -> None:
        if not 0 < self.factor <= 1:
            raise ValueError(f"factor must lie in (0, 1], got {self.factor:g}")
        if not 0 < self.layer_decay <= 1:
            raise ValueError(f"layer_decay must lie in (0, 1], got {self.layer_decay:g}")

    def adapt(self, encoder: nn.Module) -> tuple[Group, ...]:
        """One group a depth: what comes before the layers is slowest, what comes after fastest."""
        depth = layer_depth(encoder)
        deepest = max(depth.values())
        parameters = tuple(owned(encoder))
        return tuple(
            Group(
                tuple(p for p in parameters if depth[id(p[2])] == level),
                self.factor * self.layer_decay ** (deepest - level),
            )
            for level in range(deepest + 1)
        )


@dataclass(frozen=True)
class FrozenEncoder(Adaptation):
    """Nothing of the encoder learns."""

    def adapt(self, encoder: nn.Module) -> tuple[Group, ...]:
        """No group at all."""
        encoder.requires_grad_(False)
        return ()


@dataclass(frozen=True)
class LowRank(Adaptation):
    """Low-rank updates learn (LoRA), the encoder's own parameters do not."""

    rank: int = 8
    scale: float = 16.0
    """Of the updates, over the rank."""

    def adapt(self, encoder: nn.Module) -> tuple[Group, ...]:
        """The updates' matrices."""
        add_low_rank(encoder, self.rank, self.scale)
        return (group(encoder),)

    def settle(self, encoder: nn.Module) -> None:
        """Merges the updates."""
        merge_low_rank(encoder)
        encoder.requires_grad_(True)


def layer_depth(encoder: nn.Module) -> dict[int, int]:
    """Depth of each parameter by its id: 0 before the encoder's list of layers, then 1, 2, ...

    The layers are the first `nn.ModuleList` with more than one; without one all have depth 0.
    """
    layers = next((m for m in encoder.modules() if isinstance(m, nn.ModuleList) and len(m) > 1), ())
    inside = {id(p): i + 1 for i, layer in enumerate(layers) for p in layer.parameters()}
    depth, reached = {}, 0
    # Tokens and embeddings are the encoder's own parameters; modules come in order of use.
    own = {id(p) for p in encoder.parameters(recurse=False)}
    for parameter in encoder.parameters():
        key = id(parameter)
        reached = inside.get(key, len(layers) + 1 if reached else 0)
        depth[key] = 0 if key in own else reached
    return depth
