"""The house style of pictures: restrained, safe for colour-blind readers, legible in print."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import shapely
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.path import Path as Path2D
from numpy.typing import NDArray
from shapely.geometry import Polygon
from shapely.geometry.polygon import orient

from radiofix.files import whole_file

# Okabe and Ito's palette: told apart by every common kind of colour vision, and in grey.
BLUE, VERMILION, GREEN, ORANGE = "#0072B2", "#D55E00", "#009E73", "#E69F00"
INK, GREY, PALE, WALL = "#222222", "#8C8C8C", "#CCCCCC", "#E3E0DA"
SCALE = "viridis"
"""Colour map of quantities."""
DPI = 200
SUFFIXES = (".png", ".svg")

SETTINGS: dict[Any, Any] = {
    "font.size": 9,
    "axes.titlesize": 10,
    "figure.titlesize": 11,
    "axes.labelsize": 9,
    "axes.edgecolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "svg.hashsalt": "radiofix",
}

Array = NDArray[np.float64]


@contextmanager
def house_style() -> Iterator[None]:
    """Sets matplotlib's defaults for what is drawn or saved within, and puts them back."""
    with matplotlib.rc_context(SETTINGS):
        yield


def new_figure(width: float, height: float, compressed: bool = False) -> Figure:
    """An empty figure [inch] that belongs to no window and no global state.

    `compressed` takes out the empty space that axes of a fixed shape leave.
    """
    figure = Figure(figsize=(width, height), layout="compressed" if compressed else "constrained")
    FigureCanvasAgg(figure)
    return figure


def from_above(axes: Axes) -> None:
    """Labels axes as the plane seen from above, one metre as long in x as in y."""
    axes.set_aspect("equal")
    axes.set_xlabel("x, east [m]")
    axes.set_ylabel("y, north [m]")


def draw_buildings(axes: Axes, outlines: list[Polygon]) -> None:
    """Fills footprints [m]; their courts stay open."""
    shapes = []
    for outline in outlines:
        rings = [outline.exterior, *outline.interiors]
        shapes.append(Path2D.make_compound_path(*(Path2D(r.coords, closed=True) for r in rings)))
    axes.add_collection(
        PathCollection(shapes, facecolor=WALL, edgecolor=GREY, linewidth=0.4, zorder=0)
    )


def footprints(vertices: Array, faces: NDArray[np.integer]) -> list[Polygon]:
    """What a mesh (vertex, 3) covers of the plane [m]."""
    corners = np.asarray(vertices, dtype=np.float64)[np.asarray(faces), :2]
    ab, ac = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = np.abs(ab[:, 0] * ac[:, 1] - ab[:, 1] * ac[:, 0]) / 2
    flat = corners[area > 1e-6]
    if not len(flat):
        return []
    # Snapping to a millimetre closes the cracks between triangles that share an edge.
    covered = shapely.union_all(shapely.polygons(flat), grid_size=1e-3)
    parts = shapely.get_parts(covered)
    # Each part is wound for drawing: the outline one way, its courts the other.
    return [orient(part) for part in parts if isinstance(part, Polygon)]


def draw_stations(
    axes: Axes, position: Array, yaw: Array, names: list[str], arrow: float
) -> PathCollection:
    """Marks stations (station, 3) [m] with their names and an arrow [m] the way they look."""
    away = arrow * np.stack([np.cos(yaw), np.sin(yaw)], axis=-1)
    axes.quiver(
        *position[:, :2].T, *away.T, angles="xy", scale_units="xy", scale=1, width=0.003,
        color=INK, zorder=4,
    )  # fmt: skip
    for place, name, ahead in zip(position, names, away, strict=True):
        # Behind the station and clear of its mark, however long the name.
        behind = -ahead / max(float(np.linalg.norm(ahead)), 1e-9)
        sideways = abs(behind[0]) > abs(behind[1])
        axes.annotate(
            name, place[:2], xytext=tuple(7 * behind), textcoords="offset points",
            ha=("left" if behind[0] > 0 else "right") if sideways else "center",
            va="center" if sideways else ("bottom" if behind[1] > 0 else "top"),
            fontsize=8, color=INK, zorder=6, bbox={"boxstyle": "round,pad=0.1",
            "facecolor": "white", "alpha": 0.75, "linewidth": 0},
        )  # fmt: skip
    return axes.scatter(
        position[:, 0], position[:, 1], marker="^", s=46, color=INK, edgecolor="white",
        linewidth=0.6, zorder=7, label="station",
    )  # fmt: skip


def save(figure: Figure, path: str | Path) -> Path:
    """Writes a figure as .png (200 dpi) or .svg by its suffix, whole or not at all."""
    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise ValueError(f"{path.name} is no picture's name: end it in {' or '.join(SUFFIXES)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    # A date in the file would make the same picture differ from day to day.
    metadata = {"Date": None} if path.suffix == ".svg" else {}
    with house_style(), whole_file(path) as file:
        figure.savefig(file, format=path.suffix[1:], dpi=DPI, metadata=metadata)
    return path
