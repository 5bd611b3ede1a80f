"""Rotations, directions and angles: right-handed, azimuth from x, zenith from z, in radians."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor


def rotation(orientation: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """R = Rz(yaw) Ry(pitch) Rx(roll): turns a vector of the local frame into the scene's."""
    cos_yaw, cos_pitch, cos_roll = orientation.cos().unbind(-1)
    sin_yaw, sin_pitch, sin_roll = orientation.sin().unbind(-1)
    x = [cos_yaw * cos_pitch, sin_yaw * cos_pitch, -sin_pitch]
    y = [
        cos_yaw * sin_pitch * sin_roll - sin_yaw * cos_roll,
        sin_yaw * sin_pitch * sin_roll + cos_yaw * cos_roll,
        cos_pitch * sin_roll,
    ]
    z = [
        cos_yaw * sin_pitch * cos_roll + sin_yaw * sin_roll,
        sin_yaw * sin_pitch * cos_roll - cos_yaw * sin_roll,
        cos_pitch * cos_roll,
    ]
    return torch.stack([torch.stack(axis, -1) for axis in (x, y, z)], -1)


def unit_vector(
    azimuth: Float[Tensor, "*batch"], zenith: Float[Tensor, "*batch"]
) -> Float[Tensor, "*batch 3"]:
    """The unit vector that points toward an azimuth and a zenith angle [rad]."""
    sin_zenith = zenith.sin()
    return torch.stack([sin_zenith * azimuth.cos(), sin_zenith * azimuth.sin(), zenith.cos()], -1)


def angles(
    vector: Float[Tensor, "*batch 3"],
) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch"]]:
    """Azimuth in (-pi, pi] and zenith in [0, pi] of a vector of any length [rad]."""
    x, y, z = vector.unbind(-1)
    # atan2 keeps its precision near the poles, where arccos(z) loses half of its digits.
    return torch.atan2(y, x), torch.atan2(torch.hypot(x, y), z)


def wrap(angle: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """The same angle in [-pi, pi) [rad]."""
    wrapped = torch.remainder(angle + math.pi, 2 * math.pi) - math.pi
    # An angle a hair below -pi is rounded up to +pi, which is outside of the interval.
    return torch.where(wrapped >= math.pi, wrapped - 2 * math.pi, wrapped)
