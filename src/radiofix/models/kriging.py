"""What labelled users tell of a head's errors where channels look alike, without any training."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from radiofix.models.heads import Estimate

MOST = 10_000
"""Labelled links that are remembered; of more, so many are drawn: work grows by the third power."""
SEARCHED = 2_000
"""Of them, by which the length and the noise are chosen."""
FEWEST = 10
"""Labelled links that say anything."""
LENGTHS = (1.0, 3.0, 10.0, 30.0)
"""That are tried, in medians of the way from a held-out link to its `NEIGHBOUR`-th labelled one."""
NEIGHBOUR = 5
NOISES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""That are tried, as shares of the variance of errors."""
WORTH = 0.98
"""Corrections that leave more than this of the mean error of held-out links are left alone."""


class Kriging(nn.Module):
    """Moves positions by the errors at labelled links whose summaries lie near.

    A Gaussian process: the head's error is taken for a field over the encoder's summaries, with
    Matern's correlation (1 + a) exp(-a), a = sqrt(3) distance / length, and noise on top. What it
    says of a link is linear in the labelled errors and solved for at once. Far from all labelled
    links it moves nothing. Errors are kept in the frames of their stations, as summaries are.
    """

    known: Float[Tensor, "label dim"]
    weight: Float[Tensor, "label 2"]
    middle: Float[Tensor, " dim"]
    spread: Float[Tensor, " dim"]
    length: Float[Tensor, ""]
    noise: Float[Tensor, ""]

    def __init__(self, dim: int) -> None:
        super().__init__()
        double = torch.float64
        self.register_buffer("known", torch.zeros(0, dim, dtype=double))
        self.register_buffer("weight", torch.zeros(0, 2, dtype=double))
        self.register_buffer("middle", torch.zeros(dim, dtype=double))
        self.register_buffer("spread", torch.ones(dim, dtype=double))
        self.register_buffer("length", torch.ones((), dtype=double))
        self.register_buffer("noise", torch.ones((), dtype=double))

    @property
    def fitted(self) -> bool:
        """Whether it has anything to say."""
        return self.known.shape[0] > 0

    def forward(
        self,
        estimate: Estimate,
        features: Float[Tensor, "link dim"],
        orientation: Float[Tensor, "link 3"],
    ) -> Estimate:
        """Estimates moved by what is known, their covariances the smaller the more that is.

        Args:
            estimate: of each link, in the scene.
            features: summaries of the links.
            orientation: of their stations.
        """
        if not self.fitted:
            return estimate
        move, share = self.correction(features)
        move = to_scene(move, orientation)
        circle = torch.eye(2, dtype=share.dtype, device=share.device).expand(len(share), 2, 2)
        scale = circle if estimate.scale is None else estimate.scale
        position = estimate.position.double() + F.pad(move, (0, 1))
        scale = scale * share.sqrt()[:, None, None]
        # Of the places that were weighed it is not known how far each would have to be moved.
        return replace(estimate, position=position, scale=scale, mixture=None)

    def correction(
        self, features: Float[Tensor, "link dim"]
    ) -> tuple[Float[Tensor, "link 2"], Float[Tensor, " link"]]:
        """What each position is to be moved by [m], and the share of the variance that is left.

        The move is in the station's frame. The share is that which the most alike labelled link
        would leave by itself: it takes no matrix of all of them, and what the others leave less is
        a matter of calibration.
        """
        alike = matern(self._distance(features) / self.length)
        whole = 1 + self.noise
        return alike @ self.weight, whole - alike.amax(-1).square() / whole

    @torch.no_grad()
    def fit(
        self,
        features: Float[Tensor, "label dim"],
        error: Float[Tensor, "label 2"],
        held_out: Float[Tensor, "link dim"],
        held_out_error: Float[Tensor, "link 2"],
    ) -> None:
        """Learns the errors of labelled links, if that brings held-out ones nearer.

        Args:
            features: summaries of the labelled links.
            error: of their estimates, from these to the truth, in their stations' frames [m].
            held_out: summaries of links that choose the length and the noise.
            held_out_error: likewise from estimates to the truth.
        """
        self._forget()
        if len(features) < FEWEST or not len(held_out):
            return
        features, error = _drawn(features.double(), error.double(), MOST)
        before = float(held_out_error.double().norm(dim=-1).mean())
        self.middle.copy_(features.mean(0))
        self.spread.copy_(features.std(0).clamp(min=1e-9) * math.sqrt(features.shape[1]))
        best = math.inf
        chosen = (1.0, 1.0)
        few, few_error = _drawn(features, error, SEARCHED)
        self._know(few)
        distance, away = self._distance(few), self._distance(held_out)
        unit = float(away.topk(min(NEIGHBOUR, len(few)), largest=False).values[:, -1].median())
        for length in (ratio * max(unit, 1e-9) for ratio in LENGTHS):
            near, far = matern(distance / length), matern(away / length)
            for noise in NOISES:
                left = held_out_error.double() - far @ _solved(near, noise, few_error)
                score = float(left.norm(dim=-1).mean())
                if score < best:
                    best, chosen = score, (length, noise)
        length, noise = chosen
        self._know(features)
        self.length.fill_(length)
        self.noise.fill_(noise)
        self.weight = _solved(matern(self._distance(features) / length), noise, error)
        left = held_out_error.double() - self.correction(held_out)[0]
        if not float(left.norm(dim=-1).mean()) < WORTH * before:
            self._forget()

    def _know(self, features: Float[Tensor, "label dim"]) -> None:
        self.known = (features - self.middle) / self.spread

    def _forget(self) -> None:
        self.known = self.known.new_zeros(0, self.known.shape[1])
        self.weight = self.weight.new_zeros(0, 2)

    def _distance(self, features: Float[Tensor, "link dim"]) -> Float[Tensor, "link label"]:
        at = (features.double() - self.middle) / self.spread
        squares = at.square().sum(-1, keepdim=True) + self.known.square().sum(-1)
        return (squares - 2 * at @ self.known.T).clamp(min=0).sqrt()

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        """Takes as many labelled links as there are; older weights have none."""
        self._forget()
        older = not any(key.startswith(prefix) for key in state_dict)
        for name, buffer in self.named_buffers():
            if older:
                state_dict[prefix + name] = buffer
            elif name in ("known", "weight") and prefix + name in state_dict:
                setattr(self, name, buffer.new_zeros(state_dict[prefix + name].shape))
        super()._load_from_state_dict(state_dict, prefix, *rest)


