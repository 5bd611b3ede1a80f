"""The mirror image of a link: the other side of the array's broadside, as exact as the first."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from radiofix.physics.rotation import rotation
from radiofix.types import Sounding


def mirrored(
    sounding: Sounding, place: Float[Tensor, "link 3"], chosen: Bool[Tensor, " link"]
) -> tuple[Sounding, Float[Tensor, "link 3"]]:
    """Chosen links as in the scene's mirror image across their station's xz plane.

    Antennas change sides with their channels, so that an array in order stays in order; the user
    is where its image is. What a network learns of one side it then knows of the other.
    """
    across = torch.tensor([1.0, -1.0, 1.0], dtype=sounding.antenna.dtype, device=place.device)
    csi = torch.where(chosen[:, None, None], sounding.csi.flip(1), sounding.csi)
    antenna = sounding.antenna.flip(1) * across
    antenna = torch.where(chosen[:, None, None], antenna, sounding.antenna)
    station = sounding.station_position.to(place.dtype)
    turn = rotation(sounding.station_orientation.to(place.dtype))
    local = (turn.mT @ (place - station)[..., None])[..., 0] * across.to(place.dtype)
    image = (turn @ local[..., None])[..., 0] + station
    return (
        replace(sounding, csi=csi, antenna=antenna),
        torch.where(chosen[:, None], image, place),
    )
