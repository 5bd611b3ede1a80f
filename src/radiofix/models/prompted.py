"""Encoders that are told of the map: by prompt tokens, or by asking the walls."""

from __future__ import annotations

import inspect
from dataclasses import asdict, dataclass, replace
from typing import Protocol

from jaxtyping import Float
from torch import Tensor, nn

from radiofix.models.latent import Encoder, Latent
from radiofix.models.localizer import Localizer
from radiofix.models.map_prompt import Prompter
from radiofix.models.parts import Part
from radiofix.models.wall_prompt import WallReader
from radiofix.types import Sounding


class Promptable(Protocol):
    """An encoder that takes prompt tokens behind its summary token."""

    dim: int

    def __call__(
        self, sounding: Sounding, prompts: Float[Tensor, "link prompt dim"] | None = None
    ) -> Latent:
        """Encodes each link by itself; prompts are no part of the latent's tokens."""
        ...


class Told(nn.Module):
    """A backbone, and what tells it of the map; a frozen backbone drops nothing out."""

    def __init__(self, encoder: nn.Module, teller: nn.Module, dim: int) -> None:
        super().__init__()
        self.dim = dim
        self.encoder = encoder
        self.teller = teller
        self.looks_for_waves = bool(getattr(encoder, "looks_for_waves", False))

    def train(self, mode: bool = True) -> Told:
        """Leaves a backbone of which nothing learns as it is in use."""
        super().train(mode)
        if not any(parameter.requires_grad for parameter in self.encoder.parameters()):
            self.encoder.eval()
        return self


class PromptedEncoder(Told):
    """An encoder that is given prompts with each link: [t_cls; T_geo; T_CSI] of section 3.4."""

    def __init__(self, encoder: Promptable, prompter: Prompter) -> None:
        """Takes an encoder that can be prompted, and a prompter of its width."""
        assert isinstance(encoder, nn.Module)
        if "prompts" not in inspect.signature(encoder.forward).parameters:
            raise ValueError(
                f"{type(encoder).__name__} takes no prompts: choose RadiofixEncoder or SigMap's"
            )
        _expect_width(encoder.dim, prompter.dim)
        super().__init__(encoder, prompter, encoder.dim)

    def forward(self, sounding: Sounding) -> Latent:
        """Encodes each link with the prompts of its station."""
        latent: Latent = self.encoder(sounding, self.teller(sounding))
        return latent


class ReadingEncoder(Told):
    """An encoder whose summary asks the walls around the station before a head reads it."""

    def __init__(self, encoder: Encoder, reader: WallReader) -> None:
        """Takes any encoder, and a reader of its width."""
        assert isinstance(encoder, nn.Module)
        super().__init__(encoder, reader, encoder.dim)

    def forward(self, sounding: Sounding) -> Latent:
        """Encodes each link, and lets its summary ask."""
        latent: Latent = self.encoder(sounding)
        return replace(latent, summary=self.teller(latent.summary, sounding))


class PromptedParts(PromptedEncoder):
    """A prompted encoder as a recipe names it, the prompter as wide as the encoder."""

    def __init__(self, encoder: Part, prompter: Part) -> None:
        """Builds both."""
        backbone = encoder.build()
        super().__init__(backbone, prompter.build(dim=backbone.dim))


class ReadingParts(ReadingEncoder):
    """A reading encoder as a recipe names it, the reader as wide as the encoder."""

    def __init__(self, encoder: Part, reader: Part) -> None:
        """Builds both."""
        backbone = encoder.build()
        super().__init__(backbone, reader.build(dim=backbone.dim))


@dataclass(frozen=True, slots=True)
class Updated:
    """How many parameters fine-tuning changes, and of how many."""

    backbone: int
    """That learn, of the pretrained encoder."""
    teller: int
    """That learn, of what tells of the map."""
    head: int
    """That learn, of the head."""
    frozen: int
    """That do not learn."""

    @property
    def share(self) -> float:
        """What is updated without the head, of the encoder with its prompts: SigMap's 0.4 %."""
        return self._share(self.backbone + self.teller, self.frozen)

    @property
    def share_with_head(self) -> float:
        """What is updated, the head with it, of all there is."""
        return self._share(self.learnt, self.frozen)

    @property
    def learnt(self) -> int:
        """All that learn, the head's with them."""
        return self.backbone + self.teller + self.head

    @property
    def plain(self) -> dict[str, float]:
        """For JSON."""
        return {**asdict(self), "share": self.share, "share_with_head": self.share_with_head}

    def __str__(self) -> str:
        """As a run prints it."""
        beside = self.backbone + self.teller
        return (
            f"learns {beside:,} of {beside + self.frozen:,} parameters beside the head "
            f"({100 * self.share:.3g} %), {self.learnt:,} with it "
            f"({100 * self.share_with_head:.3g} %)"
        )

    @staticmethod
    def _share(learnt: int, frozen: int) -> float:
        return learnt / max(1, learnt + frozen)


def updated(localizer: Localizer) -> Updated:
    """Counts what learns in a localizer, once its adaptation has frozen what it freezes."""
    encoder = localizer.encoder
    assert isinstance(encoder, nn.Module)
    backbone = _counted(encoder.encoder if isinstance(encoder, Told) else encoder)
    teller = _counted(encoder.teller) if isinstance(encoder, Told) else (0, 0)
    head = _counted(localizer.head)
    return Updated(backbone[0], teller[0], head[0], backbone[1] + teller[1] + head[1])


def untouched(localizer: Localizer) -> Updated:
    """Counts a localizer that is taken as it is."""
    return Updated(0, 0, 0, frozen=sum(p.numel() for p in localizer.parameters()))


def _counted(module: nn.Module) -> tuple[int, int]:
    """Parameters that learn, and that do not."""
    learnt = sum(p.numel() for p in module.parameters() if p.requires_grad)
    return learnt, sum(p.numel() for p in module.parameters()) - learnt


def _expect_width(encoder: int, prompter: int) -> None:
    if encoder != prompter:
        raise ValueError(f"prompts of width {prompter} do not fit an encoder of width {encoder}")
