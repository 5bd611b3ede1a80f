"""What every objective is: something to encode, something to compare it with, and a loss."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from radiofix.models.latent import Encoder, Latent
from radiofix.types import Sounding


@dataclass(frozen=True, slots=True)
class Views:
    """A batch of unlabelled links, and the same users seen another way."""

    first: Sounding
    second: Sounding
    """Row i is the user of row i of `first`, through another station or bandwidth."""
    widest: Sounding
    """The links of `first` at the widest bandwidth, without noise."""
    place: Float[Tensor, "link 3"] | None = None
    """Where witnesses saw the users; NaN: they do not agree; None: nobody was asked [m]."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What an objective wants of one batch; everything random about it is drawn already.

    Each tensor's first dimension is the link, so that processes can share a batch out by rows.
    """

    soundings: tuple[Sounding, ...]
    """To be encoded."""
    targets: tuple[Tensor, ...] = ()
    """To compare with."""

    def __getitem__(self, links: slice) -> Prepared:
        """The share of some links."""
        return replace(
            self,
            soundings=tuple(s[links] for s in self.soundings),
            targets=tuple(t[links] for t in self.targets),
        )


class Objective(nn.Module, ABC):
    """A task of self-supervision: owns its decoder, never the encoder."""

    @abstractmethod
    def prepare(self, views: Views, generator: torch.Generator) -> Prepared:
        """Chooses and draws what will be encoded and compared; a view is handed on as it is."""

    def follow(self, encoder: Encoder) -> None:
        """Looks at the encoder before it is used in a training step; most objectives do not."""

    @abstractmethod
    def forward(self, latents: Sequence[Latent], prepared: Prepared) -> Tensor:
        """The loss, a mean over links, of the latents of `prepared.soundings`."""
