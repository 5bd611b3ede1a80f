"""What pretraining does: losses, channels filled in, delay and angle told, and what is kept."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter
from numpy.typing import NDArray
from torch import Tensor

from radiofix.physics.transforms import bin_delay, bin_direction
from radiofix.pictures import style

Array = NDArray[np.float64]
Part = Callable[[Any], Any]
"""Of complex values."""

DYNAMIC_RANGE = 40.0
"""What is shown below the highest value [dB]."""
BEFORE, AFTER = 6, 20
"""Delay bins that are shown beside the strongest wave's."""
SIGNED = "PuOr"
"""Colour map of values of both signs."""
COLOURS = (style.BLUE, style.VERMILION, style.GREEN, style.ORANGE)
SHAPES = "osDPv"
TICKS = {
    5: (1.0, 1.5, 2.0, 3.0, 5.0, 7.0),
    300: (1.0, 2.0, 5.0),
    math.inf: (1.0,),
}
"""Of each decade, on axes that reach over less than so many times."""
BOUND = "log N \N{MINUS SIGN} L, eq. 6"


@dataclass(frozen=True)
class Curve:
    """One loss on held-out users through pretraining."""

    title: str
    label: str
    values: Sequence[float]
    marks: Mapping[str, float]
    """Levels to compare with, by name."""
    logarithmic: bool = False
    bound: Sequence[float] = ()
    """What the loss shows that two views surely share of the place, where it does [nat]."""


@dataclass(frozen=True)
class FilledIn:
    """One link whose hidden entries a model has filled in."""

    truth: Tensor
    """Complex (antenna, subcarrier)."""
    found: Tensor
    """Complex (antenna, subcarrier)."""
    hidden: Tensor
    """Whether an entry was hidden, (antenna, subcarrier)."""
    bandwidth: float
    """[Hz]."""


@dataclass(frozen=True)
class DelayAngle:
    """One link's delay-angle view, from its strongest wave, and what a model makes of it."""

    title: str

    truth: Tensor
    """Complex (angle, delay), in the order of `physics.transforms.delay_angle`."""
    found: Tensor
    """The same, up to a complex factor."""
    bandwidth: float
    """[Hz]."""


@dataclass(frozen=True)
class Reading:
    """How far off one reader of one representation is."""

    row: str
    """What was read."""
    group: str
    """Told apart by colour."""
    reader: str
    """Told apart by shape."""
    error: float


def losses_picture(samples: Sequence[float], curves: Sequence[Curve]) -> Figure:
    """Draws losses on held-out users, each in a panel of its own, against the samples seen."""
    thousands = np.asarray(samples) / 1e3
    with style.house_style():
        figure = style.new_figure(9.0, 3.1)
        panels = np.atleast_1d(figure.subplots(1, len(curves)))
        for axes, curve in zip(panels, curves, strict=True):
            axes.plot(thousands, curve.values, color=style.BLUE, label="loss L")
            for name, level in curve.marks.items():
                axes.axhline(level, color=style.GREY, linewidth=0.8, linestyle="--")
                axes.annotate(
                    name, (1, level), xycoords=("axes fraction", "data"), xytext=(0, 2),
                    textcoords="offset points", ha="right", va="bottom", fontsize=8,
                    color=style.GREY,
                )  # fmt: skip
            axes.set_title(curve.title, loc="left")
            axes.set_xlabel("samples seen [thousands]")
            axes.set_ylabel(curve.label)
            axes.set_xlim(0, thousands[-1])
            if curve.logarithmic:
                axes.set_yscale("log")
                _logarithmic(axes.yaxis, *axes.get_ylim())
            if len(curve.bound):
                axes.plot(thousands, curve.bound, color=style.VERMILION, label=BOUND)
                axes.axhline(0, color=style.INK, linewidth=0.6)
                axes.legend(loc="center right")
    return figure


