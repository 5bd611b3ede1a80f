"""One link: the ways that its signal takes, and the channel in which they are hidden."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.image import imsave
from numpy.typing import NDArray

from radiofix.demo.contest import Contest
from radiofix.demo.svg import View, dots, drawing, group, line, segments, triangle, words
from radiofix.pictures.link_view import meeting_points
from radiofix.pictures.scene_view import building_outlines
from radiofix.pictures.style import SCALE
from radiofix.types import SPEED_OF_LIGHT, Paths

Floats = NDArray[np.float64]

NEAR, FAR = 40.0, 110.0
"""How far from its station the phone is [m]: its ways can be told apart on paper."""
WIDTH = 400.0


@dataclass(frozen=True)
class Example:
    """A phone and the station that hears it, of which the page tells."""

    user: int
    """Place among the phones to be found."""
    link: int
    """Place among their links."""
    paths: Paths
    """One link."""

    @property
    def distance(self) -> float:
        """From phone to station [m]."""
        return float((self.paths.user_position - self.paths.station_position).norm())

    @property
    def lengths(self) -> Floats:
        """Of each path [m]."""
        there = self.paths.present[0]
        lengths: Floats = SPEED_OF_LIGHT * self.paths.delay[0][there].double().numpy()
        return lengths

    @property
    def levels(self) -> Floats:
        """Of each path below the strongest [dB]."""
        size = self.paths.gain[0][self.paths.present[0]].abs().double().numpy()
        levels: Floats = 20 * np.log10(size / size.max())
        return levels


def example(contest: Contest) -> Example:
    """The phone, not too near and not too far, whose error is nearest to the median."""
    links, error = contest.links, contest.error(contest.entries[0])
    sounding = links.sounding
    away = (torch.from_numpy(links.position) - sounding.station_position).norm(dim=1).numpy()
    distance = np.abs(error - np.median(error))[links.row]
    distance = np.where((away >= NEAR) & (away <= FAR), distance, np.inf)
    link = int(distance.argmin())
    station = int(links.station[link])
    user = int(links.row[link])
    return Example(user, link, contest.store.links([int(links.users[user])], station))


def ways(contest: Contest, shown: Example) -> str:
    """The paths from above: those of one bounce through the place where their two ends meet."""
    paths = shown.paths
    start, end = paths.station_position[0].numpy(), paths.user_position[0].numpy()
    users = contest.store.dataset["user_position"].values
    along = sorted((start[1], end[1]))
    low = (users[:, 0].min() - 14, along[0] - 14.0)
    high = (users[:, 0].max() + 14, along[1] + 14.0)
    view = View(low, high, WIDTH / (high[1] - low[1]), lying=True)
    shapes = [
        line(view(np.asarray(o.exterior.coords)), "building", closed=True)
        for o in building_outlines(contest.store.map)
    ]
    meeting = meeting_points(paths)
    bounces = paths.interactions[0].tolist()
    drawn = 0
    for number, place in zip(bounces, meeting, strict=True):
        if number == 1 and np.isfinite(place).all():
            shapes.append(line(view(np.stack([start, place, end])), "bounce"))
            drawn += 1
    if 0 in bounces:
        shapes.append(segments(view(start)[None], view(end)[None], "direct"))
    shapes.append(group([triangle(view(start), 7.0)], "mast", "base station"))
    shapes.append(dots(view(end)[None], "true", 4.0))
    text = view(end)
    shapes.append(words((text[0], text[1] - 8), "phone", anchor="middle"))
    text = view(start)
    shapes.append(words((text[0], text[1] - 9), "station", anchor="middle"))
    height = view.size[1]
    bar = 20 * view.scale
    shapes.append(line(np.array([[10, height - 6.0], [10 + bar, height - 6.0]]), "bar"))
    shapes.append(words((16 + bar, height - 3), "20 m"))
    return drawing(view.size, "The ways of one signal from above", shapes, "chart")


def arrivals(shown: Example) -> str:
    """When each path comes in after the first, and how strong."""
    height, left, right, top, bottom = 190.0, 54.0, 12.0, 14.0, 40.0
    late = shown.lengths - shown.lengths.min()
    floor = -10 * np.ceil(max(20.0, -float(shown.levels.min())) / 10 + 0.3)
    most = max(5.0, 1.1 * float(late.max()))

    def place(metres: float, level: float) -> tuple[float, float]:
        across = left + metres / most * (WIDTH - left - right)
        return float(across), float(top + level / floor * (height - top - bottom))

    shapes = []
    for level in np.arange(0, floor - 1, -20):
        y = place(0, level)[1]
        shapes.append(line(np.array([[left, y], [WIDTH - right, y]]), "grid"))
        sign = "\N{MINUS SIGN}" if level else ""
        shapes.append(words((left - 6, y + 4), f"{sign}{abs(level):g} dB", anchor="end"))
    step = next(s for s in (1, 2, 5, 10, 20, 50, 100, 200, 500) if most / s <= 6)
    for metres in np.arange(0, most, step):
        x, y = place(metres, floor)
        shapes.append(words((x, y + 16), f"{metres:g}", anchor="middle"))
    shapes.append(line(np.array([place(0, floor), place(most, floor)]), "axis"))
    shapes.append(words((left, height - 6), "metres travelled more than the first to arrive"))
    for metres, level in zip(late, shown.levels, strict=True):
        ends = np.array([place(metres, floor), place(metres, level)])
        shapes.append(line(ends, "stem"))
        shapes.append(dots(ends[1:], "stem-end", 3.5))
    return drawing((WIDTH, height), "Arrival of each path", shapes, "chart")


def heard(contest: Contest, shown: Example) -> str:
    """What the station hears, antenna by antenna and frequency by frequency."""
    csi = contest.links.sounding.csi[shown.link]
    level = 20 * torch.log10(csi.abs().double().clamp_min(1e-300)).numpy()
    picture = io.BytesIO()
    # A single deep fade would take the contrast from all the rest.
    low, top = np.quantile(level, [0.01, 1.0])
    imsave(picture, level, format="png", cmap=SCALE, origin="lower", vmin=low, vmax=top)
    code = base64.b64encode(picture.getvalue()).decode()
    height, left, top_edge, bottom = 190.0, 30.0, 6.0, 30.0
    wide, tall = WIDTH - left - 8, height - top_edge - bottom
    shapes = [
        f'<image x="{left:g}" y="{top_edge:g}" width="{wide:g}" height="{tall:g}" '
        f'preserveAspectRatio="none" href="data:image/png;base64,{code}"/>',
        words((left + wide / 2, height - 8), f"{csi.shape[1]} frequencies", anchor="middle"),
        f'<text transform="translate(18 {top_edge + tall / 2:g}) rotate(-90)" '
        f'text-anchor="middle">{csi.shape[0]} antennas</text>',
    ]
    return drawing((WIDTH, height), "The channel as the station hears it", shapes, "chart heard")