def matern(distance: Float[Tensor, "link label"]) -> Float[Tensor, "link label"]:
    """Matern's correlation of smoothness 3/2, by distances in units of its length."""
    # For ten thousand labelled links each of these is 0.8 GB: few of them at a time.
    a = math.sqrt(3) * distance
    decay = torch.exp(-a)
    return torch.addcmul(decay, a, decay)


def to_scene(
    move: Float[Tensor, "link 2"], orientation: Float[Tensor, "link 3"]
) -> Float[Tensor, "link 2"]:
    """Level vectors out of the frames of stations, turned by their yaw."""
    cos, sin = orientation[:, 0].double().cos(), orientation[:, 0].double().sin()
    x, y = move.unbind(-1)
    return torch.stack([cos * x - sin * y, sin * x + cos * y], -1)


def to_station(
    move: Float[Tensor, "link 2"], orientation: Float[Tensor, "link 3"]
) -> Float[Tensor, "link 2"]:
    """Level vectors of the scene into the frames of stations."""
    return to_scene(move, -orientation)


def _solved(
    alike: Float[Tensor, "label label"], noise: float, error: Float[Tensor, "label 2"]
) -> Float[Tensor, "label 2"]:
    """(K + noise I)^-1 of the errors."""
    noisy = alike.clone()
    noisy.diagonal().add_(noise)
    solved: Tensor = torch.cholesky_solve(error, torch.linalg.cholesky(noisy))
    return solved


def _drawn(
    features: Float[Tensor, "label dim"], error: Float[Tensor, "label 2"], most: int
) -> tuple[Float[Tensor, "drawn dim"], Float[Tensor, "drawn 2"]]:
    """At most so many, always the same."""
    if len(features) <= most:
        return features, error
    order = torch.randperm(len(features), generator=torch.Generator().manual_seed(0))
    kept = order[:most].to(features.device)
    return features[kept], error[kept]
