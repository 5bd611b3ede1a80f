"""Errors of many methods in one picture: distributions, and curves along an axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from radiofix.pictures.style import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PALE,
    VERMILION,
    Array,
    house_style,
    new_figure,
)

COLOURS = (BLUE, VERMILION, GREEN, ORANGE, INK, GREY)
"""Of families, in their order."""
DASHES: tuple[Any, ...] = ("-", "--", ":", "-.", (0, (6, 1, 1, 1, 1, 1)), (0, (1, 3)))
"""Of a family's members, in their order."""
ELSEWHERE = "the paper"
"""Marks in the legend."""
SHOWN = 0.1
"""Smallest error that a distribution shows [its unit]."""


class Line(Protocol):
    """One method."""

    @property
    def name(self) -> str:
        """In the legend."""
        ...

    @property
    def family(self) -> int:
        """Gives the colour."""
        ...

    @property
    def member(self) -> int:
        """Gives the dashes."""
        ...

    @property
    def x(self) -> Array:
        """Along the axis."""
        ...

    @property
    def y(self) -> Array:
        """Upward."""
        ...

    @property
    def low(self) -> Array | None:
        """Of the interval, if one is known."""
        ...

    @property
    def high(self) -> Array | None:
        """Of the interval."""
        ...

    @property
    def marks(self) -> Sequence[tuple[float, float]]:
        """Points from elsewhere, to be shown beside."""
        ...


class Panel(Protocol):
    """Methods that were asked the same."""

    @property
    def title(self) -> str:
        """Above it."""
        ...

    @property
    def lines(self) -> Sequence[Line]:
        """In the order of the legend."""
        ...


def draw_distributions(panels: Sequence[Panel], unit: str) -> Figure:
    """The share of users whose error is smaller, panel by panel; errors on a logarithmic axis."""
    with house_style():
        figure, axes = _canvas(panels)
        for place, panel in zip(axes, panels, strict=True):
            for line in panel.lines:
                place.plot(line.x.clip(min=1e-3), line.y, label=line.name, **_look(line))
                _mark(place, line)
            place.set_xscale("log")
            largest = max(float(np.quantile(line.x, 0.98)) for line in panel.lines)
            place.set_xlim(SHOWN, max(3.0, largest))
            place.xaxis.set_major_formatter(FuncFormatter(_plain))
            place.set_ylim(0, 1)
            place.set_xlabel(f"error [{unit}]")
            place.grid(color=PALE, linewidth=0.4)
        axes[0].set_ylabel("share of users")
        _legend(figure, axes)
    return figure


def draw_curves(panels: Sequence[Panel], axis: str, unit: str) -> Figure:
    """A number for each point of an axis, with its interval; values on a logarithmic axis."""
    with house_style():
        figure, axes = _canvas(panels)
        for place, panel in zip(axes, panels, strict=True):
            every = np.unique(np.concatenate([line.x for line in panel.lines]))
            for line in panel.lines:
                look = _look(line)
                values = _over(every, line)
                place.plot(every, values, marker=".", markersize=4, label=line.name, **look)
                if line.low is not None and line.high is not None:
                    place.vlines(line.x, line.low, line.high, color=look["color"], linewidth=0.6)
                _mark(place, line)
            _axis(place, every)
            place.set_yscale("log")
            place.yaxis.set_major_formatter(FuncFormatter(_plain))
            place.yaxis.set_minor_formatter(FuncFormatter(_sparse))
            place.set_xlabel(axis)
            place.grid(color=PALE, linewidth=0.4)
        axes[0].set_ylabel(f"error [{unit}]")
        _legend(figure, axes)
    return figure


def _canvas(panels: Sequence[Panel]) -> tuple[Figure, list[Axes]]:
    if not panels or not all(panel.lines for panel in panels):
        raise ValueError("there is nothing to draw: give each panel a line")
    figure = new_figure(3.3 * len(panels) + 1.9, 3.2)
    axes = list(figure.subplots(1, len(panels), sharey=True, squeeze=False)[0])
    for place, panel in zip(axes, panels, strict=True):
        place.set_title(panel.title)
    return figure, axes


def _over(every: Array, line: Line) -> Array:
    """Values at all places of the axis, so that no line is drawn across one where it has none."""
    values = np.full(len(every), np.nan)
    values[np.searchsorted(every, line.x)] = line.y
    return values


def _axis(place: Axes, points: Array) -> None:
    """Ticks where there are points; logarithmic where they spread over more than a decade.

    From 0 to the first above it the axis is even.
    """
    first = points[points > 0][0] if points[-1] > 0 else np.inf
    if points[0] >= 0 and points[-1] / first > 10:
        if points[0] > 0:
            place.set_xscale("log")
        else:
            place.set_xscale("symlog", linthresh=first, linscale=0.5)
        place.xaxis.set_minor_locator(NullLocator())
    place.xaxis.set_major_locator(FixedLocator(points.tolist()))
    place.xaxis.set_major_formatter(FuncFormatter(_plain))
    if len(points) > 5:
        place.tick_params("x", labelrotation=45)


def _look(line: Line) -> dict[str, Any]:
    """The first of a family is drawn heavier."""
    return {
        "color": COLOURS[line.family % len(COLOURS)],
        "linestyle": DASHES[line.member % len(DASHES)],
        "linewidth": 1.2 if line.member else 1.8,
    }


def _mark(place: Axes, line: Line) -> None:
    if line.marks:
        x, y = zip(*line.marks, strict=True)
        place.scatter(
            x, y, s=34, facecolor="white", edgecolor=COLOURS[line.family % len(COLOURS)],
            linewidth=1.0, zorder=6, label=ELSEWHERE,
        )  # fmt: skip


def _legend(figure: Figure, axes: Sequence[Axes]) -> None:
    """Each method once, whichever panels it is in, outside at the right."""
    known: dict[str, Artist] = {}
    for place in axes:
        for handle, name in zip(*place.get_legend_handles_labels(), strict=True):
            known.setdefault(name, handle)
    if ELSEWHERE in known:
        # Last, and in no method's colour.
        del known[ELSEWHERE]
        known[ELSEWHERE] = Line2D([], [], linestyle="", marker="o", mfc="white", mec=INK)
    figure.legend(list(known.values()), list(known), loc="outside right upper", handlelength=3.4)


def _plain(value: float, place: int | None) -> str:
    return f"{value:,g}" if value < 1e5 else f"{int(value):,}"


def _sparse(value: float, place: int | None) -> str:
    """Between decades only 2 and 5 are named."""
    return _plain(value, place) if f"{value:e}"[0] in "25" else ""
