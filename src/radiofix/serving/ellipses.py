"""A covariance as an ellipse on a map: its axes, the way it points, and its outline."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from radiofix.serving.geodesy import EAST

Floats = NDArray[np.float64]
CORNERS = 48
"""Of an outline."""


@dataclass(frozen=True, slots=True)
class Ellipses:
    """One standard deviation along each axis, and the direction of the longer one."""

    major: Floats
    """(fix,) [m]."""
    minor: Floats
    """(fix,) [m]."""
    angle: Floats
    """(fix,) of the major axis, from +x toward +y [rad]."""

    def heading(self, heading_of_x: float = EAST) -> Floats:
        """Of the major axis, clockwise from north, in [0, 180) (fix,) [deg]."""
        turned: Floats = np.mod(heading_of_x - np.degrees(self.angle), 180.0)
        # What is a hair below 0 comes out of the modulus as 180.
        return np.where(turned >= 180.0, 0.0, turned)

    def outline(self, centre: Floats, share: float) -> Floats:
        """Counter-clockwise corners (fix, CORNERS, 2) round (fix, 2) that hold a share [m].

        The polygon has the ellipse's area, so that straight sides cost it no probability.
        """
        turn = 2 * np.pi * np.arange(CORNERS) / CORNERS
        whole = 2 * np.pi / CORNERS
        reach = scale_of(share) * np.sqrt(whole / np.sin(whole))
        along = reach * self.major[:, None] * np.cos(turn)
        across = reach * self.minor[:, None] * np.sin(turn)
        cosine, sine = np.cos(self.angle)[:, None], np.sin(self.angle)[:, None]
        corners = np.stack([cosine * along - sine * across, sine * along + cosine * across], -1)
        placed: Floats = centre[:, None] + corners
        return placed


def ellipses(covariance: Floats) -> Ellipses:
    """Of horizontal covariances (fix, 2 or 3, 2 or 3) [m^2]; NaN stays NaN."""
    xx, xy, yy = covariance[:, 0, 0], covariance[:, 0, 1], covariance[:, 1, 1]
    middle, half = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
    # The smaller root by the product of both: their difference would lose a thin ellipse's digits.
    larger = middle + half
    smaller = np.maximum(xx * yy - xy**2, 0) / np.where(larger > 0, larger, 1)
    return Ellipses(np.sqrt(larger), np.sqrt(smaller), np.arctan2(2 * xy, xx - yy) / 2)


def scale_of(share: float) -> float:
    """Standard deviations to which an ellipse holds a share of a normal distribution."""
    if not 0 < share < 1:
        raise ValueError(f"confidence must lie between 0 and 100 %, got {100 * share:g}")
    return float(np.sqrt(-2 * np.log1p(-share)))
