"""The heads of the SigMap paper (section 3.5 and eq. 11): positions in three dimensions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from radiofix.models.heads import Estimate, OwnHeads, StationHead
from radiofix.models.latent import Latent
from radiofix.models.standardizer import Standardizer
from radiofix.types import Sounding, Truth


class ClassTokenHead(StationHead):
    """Three coordinates of each link's user from the class token alone, eq. 8: MLP_single.

    Nothing is told of the station: one head serves one station. At a dim of 512 and the width
    of 256 it has 132,099 parameters.
    """

    def __init__(self, dim: int = 512, width: int = 256) -> None:
        super().__init__()
        self.dim = width
        self.hidden = nn.Linear(dim, width)
        self.output = nn.Linear(width, 3)
        self.label = Standardizer(3)

    def penultimate(self, latent: Latent, sounding: Sounding) -> Float[Tensor, "link width"]:
        """Features of each link."""
        return self.features(latent.summary)

    def features(self, read: Float[Tensor, "link dim"]) -> Float[Tensor, "link width"]:
        """Features of what is read of each latent."""
        # In bfloat16 a position would be rounded to a few parts in a thousand of the whole area.
        with torch.autocast(read.device.type, enabled=False):
            hidden: Tensor = self.hidden(read.float()).relu()
        return hidden

    def place(self, features: Float[Tensor, "link width"], sounding: Sounding) -> Estimate:
        """The position that the features lead to, without covariance."""
        with torch.autocast(features.device.type, enabled=False):
            output: Tensor = self.output(features)
        return Estimate(self.label.undo(output))

    def fit(self, soundings: Sequence[Sounding], truths: Sequence[Truth]) -> None:
        """Takes the scale of each coordinate from training batches."""
        self.label.fit(torch.cat([t.position for t in truths]))


class Score(nn.Module, ABC):
    """Numbers whose softmax says how much each of several vectors counts."""

    @abstractmethod
    def forward(self, read: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch"]:
        """One number a vector."""


class TanhScore(Score):
    """v^T tanh(W t), the logits of eq. 9."""

    def __init__(self, dim: int = 512, width: int = 64) -> None:
        super().__init__()
        self.inner = nn.Linear(dim, width, bias=False)
        self.outer = nn.Linear(width, 1, bias=False)

    def forward(self, read: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch"]:
        """One number a vector."""
        with torch.autocast(read.device.type, enabled=False):
            score: Tensor = self.outer(self.inner(read.float()).tanh())
        return score[..., 0]


class NlosScore(Score):
    """phi(o W_NLoS), the logits of eq. 11; phi, which the paper leaves open, is a leaky ReLU.

    A bounded phi would hold the weights of 257 tokens so close together that none could stand out.
    """

    def __init__(self, dim: int = 512) -> None:
        super().__init__()
        self.weight = nn.Linear(dim, 1, bias=False)

    def forward(self, read: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch"]:
        """One number a vector."""
        with torch.autocast(read.device.type, enabled=False):
            score: Tensor = nn.functional.leaky_relu(self.weight(read.float()), 0.2)
        return score[..., 0]


class NlosAwareHead(ClassTokenHead):
    """Reads class token and patches of a link by the weights of eq. 11, then eq. 8's MLP.

    The paper does not say what i counts. Eq. 11 stands under its single-station results and is to
    tell direct from reflected paths, so that it counts the rows of one station's latent o_s here;
    as weights of stations it is `SigmapFusionHead` with a `NlosScore`.
    """

    def __init__(self, dim: int = 512, width: int = 256) -> None:
        super().__init__(dim, width)
        self.score = NlosScore(dim)

    def penultimate(self, latent: Latent, sounding: Sounding) -> Float[Tensor, "link width"]:
        """Features of each link."""
        rows = torch.cat([latent.summary[:, None], latent.tokens], 1).float()
        share = self.score(rows).softmax(-1)
        return self.features((share[..., None] * rows).sum(1))


class DedicatedHeads(OwnHeads):
    """A `ClassTokenHead` for each station: MLP_multi^(t) of eq. 10."""

    def __init__(self, stations: Sequence[int], dim: int = 512, width: int = 256) -> None:
        super().__init__([ClassTokenHead(dim, width) for _ in stations], stations)


class SigmapFusionHead(nn.Module):
    """Each station's own estimate with the logit of eq. 9; `heads.fuse` joins them, eq. 10.

    Unlike LWLM's fusion it weighs the class tokens themselves, not the features of the heads.
    """

    def __init__(
        self,
        stations: Sequence[int] | None = None,
        dim: int = 512,
        width: int = 256,
        score: Score | None = None,
    ) -> None:
        """Takes its stations and sizes.

        Args:
            stations: columns of the store, each with a head of its own; None: one head for all.
            dim: width of the latent.
            width: hidden, of each head.
            score: of the class tokens; None: eq. 9's.
        """
        super().__init__()
        self.estimator: StationHead = (
            ClassTokenHead(dim, width) if stations is None else DedicatedHeads(stations, dim, width)
        )
        self.score = TanhScore(dim) if score is None else score

    def fit(self, soundings: Sequence[Sounding], truths: Sequence[Truth]) -> None:
        """Takes all scales from training batches."""
        self.estimator.fit(soundings, truths)

    def forward(self, latent: Latent, sounding: Sounding) -> Estimate:
        """One estimate a link: what an edge device would send to where fusion happens."""
        estimate: Estimate = self.estimator(latent, sounding)
        return replace(estimate, logit=self.score(latent.summary))
