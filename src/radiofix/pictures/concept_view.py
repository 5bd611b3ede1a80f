"""What the words mean: paths, CSI, tokens, masks, witnesses and prompts, drawn of one street.

Nothing is sketched that can be computed: the street has two walls, its paths are mirror images, its
CSI is what `Channel` makes of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle
from numpy.typing import NDArray

from radiofix.physics.arrays import ula
from radiofix.physics.channel import Channel
from radiofix.physics.ofdm import srs_pilots
from radiofix.pictures import style
from radiofix.types import SPEED_OF_LIGHT, Paths

Array = NDArray[np.float64]

LENGTH, WIDTH = 100.0, 20.0
"""Of the street, its walls at y = 0 and y = `WIDTH` [m]."""
STATION, USER = np.array([6.0, 4.0]), np.array([72.0, 14.0])
CARRIER = 3.5e9
LOSS = 0.6
"""Of amplitude at a wall."""
NAMES = ("straight", "off the north wall", "off the south wall", "off both")
COLOURS = (style.BLUE, style.VERMILION, style.ORANGE, style.GREEN)
BANDWIDTH, ANTENNAS, SUBCARRIERS = 50e6, 32, 128
PATCH = (8, 16)
STATIONS = np.array([[6.0, 4.0], [94.0, 4.0], [34.0, 18.0], [60.0, 2.0]])
"""Of the picture of witnesses [m]."""


@dataclass(frozen=True, slots=True)
class Way:
    """One path: the points it touches, from the station to the user."""

    points: Array
    """(point, 2) [m]."""
    bounces: int

    @property
    def length(self) -> float:
        """[m]."""
        return float(np.linalg.norm(np.diff(self.points, axis=0), axis=1).sum())

    @property
    def azimuth(self) -> float:
        """Under which the station sees it [rad]."""
        away = self.points[1] - self.points[0]
        return math.atan2(away[1], away[0])

    @property
    def gain(self) -> complex:
        """With isotropic elements, carrier phase included."""
        wavelength = SPEED_OF_LIGHT / CARRIER
        size = (-LOSS) ** self.bounces * wavelength / (4 * math.pi * self.length)
        turn = -2 * math.pi * self.length / wavelength
        return size * complex(math.cos(turn), math.sin(turn))


def ways(station: Array = STATION, user: Array = USER) -> list[Way]:
    """The four shortest ways of a street of two walls, by mirror images, as `NAMES` has them."""
    north, south = _mirrored(user, WIDTH), _mirrored(user, 0.0)
    both = _mirrored(north, 0.0)
    first = _crossing(station, both, 0.0)
    return [
        Way(np.stack([station, user]), 0),
        Way(np.stack([station, _crossing(station, north, WIDTH), user]), 1),
        Way(np.stack([station, _crossing(station, south, 0.0), user]), 1),
        Way(np.stack([station, first, _crossing(first, north, WIDTH), user]), 2),
    ]


def street_paths() -> Paths:
    """The same four ways as `Paths` of one link; the station's array looks up the street."""
    found = ways()
    row = torch.tensor
    flat = torch.full((1, len(found)), math.pi / 2)
    return Paths(
        gain=row([[w.gain for w in found]], dtype=torch.complex64),
        delay=row([[w.length / SPEED_OF_LIGHT for w in found]], dtype=torch.float64),
        station_azimuth=row([[w.azimuth for w in found]]),
        station_zenith=flat,
        user_azimuth=torch.zeros_like(flat),
        user_zenith=flat,
        interactions=row([[w.bounces for w in found]], dtype=torch.int8),
        diffracted=torch.zeros(1, len(found), dtype=torch.bool),
        user_position=row([[*USER, 1.5]], dtype=torch.float64),
        station_position=row([[*STATION, 1.5]], dtype=torch.float64),
        station_orientation=torch.zeros(1, 3, dtype=torch.float64),
        carrier_frequency=row([CARRIER], dtype=torch.float64),
        user=row([0]),
        station=row([0]),
    )


