"""A link's waves in the plan of its street: where they have come from, if walls are mirrors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from matplotlib.figure import Figure
from numpy.typing import NDArray

from radiofix.data.store import Map
from radiofix.pictures import style
from radiofix.pictures.scene_view import building_outlines
from radiofix.types import Station

Array = NDArray[np.float64]

COLOURS = (style.BLUE, style.ORANGE, style.GREEN)
"""Of waves, the strongest first."""
AROUND = 25.0
"""What is drawn beyond all ways [m]."""


@dataclass(frozen=True)
class Followed:
    """One wave of a link, in the scene's frame [m]."""

    folded: Array
    """(point, 2): from the station by the walls that it met to where it has come from."""
    straight: Array
    """(2,): where it would have come from without walls."""
    fanned: Array
    """(way, 2): where it may have come from if it turned aside at an edge."""


def echo_picture(
    scene: Map | None,
    station: Station,
    user: Array,
    waves: Sequence[Followed],
    title: str = "",
) -> Figure:
    """Draws waves, the strongest first, and the user (3,) [m] that they came from."""
    if scene is None:
        raise ValueError("there are no walls to follow waves to: the store has no map")
    if not waves:
        raise ValueError("there is no wave to follow: the station does not hear this user")
    home = station.position[:2].numpy()
    ends = np.concatenate([home[None], user[None, :2], *(wave.folded for wave in waves)])
    low, high = ends.min(0) - AROUND, ends.max(0) + AROUND
    view = shapely.box(*low, *high)
    width, height = np.maximum(high - low, 1.0)
    scale = min(6.0 / width, 6.0 / height)
    with style.house_style():
        size = max(4.5, width * scale + 1.0), max(3.0, height * scale + 1.4)
        figure = style.new_figure(*size, compressed=True)
        axes = figure.add_subplot()
        style.from_above(axes)
        near = [shape for shape in building_outlines(scene) if shape.intersects(view)]
        style.draw_buildings(axes, near)
        for wave, colour in reversed(list(zip(waves, COLOURS, strict=False))):
            first = wave is waves[0]
            line = np.stack([home, wave.straight])
            label = "without walls" if first else None
            axes.plot(*line.T, ":", color=colour, linewidth=0.8, label=label)
            if len(wave.fanned):
                label = "turned aside at an edge" if first else None
                axes.plot(*wave.fanned.T, ".", color=colour, markersize=2.5, label=label)
            label = "folded at walls" if first else None
            axes.plot(*wave.folded.T, "-", color=colour, linewidth=1.2, label=label)
            axes.plot(*wave.folded[-1], "o", color=colour, markersize=4)
        axes.plot(*user[:2], "*", color=style.VERMILION, markersize=11, label="the user", zorder=5)
        position, yaw = station.position.numpy()[None], station.orientation[:1].numpy()
        style.draw_stations(axes, position, yaw, [station.name], 0.03 * float(max(width, height)))
        axes.set_xlim(low[0], high[0])
        axes.set_ylim(low[1], high[1])
        figure.suptitle(title or "Where the strongest waves have come from", x=0.01, ha="left")
        figure.legend(loc="outside lower center", ncols=2 if size[0] < 6 else 4)
    return figure