def filled_in_picture(link: FilledIn) -> Figure:
    """Draws one channel as the model saw it, as it filled it in, as it is, and the difference."""
    frequency = (np.arange(link.truth.shape[1]) - link.truth.shape[1] // 2) * (
        link.bandwidth / link.truth.shape[1] / 1e6
    )
    hidden = link.hidden.numpy()
    truth, found = _plain(link.truth), _plain(link.found)
    grids = {
        "masked": np.ma.masked_where(hidden, truth),
        "reconstructed": np.ma.asarray(np.where(hidden, found, truth)),
        "true": np.ma.asarray(truth),
        "reconstructed \N{MINUS SIGN} true": np.ma.masked_where(~hidden, found - truth),
    }
    top = 20 * np.log10(np.abs(truth).max())
    reach = float(np.abs(truth).max())
    scales: list[tuple[str, Part, str, float, float]] = [
        ("|H| [dB]", _decibel, style.SCALE, top - DYNAMIC_RANGE, top),
        ("Re H", np.real, SIGNED, -reach, reach),
    ]
    edge = (frequency[1] - frequency[0]) / 2
    extent = (frequency[0] - edge, frequency[-1] + edge, -0.5, len(truth) - 0.5)
    with style.house_style():
        figure = style.new_figure(9.6, 4.2)
        panels = figure.subplots(2, len(grids), sharex=True, sharey=True)
        for row, (label, part, colours, low, high) in zip(panels, scales, strict=True):
            for axes, grid in zip(row, grids.values(), strict=True):
                image = axes.imshow(
                    part(grid), extent=extent, aspect="auto", origin="lower",
                    cmap=_with_gaps(colours), vmin=low, vmax=high, interpolation="nearest",
                )  # fmt: skip
                _boxed(axes)
            row[0].set_ylabel("antenna")
            figure.colorbar(image, ax=list(row), label=label, aspect=18, pad=0.01)
        for axes, title in zip(panels[0], grids, strict=True):
            axes.set_title(title, loc="left")
        for axes in panels[1]:
            axes.set_xlabel("frequency from the carrier [MHz]")
            axes.set_xticks(link.bandwidth / 1e6 * np.array([-0.4, 0, 0.4]))
            axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    return figure


def delay_angle_picture(links: Sequence[DelayAngle], spacing: float = 0.5) -> Figure:
    """Draws delay-angle views, a column a link: the true one above what the model tells.

    Args:
        links: seen from their strongest wave's delay.
        spacing: between antennas [wavelengths].
    """
    with style.house_style():
        figure = style.new_figure(9.0, 4.6)
        panels = figure.subplots(2, len(links), squeeze=False, sharey=True)
        for column, link in zip(panels.T, links, strict=True):
            truth = _plain(link.truth)
            for axes, grid in zip(column, (truth, aligned(link)), strict=True):
                image = _draw_view(axes, grid, np.abs(truth).max(), link.bandwidth, spacing)
            column[0].set_title(f"{link.title}: true", loc="left")
            column[1].set_title("told by the latent", loc="left")
            column[1].set_xlabel("delay after the strongest wave [ns]")
        for row in panels:
            row[0].set_ylabel("angle off broadside [deg]")
        figure.colorbar(image, ax=panels, label="power beside the true peak [dB]", aspect=36)
    return figure


