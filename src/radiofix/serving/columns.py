"""Fixes as named columns, a unit in every name: what all formats are written from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiofix.serving.ellipses import ellipses, scale_of
from radiofix.serving.fixes import NO_TRACK, Fixes
from radiofix.serving.geodesy import EAST, Origin

Columns = dict[str, NDArray[Any]]
LOCAL = "local: metres, x to the east and y to the north of a scene without an origin on the earth"
EARTH = "WGS 84"
METRES, DEGREES, SECONDS, SQUARES = 4, 9, 6, 6
"""Digits after the point: a tenth of a millimetre, as much on the ground, a microsecond."""


@dataclass(frozen=True, slots=True)
class Style:
    """What all formats must know beside the fixes."""

    origin: Origin | None = None
    """Of the scene's frame; None: there is none, and coordinates stay local."""
    share: float = 0.9
    """Probability that an ellipse on a map holds."""
    tracked: bool = False
    """Whether there are velocities."""

    def __post_init__(self) -> None:
        scale_of(self.share)

    @property
    def frame(self) -> str:
        """What coordinates are in."""
        return LOCAL if self.origin is None else EARTH

    @property
    def confidence(self) -> float:
        """The share as LPP has it [%]."""
        return round(100 * self.share, 6)

    @property
    def heading_of_x(self) -> float:
        """Clockwise from north [deg]."""
        return EAST if self.origin is None else self.origin.heading_of_x


def columns(fixes: Fixes, style: Style) -> Columns:
    """One column a quantity, its unit in its name; NaN where nothing is known."""
    ellipse = ellipses(fixes.covariance)
    found: Columns = {
        "source": np.full(len(fixes), fixes.source, dtype=object),
        "user": fixes.user,
        "track": fixes.track,
        "time_s": fixes.time.round(SECONDS),
        **{f"{axis}_m": fixes.position[:, i].round(METRES) for i, axis in enumerate("xyz")},
    }
    if style.origin is not None:
        place = style.origin.geographic(fixes.position)
        found["latitude_deg"] = place[:, 0].round(DEGREES)
        found["longitude_deg"] = place[:, 1].round(DEGREES)
        found["height_m"] = place[:, 2].round(METRES)
    if style.tracked and fixes.velocity is not None:
        found["velocity_x_m_per_s"] = fixes.velocity[:, 0].round(METRES)
        found["velocity_y_m_per_s"] = fixes.velocity[:, 1].round(METRES)
    covariance = fixes.covariance.round(SQUARES)
    return found | {
        "sigma_major_m": ellipse.major.round(METRES),
        "sigma_minor_m": ellipse.minor.round(METRES),
        "major_axis_deg_from_north": ellipse.heading(style.heading_of_x).round(METRES),
        "sigma_z_m": np.sqrt(fixes.covariance[:, 2, 2]).round(METRES),
        "covariance_xx_m2": covariance[:, 0, 0],
        "covariance_xy_m2": covariance[:, 0, 1],
        "covariance_yy_m2": covariance[:, 1, 1],
        "stations": fixes.heard,
        "stations_used": (fixes.weight > 0.5).sum(1),
        "trusted": fixes.trusted,
    }


def cells(name: str, column: NDArray[Any]) -> list[Any]:
    """Plain values, None where there is none."""
    values: list[Any] = column.tolist()
    empty = absent(name, column)
    if empty.any():
        values = [None if gone else v for v, gone in zip(values, empty, strict=True)]
    return values


def absent(name: str, column: NDArray[Any]) -> NDArray[np.bool_]:
    """Which values of a column are not known."""
    if column.dtype.kind == "f":
        return np.asarray(np.isnan(column))
    if name == "track":
        return np.asarray(column == NO_TRACK)
    return np.zeros(len(column), dtype=np.bool_)