def paths_picture() -> Figure:
    """The street from above with its four paths, and when each of them arrives."""
    with style.house_style():
        figure = style.new_figure(9.0, 2.9)
        above, late = figure.subplots(1, 2, width_ratios=(3, 1.3))
        _street(above)
        for way, name, colour in zip(ways(), NAMES, COLOURS, strict=True):
            above.plot(*way.points.T, color=colour, linewidth=1.3, label=name)
            delay = 1e9 * way.length / SPEED_OF_LIGHT
            late.vlines(delay, -130, 20 * math.log10(abs(way.gain)), color=colour, linewidth=2)
        _marks(above)
        above.legend(loc="upper center", ncols=4, bbox_to_anchor=(0.5, -0.3))
        above.set_title("a link: every way from a station to a user is a path", loc="left")
        late.set_ylim(-92, -76)
        late.set_xlabel("delay [ns]")
        late.set_ylabel("power [dB]")
        late.set_title("what is stored of it", loc="left")
    return figure


def csi_picture() -> Figure:
    """The waves of the paths over frequency, their sum at all antennas, and where its power is."""
    channel, paths = _channel(), street_paths()
    whole = channel.synthesize(paths)[0].numpy()
    each = [channel.synthesize(_alone(paths, p))[0, 0].numpy() for p in range(len(NAMES))]
    offset = _offsets()
    scale = float(np.abs(whole).max())
    with style.house_style():
        figure = style.new_figure(9.0, 2.9)
        waves, image, profile = figure.subplots(1, 3)
        for wave, name, colour in zip(each, NAMES, COLOURS, strict=True):
            waves.plot(offset, wave.real / scale, color=colour, linewidth=0.9, label=name)
        waves.plot(offset, whole[0].real / scale, color=style.INK, linewidth=1.8, label="sum")
        waves.set_title("one antenna: waves add up", loc="left")
        waves.set_xlabel("from the carrier [MHz]")
        waves.set_ylabel("Re H")
        _grid(image, 20 * np.log10(np.abs(whole) / scale), "all antennas: the CSI, |H|")
        _draw_profile(profile, whole)
    return figure


def tokens_picture() -> Figure:
    """CSI cut into patches, one of them in large, and the sequence that a network reads."""
    whole = _channel().synthesize(street_paths())[0].numpy()
    with style.house_style():
        figure = style.new_figure(9.0, 3.2)
        image, row = figure.subplots(1, 2, width_ratios=(1.2, 2.2))
        _grid(image, np.abs(whole), "CSI in patches of 8 x 16")
        edges = _offsets()[:: PATCH[1]] - _half()
        for edge in edges[1:]:
            image.axvline(edge, color="white", linewidth=0.8)
        for antenna in range(PATCH[0], ANTENNAS, PATCH[0]):
            image.axhline(antenna - 0.5, color="white", linewidth=0.8)
        corner = (edges[2], PATCH[0] - 0.5)
        size = (edges[1] - edges[0], PATCH[0])
        image.add_patch(Rectangle(corner, *size, fill=False, edgecolor=style.VERMILION, lw=2))
        _blank(row, (0, 12), (1.2, 5.8))
        names = ["summary", "1, 1", "1, 2", "2, 3", "4, 8"]
        told = {"summary": style.BLUE, "2, 3": style.VERMILION}
        for place, name in zip((0.2, 2.6, 4.4, 6.9, 9.4), names, strict=True):
            _box(row, (place, 3.2), name, told.get(name, style.GREY), 2.2 if place < 1 else 1.6)
        for place in (6.45, 8.95):
            row.text(place, 3.7, "...", ha="center")
        _note(
            row, (0.2, 2.9), "received power,\nway and direction of the\nstrongest wave, bandwidth"
        )
        _note(
            row,
            (5.3, 2.9),
            "real part, imaginary part, whether observed;\n"
            "and where the patch lies: wavelengths from the\n"
            "array's middle, hertz from the carrier",
        )
        row.annotate(
            "", (11.4, 4.9), (0.2, 4.9), arrowprops={"arrowstyle": "-", "color": style.INK}
        )
        row.text(5.8, 5.1, "transformer: every token looks at every other", ha="center")
        row.set_title("the sequence: one token a patch, one for the whole", loc="left")
    return figure


