"""What a link's delay and angle ought to be, from where its two ends stand."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from radiofix.physics.rotation import angles, rotation
from radiofix.types import SPEED_OF_LIGHT, Sounding


def time_of_arrival(
    sounding: Sounding, position: Float[Tensor, "link 3"]
) -> Float[Tensor, " link"]:
    """Delay of the straight way from user to station, |p - p_station| / c [s]."""
    away = position - sounding.station_position
    distance: Tensor = torch.linalg.vector_norm(away, dim=-1)
    return distance / SPEED_OF_LIGHT


def angle_of_arrival(
    sounding: Sounding, position: Float[Tensor, "link 3"]
) -> Float[Tensor, " link"]:
    """Azimuth of the user in the station's own frame, in (-pi, pi] [rad]."""
    toward = (position - sounding.station_position)[:, None, :]
    turn = rotation(sounding.station_orientation).to(toward.dtype)
    # A row vector times R is R^T applied to it: from the scene's frame into the station's.
    return angles((toward @ turn)[:, 0])[0]