def probes_picture(panels: Mapping[str, Sequence[Reading]], units: Mapping[str, str]) -> Figure:
    """Draws the errors of readers, a panel a quantity and a row a representation.

    Args:
        panels: readings by quantity; rows come in the order of their first reading.
        units: of each panel's errors.
    """
    every = [reading for readings in panels.values() for reading in readings]
    rows = list(dict.fromkeys(reading.row for reading in every))
    groups = dict(zip(dict.fromkeys(r.group for r in every), cycle(COLOURS), strict=False))
    readers = dict(zip(dict.fromkeys(r.reader for r in every), cycle(SHAPES), strict=False))
    with style.house_style():
        figure = style.new_figure(9.0, 1.2 + 0.24 * len(rows))
        axes_of = np.atleast_1d(figure.subplots(1, len(panels), sharey=True))
        for axes, (title, readings) in zip(axes_of, panels.items(), strict=True):
            for reading in readings:
                axes.plot(
                    reading.error, rows.index(reading.row), readers[reading.reader], markersize=5.5,
                    color=groups[reading.group], markeredgecolor="white", markeredgewidth=0.5,
                )  # fmt: skip
            axes.set_xscale("log")
            _logarithmic(axes.xaxis, *axes.get_xlim())
            axes.set_title(title, loc="left")
            axes.set_xlabel(f"median error [{units[title]}]")
            axes.grid(color=style.PALE, linewidth=0.5)
            axes.set_axisbelow(True)
        axes_of[0].set_yticks(range(len(rows)), rows)
        axes_of[0].set_ylim(len(rows) - 0.5, -0.5)
        handles = [_handle(name, "o", colour) for name, colour in groups.items()]
        handles += [_handle(name, shape, style.INK) for name, shape in readers.items()]
        figure.legend(handles=handles, loc="outside upper right", ncols=len(handles))
    return figure


def aligned(link: DelayAngle) -> NDArray[np.complex128]:
    """What the model tells, times the factor that fits the true view best: eq. 10 has none."""
    truth, found = _plain(link.truth), _plain(link.found)
    energy = np.sum(np.abs(found) ** 2)
    return found * (np.vdot(found, truth) / energy if energy > 0 else 0)


def centred(view: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """The view (angle, delay) with directions rising and the delay of 0 at column `BEFORE`."""
    direction = bin_direction(len(view)).numpy()
    return np.roll(view[np.argsort(direction)], BEFORE, axis=1)


def _draw_view(
    axes: Axes, view: NDArray[np.complex128], peak: float, bandwidth: float, spacing: float
) -> AxesImage:
    angles, delays = view.shape
    step = float(bin_delay(delays, bandwidth / delays)[1]) * 1e9
    sine = np.sort(bin_direction(angles, spacing).numpy())
    # Whether a wave comes from the one end of the array or the other is one bin: drawn at both.
    rising = centred(view)[:, : min(delays, BEFORE + AFTER)]
    shown = np.concatenate([rising, rising[:1]])
    edges = ((-BEFORE - 0.5) * step, (shown.shape[1] - BEFORE - 0.5) * step)
    half = 1 / (2 * spacing * angles)
    image = axes.imshow(
        _decibel(shown / peak), extent=(*edges, sine[0] - half, sine[-1] + 3 * half), aspect="auto",
        origin="lower", cmap=style.SCALE, vmin=-DYNAMIC_RANGE, vmax=0, interpolation="nearest",
    )  # fmt: skip
    degrees = np.array([-90, -45, -20, 0, 20, 45, 90])
    axes.set_yticks(
        np.sin(np.radians(degrees)), [f"{d}".replace("-", "\N{MINUS SIGN}") for d in degrees]
    )
    _boxed(axes)
    return image


def _handle(name: str, shape: str, colour: str) -> Line2D:
    return Line2D([], [], color=colour, marker=shape, linestyle="none", markersize=6, label=name)


def _logarithmic(axis: Axis, low: float, high: float) -> None:
    """Numbers that can be read, however many decades there are."""
    named = next(steps for span, steps in TICKS.items() if high < span * low)
    axis.set_major_locator(LogLocator(10, subs=named))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_formatter(NullFormatter())


def _plain(values: Tensor) -> NDArray[np.complex128]:
    return np.asarray(values.to(torch.complex128).numpy())


def _decibel(values: Array | NDArray[np.complex128]) -> Array:
    level: Array = 20 * np.ma.log10(np.ma.maximum(np.abs(values), 1e-9))
    return level


def _with_gaps(name: str) -> Colormap:
    """The colour map, with grey where nothing was seen."""
    return colormaps[name].with_extremes(bad=style.GREY)


def _boxed(axes: Axes) -> None:
    for spine in axes.spines.values():
        spine.set_visible(True)
