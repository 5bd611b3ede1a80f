"""A scene from above: buildings, stations, and users coloured by what they receive."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import shapely
import torch
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PathCollection
from matplotlib.colors import BoundaryNorm, LogNorm, Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray
from shapely.geometry import Polygon

from radiofix.data.schema import SPLIT_CODES
from radiofix.data.store import Map, PathStore, reading
from radiofix.physics.bounds import of_users
from radiofix.physics.channel import Channel
from radiofix.pictures import style
from radiofix.scenes.scene import Mesh
from radiofix.types import Station

Array = NDArray[np.float64]

BLOCK_USERS = 16_384
BOUND_USERS = 1_024
"""Whose bounds are worked out at a time."""
NOWHERE = 1e4
"""Bounds above tell of nothing: no direct path, or none that can be told from others [m]."""
BOUND_LABEL = "least RMS error of x and y [m]"
BOUNDS = {"bound": "all paths at once", "bound:direct": "the direct path alone"}
SIGHT = (
    ("line of sight", style.BLUE),
    ("no line of sight", style.VERMILION),
    ("no path", style.PALE),
)
SPLIT = (
    ("unused", style.PALE),
    ("train", style.BLUE),
    ("validation", style.GREEN),
    ("test", style.VERMILION),
)


def scene_picture(
    scene: Map | Sequence[Mesh] | None,
    stations: Sequence[Station] = (),
    users: Array | None = None,
    *,
    colour_by: str | None = None,
    station: int | None = None,
    store: PathStore | None = None,
    channel: Channel | None = None,
    title: str = "",
) -> Figure:
    """Draws a scene from above, its users (user, 3) [m] coloured by what the store says of them.

    `colour_by` is "los", "power", "paths", "split:NAME", "bound" or "bound:direct"; `station` is a
    column of the store, and without it the users are coloured by all stations together: the line
    of sight to any, the strongest one's power, the paths of all. What is not given is taken from
    the store. A bound is the least error that a `channel` with noise allows, of all paths at once
    or of the direct path as if no other were there.
    """
    if store is not None:
        with reading(store.path):
            stations = stations or store.stations
            users = users if users is not None else store.dataset["user_position"].values
        _expect_column(store, station)
    if colour_by is not None and store is None:
        raise ValueError(f"colour_by={colour_by!r} needs a store: give store=, or None as colour")
    rows = 0 if users is None else len(users)
    if store is not None and colour_by is not None and rows != store.users:
        raise ValueError(f"users has {rows} rows, the store {store.users}: colour the store's own")
    outlines = building_outlines(scene)
    places = [shapely.get_coordinates(outline) for outline in outlines]
    places += [s.position[None, :2].numpy() for s in stations]
    places += [_known(users)[:, :2]] if users is not None and len(users) else []
    if not sum(map(len, places)):
        raise ValueError("there is nothing to draw: no building, no station, no user")
    corners = np.concatenate(places)
    low, high = corners.min(0), corners.max(0)
    with style.house_style():
        levels = colour_by in ("power", "paths", *BOUNDS)
        figure = style.new_figure(*_size(high - low, 1.1 if levels else 0.0), compressed=True)
        axes = figure.add_subplot()
        style.from_above(axes)
        style.draw_buildings(axes, outlines)
        if users is not None and len(users):
            _draw_users(axes, users, colour_by, station, store, channel)
        if stations:
            position = torch.stack([s.position for s in stations]).numpy()
            yaw = torch.stack([s.orientation[0] for s in stations]).numpy()
            names = [s.name for s in stations]
            style.draw_stations(axes, position, yaw, names, 0.03 * float(max(high - low)))
        margin = 0.03 * float(max(*(high - low), 1.0))
        axes.set_xlim(low[0] - margin, high[0] + margin)
        axes.set_ylim(low[1] - margin, high[1] + margin)
        figure.suptitle(title or _title(colour_by, station, store), x=0.01, ha="left")
        # Below the axes, so that no user is hidden behind it.
        if axes.get_legend_handles_labels()[0]:
            columns = 2 if figure.get_figwidth() < 6 else 5
            legend = figure.legend(loc="outside lower center", ncols=columns)
            for handle in legend.legend_handles:
                if isinstance(handle, PathCollection):
                    handle.set_sizes([28])
    return figure


def building_outlines(scene: Map | Sequence[Mesh] | None) -> list[Polygon]:
    """The footprints of a scene's buildings."""
    if scene is None:
        return []
    if isinstance(scene, Map):
        solids = [
            (scene.vertices, scene.faces[scene.face_building == number])
            for number in np.unique(scene.face_building[scene.face_building >= 0])
        ]
    else:
        solids = [(mesh.vertices, mesh.faces) for mesh in scene if mesh.building]
    return [footprint for solid in solids for footprint in style.footprints(*solid)]


