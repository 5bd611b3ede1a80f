"""The mirror image of a link: the other side of the array's broadside, as exact as the first."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from radiofix.types import Sounding

ASIDE = 1e5
"""How far from the scene its image lies: no station stands where another's image does [m]."""


def mirrored(
    sounding: Sounding, place: Float[Tensor, "link 3"], chosen: Bool[Tensor, " link"]
) -> tuple[Sounding, Float[Tensor, "link 3"]]:
    """Chosen links as in the scene's mirror image across its xz plane, moved far along y.

    Antennas change sides with their channels, so that an array in order stays in order; the user
    is where its image is. What a network learns of one side it then knows of the other. The image
    of a station is another station: what is remembered of the first says nothing about it.
    """
    across = torch.tensor([1.0, -1.0, 1.0], dtype=torch.float64, device=place.device)
    aside = torch.tensor([0.0, ASIDE, 0.0], dtype=torch.float64, device=place.device)
    position = sounding.station_position.double()
    orientation = sounding.station_orientation
    image = replace(
        sounding,
        csi=sounding.csi.flip(1),
        antenna=sounding.antenna.flip(1) * across.to(sounding.antenna.dtype),
        station_position=position * across + aside,
        station_orientation=-orientation * across.to(orientation.dtype),
    )
    return (
        _choose(chosen, image, replace(sounding, station_position=position)),
        torch.where(chosen[:, None], place * across + aside, place),
    )


def _choose(chosen: Bool[Tensor, " link"], image: Sounding, original: Sounding) -> Sounding:
    """The links of one sounding where chosen, of the other elsewhere."""
    fields = ("csi", "antenna", "station_position", "station_orientation")
    picked = {
        name: torch.where(
            chosen.reshape(-1, *[1] * (getattr(image, name).ndim - 1)),
            getattr(image, name),
            getattr(original, name),
        )
        for name in fields
    }
    return replace(original, **picked)