def masks_picture() -> Figure:
    """The same CSI whole, at a comb of pilots, and with antennas and subcarriers hidden."""
    paths = street_paths()
    whole = np.abs(_channel().synthesize(paths)[0].numpy())
    comb = np.abs(_channel(comb=True).synthesize(paths)[0].numpy())
    generator = np.random.default_rng(3)
    hidden = np.zeros_like(whole, dtype=bool)
    hidden[generator.permutation(ANTENNAS)[: ANTENNAS // 2]] = True
    hidden[:, generator.permutation(SUBCARRIERS)[: SUBCARRIERS // 2]] = True
    titles = ("whole", "pilots on every 8th subcarrier", "half of both hidden, for training")
    grids = (whole, np.ma.masked_equal(comb, 0), np.ma.masked_where(hidden, whole))
    with style.house_style():
        figure = style.new_figure(9.0, 2.7)
        for axes, grid, title in zip(figure.subplots(1, 3), grids, titles, strict=True):
            _grid(axes, grid, title)
    return figure


def witnesses_picture() -> Figure:
    """Four stations that measure a range each, and what one of them alone is taught by it."""
    with style.house_style():
        figure = style.new_figure(9.0, 2.1)
        together, alone = figure.subplots(1, 2)
        for axes in (together, alone):
            _street(axes)
        for place, colour in zip(STATIONS, COLOURS, strict=True):
            reach = float(np.linalg.norm(USER - place))
            together.add_patch(Circle(tuple(place), reach, fill=False, edgecolor=colour, lw=1.2))
            together.plot(*place, marker="^", color=colour, markersize=9, markeredgecolor="white")
        together.plot(*USER, marker="o", color=style.INK, markersize=6)
        together.set_title("four ranges meet in one place: no label", loc="left")
        for way in ways():
            alone.plot(*way.points.T, color=style.PALE, linewidth=1)
        alone.plot(*STATION, marker="^", color=style.BLUE, markersize=9, markeredgecolor="white")
        alone.add_patch(Circle(tuple(USER), 3.0, fill=False, edgecolor=style.VERMILION, lw=1.6))
        alone.plot(*USER, marker="o", color=style.INK, markersize=5)
        alone.annotate("this place", (USER[0], USER[1]), (7, 9), textcoords="offset points")
        alone.annotate(
            "such a channel", (STATION[0], STATION[1]), (-4, 26), textcoords="offset points"
        )
        alone.set_title("what one station learns: such a channel, this place", loc="left")
    return figure


def prompts_picture() -> Figure:
    """A map's walls as tokens of their own beside those of the channel."""
    with style.house_style():
        figure = style.new_figure(9.0, 2.9)
        above, row = figure.subplots(1, 2, width_ratios=(1.3, 1))
        _street(above)
        walls = [((0, 0), (100, 0)), ((0, WIDTH), (100, WIDTH)), ((100, 0), (100, WIDTH))]
        for number, (start, end) in enumerate(walls, 1):
            colour = COLOURS[number]
            above.plot(*zip(start, end, strict=True), color=colour, linewidth=3)
            above.text(
                *((30, 1.6), (30, WIDTH - 1.6), (97.5, WIDTH / 2))[number - 1], f"wall {number}",
                color=colour, ha="right" if number == 3 else "center", va="center",
            )  # fmt: skip
        for way in ways()[:2]:
            above.plot(*way.points.T, color=style.GREY, linewidth=1)
        _marks(above)
        above.set_title("what the map knows of the scene", loc="left")
        _blank(row, (0, 10), (0, 6))
        for number in (1, 2, 3):
            _box(row, (0.3 + 3.1 * (number - 1), 4.2), f"wall {number}", COLOURS[number], 2.6)
        for place, name in zip((0.3, 3.4, 6.5), ("summary", "1, 1", "1, 2"), strict=True):
            _box(row, (place, 1.0), name, style.BLUE if name == "summary" else style.GREY, 2.6)
        row.text(9.5, 1.5, "...", ha="center")
        for below in (1.6, 4.7, 7.8):
            for over in (1.6, 4.7, 7.8):
                row.plot((below, over), (2.1, 4.2), color=style.PALE, linewidth=1, zorder=0)
        row.set_title("prompt tokens, looked at by the channel's", loc="left")
    return figure


PICTURES: dict[str, Callable[[], Figure]] = {
    "paths": paths_picture,
    "csi": csi_picture,
    "tokens": tokens_picture,
    "masks": masks_picture,
    "witnesses": witnesses_picture,
    "prompts": prompts_picture,
}


def draw_concepts(folder: Path) -> list[Path]:
    """Writes all of them into a folder, as concept-NAME.svg."""
    return [style.save(make(), folder / f"concept-{name}.svg") for name, make in PICTURES.items()]


def _channel(comb: bool = False) -> Channel:
    array = ula(ANTENNAS)
    if comb:
        return Channel(BANDWIDTH, SUBCARRIERS, array, pilots=srs_pilots(8))
    return Channel(BANDWIDTH, SUBCARRIERS, array)


def _alone(paths: Paths, one: int) -> Paths:
    """The link as if it had one of its paths only."""
    gain = torch.zeros_like(paths.gain)
    gain[:, one] = paths.gain[:, one]
    fields = {name: getattr(paths, name) for name in Paths.__slots__}
    return Paths(**{**fields, "gain": gain})


def _mirrored(point: Array, wall: float) -> Array:
    return np.array([point[0], 2 * wall - point[1]])


def _crossing(start: Array, end: Array, wall: float) -> Array:
    share = (wall - start[1]) / (end[1] - start[1])
    return np.asarray(start + share * (end - start))


def _offsets() -> Array:
    """Of each subcarrier from the carrier [MHz]."""
    return (np.arange(SUBCARRIERS) - SUBCARRIERS // 2) * BANDWIDTH / SUBCARRIERS / 1e6


def _half() -> float:
    return BANDWIDTH / SUBCARRIERS / 2e6


def _street(axes: Axes) -> None:
    for low in (-4.0, WIDTH):
        wall = Rectangle((0, low), LENGTH, 4, facecolor=style.WALL, edgecolor=style.GREY, lw=0.5)
        axes.add_patch(wall)
    axes.set_xlim(0, LENGTH)
    axes.set_ylim(-4, WIDTH + 4)
    axes.set_aspect("equal")
    axes.set_xlabel("[m]")


def _marks(axes: Axes) -> None:
    axes.plot(*STATION, marker="^", color=style.INK, markersize=9, markeredgecolor="white")
    axes.plot(*USER, marker="o", color=style.INK, markersize=6, markeredgecolor="white")
    axes.annotate(
        "station", (STATION[0], STATION[1]), (-4, 14), textcoords="offset points", ha="left"
    )
    axes.annotate("user", (USER[0], USER[1]), (7, -3), textcoords="offset points", ha="left")


def _grid(axes: Axes, values: Array, title: str) -> None:
    offset = _offsets()
    colours = _colours()
    axes.imshow(
        values, extent=(offset[0] - _half(), offset[-1] + _half(), -0.5, ANTENNAS - 0.5),
        aspect="auto", origin="lower", cmap=colours, interpolation="nearest",
    )  # fmt: skip
    axes.set_title(title, loc="left")
    axes.set_xlabel("from the carrier [MHz]")
    axes.set_ylabel("antenna")


def _colours() -> Colormap:
    """The house's colours, with grey where nothing was observed."""
    return colormaps[style.SCALE].with_extremes(bad=style.PALE)


def _draw_profile(axes: Axes, whole: NDArray[np.complex64]) -> None:
    """Delay against direction by zero-padded transforms, with rings where the paths are."""
    delays, beams = 4 * SUBCARRIERS, 4 * ANTENNAS
    power = np.abs(np.fft.fft(np.fft.ifft(whole, delays, axis=1), beams, axis=0))
    power = np.fft.fftshift(power, axes=0)
    step = 1e9 / BANDWIDTH * SUBCARRIERS / delays
    shown = int(500 / step)
    axes.imshow(
        20 * np.log10(power[:, :shown] / power.max()), extent=(0, shown * step, -1, 1),
        aspect="auto", origin="lower", cmap=style.SCALE, vmin=-30, vmax=0,
    )  # fmt: skip
    for way, colour in zip(ways(), COLOURS, strict=True):
        place = (1e9 * way.length / SPEED_OF_LIGHT, math.sin(way.azimuth))
        axes.plot(*place, marker="o", markersize=9, fillstyle="none", color=colour, mew=1.6)
    axes.set_title("its power over delay and angle", loc="left")
    axes.set_xlabel("delay [ns]")
    axes.set_ylabel("sin(angle off broadside)")


def _blank(axes: Axes, x: tuple[float, float], y: tuple[float, float]) -> None:
    axes.set_xlim(*x)
    axes.set_ylim(*y)
    axes.axis("off")


def _box(axes: Axes, corner: tuple[float, float], name: str, colour: str, width: float) -> None:
    axes.add_patch(
        Rectangle(corner, width, 1.1, facecolor=colour, edgecolor="white", alpha=0.9, lw=1)
    )
    x, y = corner[0] + width / 2, corner[1] + 0.55
    axes.text(x, y, name, color="white", ha="center", va="center", fontsize=8)


def _note(axes: Axes, place: tuple[float, float], text: str) -> None:
    axes.text(*place, text, va="top", fontsize=8)