def _size(extent: Array, bar: float) -> tuple[float, float]:
    """Width and height [inch] that fit the scene's shape, and a colour bar, within a page."""
    width, height = np.maximum(extent, 1e-3)
    scale = min(6.0 / width, 6.5 / height)
    return max(4.5, width * scale + 1.4) + bar, max(3.0, height * scale + 1.5)


def _draw_users(
    axes: Axes,
    users: Array,
    colour_by: str | None,
    station: int | None,
    store: PathStore | None,
    channel: Channel | None,
) -> None:
    area = float(np.clip(50_000 / len(users), 0.5, 14.0))
    if colour_by is None or store is None:
        known = _known(users)
        _points(axes, known, area, style.BLUE, f"user ({len(known):,})")
    elif colour_by.startswith("split:"):
        name = colour_by.removeprefix("split:")
        with reading(store.path):
            parts = {part: store.split(name, part) for part in SPLIT_CODES}
        _draw_classes(axes, users, area, SPLIT, parts)
    elif colour_by == "los":
        seen = _by_user(store, station, ("interactions",), _sight)
        members = {name: seen[:, i] == 1 for i, (name, _) in enumerate(SIGHT)}
        _draw_classes(axes, users, area, SIGHT, members)
    elif colour_by == "power":
        power = _by_user(store, station, ("gain",), _power)
        with np.errstate(divide="ignore"):
            level = 10 * np.log10(power)
        _draw_levels(axes, users, area, level, "received power, isotropic [dB]")
    elif colour_by == "paths":
        count = _by_user(store, station, ("interactions",), _count)
        _draw_levels(axes, users, area, np.where(count > 0, count, -np.inf), "paths")
    elif colour_by in BOUNDS:
        if channel is None:
            raise ValueError(f"colour_by={colour_by!r} needs a channel with noise: give channel=")
        least = _bounds(store, station, channel, colour_by == "bound:direct")
        _draw_levels(axes, users, area, least, BOUND_LABEL, "beyond 10 km, or no direct path")
    else:
        known_colours = "los, power, paths, split:NAME, bound, bound:direct"
        raise ValueError(f"colour_by={colour_by!r} is not one of {known_colours}")


def _bounds(store: PathStore, station: int | None, channel: Channel, alone: bool) -> Array:
    """Least RMS error of each user's position [m]; infinite where nothing tells of it."""
    if store.measured:
        raise ValueError(f"{store.path} holds measured CSI, no paths: it has no bound")
    least = np.full(store.users, np.inf)
    for start in range(0, store.users, BOUND_USERS):
        rows = range(start, min(start + BOUND_USERS, store.users))
        paths = store.links(users=list(rows), station=station)
        paths = paths[paths.line_of_sight]
        if len(paths):
            users, found = of_users(paths, channel, alone)
            least[users.numpy()] = found.numpy()
    return np.where(least < NOWHERE, least, np.inf)


def _known(users: Array) -> Array:
    """Those users (user, 3) that have a position: measured ones may lack it."""
    return users[np.isfinite(users).all(1)]


def _sight(interactions: NDArray[np.int8]) -> Array:
    """(user, 3): sees a station; has paths only; has none."""
    sees, any_path = (interactions == 0).any((1, 2)), (interactions >= 0).any((1, 2))
    return np.stack([sees, any_path & ~sees, ~any_path], axis=-1).astype(np.float64)


