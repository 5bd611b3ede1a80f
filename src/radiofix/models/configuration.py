"""What a decoder is told of a link beside its channel: the configuration c_s of eq. (12)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from radiofix.models.standardizer import Standardizer
from radiofix.types import Sounding

_FEATURES = 3


def configuration(sounding: Sounding) -> Float[Tensor, "link 3"]:
    """Each station's x and y in the scene [m] and the link's bandwidth [Hz], float64."""
    horizontal = sounding.station_position[:, :2].double()
    return torch.cat([horizontal, sounding.bandwidth.double()[:, None]], -1)


class ConfigurationEmbedding(nn.Module):
    """A single-layer MLP of the standardised configuration, as sections IV-D and V-A have it."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.standardizer = Standardizer(_FEATURES)
        self.linear = nn.Linear(_FEATURES, dim)

    def fit(self, soundings: Sequence[Sounding]) -> None:
        """Takes the scale of the configurations from training links."""
        self.standardizer.fit(torch.cat([configuration(s) for s in soundings]))

    def forward(self, sounding: Sounding) -> Float[Tensor, "link dim"]:
        """Embeds the configuration of each link."""
        embedded: Tensor = self.linear(self.standardizer(configuration(sounding)))
        return embedded.relu()
