"""The scale on which a network sees a quantity: learnt from data, saved with the model."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

_CONSTANT = 1e-6
"""A deviation below this part of the mean is rounding of a value that never varies."""


class Standardizer(nn.Module):
    """Values of any unit to mean 0 and deviation 1, feature by feature, and back.

    The scale is kept in float64, as a delay in seconds or a frequency in hertz wants it.
    """

    mean: Float[Tensor, " feature"]
    deviation: Float[Tensor, " feature"]

    def __init__(self, features: int) -> None:
        super().__init__()
        unknown = torch.full((features,), torch.nan, dtype=torch.float64)
        self.register_buffer("mean", unknown)
        self.register_buffer("deviation", unknown.clone())
        self._fitted = False

    @torch.no_grad()
    def fit(self, values: Float[Tensor, "row feature"]) -> None:
        """Takes mean and deviation of the rows; a feature that never varies is its own scale."""
        if len(values) == 0:
            raise ValueError("a standardizer cannot be fitted to 0 rows: give it training links")
        exact = values.double()
        mean, deviation = exact.mean(0), exact.std(0, correction=0)
        size = torch.where(mean != 0, mean.abs(), torch.ones_like(mean))
        varies = deviation > _CONSTANT * size
        self.mean.copy_(mean)
        self.deviation.copy_(torch.where(varies, deviation, size))

    def forward(self, values: Float[Tensor, "*batch feature"]) -> Float[Tensor, "*batch feature"]:
        """The values without unit, float32."""
        self._expect_fitted()
        return ((values.double() - self.mean) / self.deviation).float()

    def scaled(
        self, difference: Float[Tensor, "*batch feature"]
    ) -> Float[Tensor, "*batch feature"]:
        """A difference of two values in units of the deviation."""
        self._expect_fitted()
        return difference / self.deviation

    def undo(self, values: Float[Tensor, "*batch feature"]) -> Float[Tensor, "*batch feature"]:
        """The values in their unit again, float64."""
        self._expect_fitted()
        return values.double() * self.deviation + self.mean

    def _expect_fitted(self) -> None:
        # Looked up once: reading a value back from a GPU in every step would make it wait.
        self._fitted = self._fitted or not bool(self.deviation.isnan().any())
        if not self._fitted:
            raise ValueError("a standardizer has no scale yet: call fit with the training links")
