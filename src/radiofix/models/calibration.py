"""Honest errors: ellipses that hold what they say, and channels that the model does not know."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

HELD = 0.9
"""Share of validation users that the stated 90 % ellipse is made to hold."""
KNOWN = 0.99
"""Share of validation links that are trusted."""
LEAST = 1e-6
"""Stretch: where every error is 0, covariances stay such that can be inverted."""
SHRINKAGE = 0.1
"""Of the features' covariance toward a multiple of the identity: with few links it is singular."""


class Calibration(nn.Module):
    """How far stated covariances are stretched, and which features count as known.

    Fitted on labelled validation users; test users are never shown to it.
    """

    stretch: Float[Tensor, ""]
    middle: Float[Tensor, " dim"]
    whitening: Float[Tensor, "dim dim"]
    threshold: Float[Tensor, ""]
    height_deviation: Float[Tensor, ""]

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("stretch", torch.ones((), dtype=torch.float64))
        self.register_buffer("middle", torch.zeros(dim, dtype=torch.float64))
        self.register_buffer("whitening", torch.eye(dim, dtype=torch.float64))
        self.register_buffer("threshold", torch.full((), torch.inf, dtype=torch.float64))
        self.register_buffer("height_deviation", torch.ones((), dtype=torch.float64))

    @torch.no_grad()
    def fit_ellipses(
        self, error: Float[Tensor, "link 2"], scale: Float[Tensor, "link 2 2"]
    ) -> None:
        """Stretches all covariances alike until their 90 % ellipses hold 90 % of the errors."""
        reached = torch.quantile(squared_length(error, scale), HELD)
        self.stretch.copy_((reached / quantile_of_two(HELD)).sqrt().clamp(min=LEAST))

    @torch.no_grad()
    def fit_height(self, error: Float[Tensor, " link"]) -> None:
        """Takes how far off the assumed height is; users on a level floor still carry phones."""
        self.height_deviation.copy_(error.double().square().mean().sqrt().clamp(min=0.1))

    @torch.no_grad()
    def fit_features(
        self, training: Float[Tensor, "link dim"], validation: Float[Tensor, "link dim"]
    ) -> None:
        """Learns what features look like, and from where on they are unlike that."""
        features = training.double()
        self.middle.copy_(features.mean(0))
        covariance = torch.cov(features.T, correction=0)
        level = covariance.diagonal().mean().clamp(min=1e-12)
        identity = torch.eye(len(covariance), dtype=torch.float64, device=covariance.device)
        shrunk = (1 - SHRINKAGE) * covariance + SHRINKAGE * level * identity
        # With W = L^-1 the squared length of W x is x^T C^-1 x.
        lower = torch.linalg.cholesky(shrunk)
        self.whitening.copy_(torch.linalg.solve_triangular(lower, identity, upper=False))
        self.threshold.copy_(torch.quantile(self.strangeness(validation), KNOWN))

    def strangeness(self, features: Float[Tensor, "link dim"]) -> Float[Tensor, " link"]:
        """Mahalanobis distance of each link's features from those of the training links."""
        white: Tensor = (features.double() - self.middle) @ self.whitening.T
        distance: Tensor = white.norm(dim=-1)
        return distance

    def trusted(self, features: Float[Tensor, "link dim"]) -> Bool[Tensor, " link"]:
        """Links no stranger than validation users were."""
        return self.strangeness(features) <= self.threshold

    def stretched(self, scale: Float[Tensor, "link 2 2"]) -> Float[Tensor, "link 2 2"]:
        """Calibrated Cholesky factors."""
        return scale * self.stretch

    def covariance(self, scale: Float[Tensor, "link 2 2"]) -> Float[Tensor, "link 3 3"]:
        """Calibrated covariances in three dimensions; the height's error is its own [m^2]."""
        factor = torch.diag_embed(self.height_deviation.expand(len(scale), 3)).clone()
        factor[:, :2, :2] = self.stretched(scale.double())
        return factor @ factor.mT


def squared_length(
    error: Float[Tensor, "link 2"], scale: Float[Tensor, "link 2 2"]
) -> Float[Tensor, " link"]:
    """e^T C^-1 e of each error under C = L L^T."""
    white = torch.linalg.solve_triangular(scale.double(), error.double()[..., None], upper=False)
    squared: Tensor = white.square().sum((-2, -1))
    return squared


def quantile_of_two(share: float) -> float:
    """What a chi-squared number of two degrees of freedom stays below with probability `share`."""
    return float(-2 * torch.log1p(torch.tensor(-share, dtype=torch.float64)))


def coverage(
    error: Float[Tensor, "link 2"], scale: Float[Tensor, "link 2 2"], share: float = HELD
) -> float:
    """Share of the errors inside their stated ellipse of probability `share`."""
    inside = squared_length(error, scale) <= quantile_of_two(share)
    return float(inside.double().mean())