def _power(gain: NDArray[np.complex64]) -> Array:
    total = (np.abs(gain.astype(np.complex128)) ** 2).sum(-1)
    return np.asarray(total.max(1))


def _count(interactions: NDArray[np.int8]) -> Array:
    return np.asarray((interactions >= 0).sum((1, 2)), dtype=np.float64)


def _by_user(
    store: PathStore, station: int | None, names: tuple[str, ...], of: Callable[..., Array]
) -> Array:
    """A number (or a few) a user, read in blocks so that memory stays bounded."""
    if store.measured:
        raise ValueError(f"{store.path} holds measured CSI, no paths: colour by split:NAME or not")
    columns = slice(None) if station is None else slice(station, station + 1)
    blocks = []
    for start in range(0, store.users, BLOCK_USERS):
        part = store.dataset[list(names)].isel(
            user=slice(start, start + BLOCK_USERS), station=columns
        )
        with reading(store.path):
            values = [part[name].values for name in names]
        blocks.append(of(*values))
    return np.concatenate(blocks)


def _draw_classes(
    axes: Axes,
    users: Array,
    area: float,
    classes: Sequence[tuple[str, str]],
    members: Mapping[str, NDArray[Any]],
) -> None:
    """Draws one class after the other; members are masks or rows of the users."""
    for name, colour in classes:
        chosen = _known(users[members[name]])
        if len(chosen):
            _points(axes, chosen, area, colour, f"{name} ({len(chosen):,})")


def _draw_levels(
    axes: Axes, users: Array, area: float, level: Array, label: str, bare: str = "no path"
) -> None:
    """Colours users by a quantity; where it is not finite, the user is a bare one."""
    there = np.isfinite(level)
    if not there.all():
        without = users[~there]
        _points(axes, without, area, style.PALE, f"{bare} ({len(without):,})")
    if not there.any():
        return
    low, high = float(level[there].min()), float(level[there].max())
    norm: Normalize = LogNorm(low, high) if label == BOUND_LABEL else Normalize(low, high)
    if label == "paths":
        count = int(high - low) + 1
        norm = BoundaryNorm(np.arange(low - 0.5, high + 1), max(count, 256))
    mappable = ScalarMappable(norm, style.SCALE)
    _points(axes, users[there], area, mappable.to_rgba(level[there]), None)
    figure = axes.get_figure()
    assert figure is not None
    bar = figure.colorbar(mappable, ax=axes, label=label, shrink=0.8, aspect=30)
    bar.outline.set_linewidth(0.5)
    if label == "paths" and high - low < 12:
        bar.set_ticks(list(np.arange(low, high + 1)))
        bar.set_ticklabels([f"{n:.0f}" for n in np.arange(low, high + 1)])


def _points(
    axes: Axes, users: Array, area: float, colour: str | NDArray[np.float64], label: str | None
) -> None:
    # Half a million marks as vectors would make an SVG that nobody can open.
    axes.scatter(
        users[:, 0], users[:, 1], s=area, color=colour, linewidth=0, zorder=2, label=label,
        rasterized=len(users) > 5000,
    )  # fmt: skip


def _title(colour_by: str | None, station: int | None, store: PathStore | None) -> str:
    scenario = str(store.attributes.get("scenario", store.path.stem)) if store else "scene"
    if colour_by is None or store is None:
        return scenario
    if colour_by.startswith("split:"):
        return f"{scenario}: split {colour_by.removeprefix('split:')}"
    if colour_by in BOUNDS:
        heard = "all stations" if station is None else f"station {store.stations[station].name}"
        return f"{scenario}: bound of {BOUNDS[colour_by]}, {heard}"
    what = {"los": "line of sight", "power": "received power", "paths": "number of paths"}
    one = f"station {store.stations[station].name}" if station is not None else None
    every = {"los": "any station", "power": "the strongest station", "paths": "all stations"}
    return f"{scenario}: {what[colour_by]}, {one or every[colour_by]}"


def _expect_column(store: PathStore, station: int | None) -> None:
    count = store.dataset.sizes["station"]
    if station is not None and not 0 <= station < count:
        raise ValueError(f"station={station} is no column of the store: give 0 to {count - 1}")
