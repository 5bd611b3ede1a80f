"""Drawings for a page: metres to places on it, and the few shapes that are needed.

Colours are classes of the page's style sheet, so that a drawing follows its light and dark.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class View:
    """A part of the plane on a page; `eastward` puts north to the right, else it is up."""

    low: tuple[float, float]
    """West and south end [m]."""
    high: tuple[float, float]
    """East and north end [m]."""
    scale: float
    """Units of the drawing a metre."""
    lying: bool = False

    @property
    def size(self) -> tuple[float, float]:
        """Width and height of the drawing."""
        across, along = ((h - w) * self.scale for w, h in zip(self.low, self.high, strict=True))
        return (along, across) if self.lying else (across, along)

    def __call__(self, place: Floats) -> Floats:
        """Places (..., 2 or 3) [m] on the drawing (..., 2)."""
        x, y = place[..., 0], place[..., 1]
        # Lying down is a turn by a quarter to the right, never a mirror image.
        ahead = (y - self.low[1], x - self.low[0]) if self.lying else None
        across, down = ahead or (x - self.low[0], self.high[1] - y)
        return np.stack([across, down], -1) * self.scale

    def inside(self, place: Floats) -> NDArray[np.bool_]:
        """Which places are shown."""
        flat = place[..., :2]
        return np.asarray(((flat >= self.low) & (flat <= self.high)).all(-1))


def drawing(size: tuple[float, float], title: str, shapes: Sequence[str], kind: str = "") -> str:
    """A whole drawing, that fits the width it is given."""
    width, height = size
    return (
        f'<svg class="{kind}" viewBox="0 0 {width:.0f} {height:.0f}" role="img" '
        f'aria-label="{escape(title)}">\n' + "\n".join(shapes) + "\n</svg>"
    )


def dots(places: Floats, kind: str, radius: float) -> str:
    """One dot for each of (dot, 2): a line of no length with round ends, in one element."""
    way = "".join(f"M{x:.1f} {y:.1f}h0" for x, y in places)
    return f'<path class="dot {kind}" stroke-width="{2 * radius:g}" d="{way}"/>'


def line(places: Floats, kind: str, closed: bool = False) -> str:
    """Through (point, 2)."""
    way = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    return f'<path class="{kind}" d="M{way}{"Z" * closed}"/>'


def segments(start: Floats, end: Floats, kind: str) -> str:
    """From each of (line, 2) to its partner, in one element."""
    way = "".join(
        f"M{a:.1f} {b:.1f}L{c:.1f} {d:.1f}" for (a, b), (c, d) in zip(start, end, strict=True)
    )
    return f'<path class="{kind}" d="{way}"/>'


def words(place: tuple[float, float], text: str, kind: str = "", anchor: str = "start") -> str:
    """Text at a place."""
    x, y = place
    return (
        f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
    )


def group(shapes: Sequence[str], kind: str, title: str | None = None) -> str:
    """Shapes together; the title is shown where a pointer rests."""
    told = "" if title is None else f"<title>{escape(title)}</title>"
    return f'<g class="{kind}">{told}{"".join(shapes)}</g>'


def triangle(place: Floats, reach: float) -> str:
    """A station."""
    x, y = place
    corners = np.array([[x, y - reach], [x + 0.9 * reach, y + 0.7 * reach],
                        [x - 0.9 * reach, y + 0.7 * reach]])  # fmt: skip
    return line(corners, "station", closed=True)
