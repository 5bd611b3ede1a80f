"""One link: its paths from above and over delay, its CSI, and where the CSI puts its power."""

from __future__ import annotations

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from radiofix.data.store import PathStore
from radiofix.pictures import style
from radiofix.pictures.scene_view import building_outlines
from radiofix.types import SPEED_OF_LIGHT, Paths, Station

Array = NDArray[np.float64]

DYNAMIC_RANGE = 40.0
"""What the profile shows below its peak [dB]."""
KINDS = {
    "line of sight": style.BLUE,
    "one bounce": style.VERMILION,
    "more bounces": style.ORANGE,
    "diffracted": style.GREEN,
}


def link_picture(
    store: PathStore,
    user: int,
    station: int,
    csi: Tensor | None = None,
    *,
    bandwidth: float | None = None,
    spacing: float = 0.5,
) -> Figure:
    """Draws one link of a store: paths, delays and powers, |CSI| and its delay-angle profile.

    `csi` is complex (antenna, subcarrier) over `bandwidth` [Hz] from a ULA with `spacing` in
    wavelengths; a measured store has its own. Without CSI only the paths are drawn. A path off
    one surface is drawn through the point where its two ends meet, any other as two stubs of a
    fifth of its length, since a store has no vertices.
    """
    _expect_link(store, user, station)
    if store.measured:
        measured = store.csi([user], station)
        csi = measured.values[0] if csi is None else csi
        steps = measured.frequency
        bandwidth = bandwidth or float((steps[-1] - steps[0]) * len(steps) / (len(steps) - 1))
    if csi is not None:
        _expect_csi(csi, bandwidth, spacing)
    pose = store.stations[station]
    paths = None if store.measured else store.links([user], station)
    rows = (paths is not None) + (csi is not None)
    with style.house_style():
        figure = style.new_figure(9.0, 3.7 * rows)
        panels = figure.subplots(rows, 2, squeeze=False)
        if paths is not None:
            _draw_from_above(panels[0, 0], store, paths, pose)
            _draw_delays(panels[0, 1], paths)
        if csi is not None and bandwidth is not None:
            _draw_csi(panels[-1, 0], csi)
            _draw_profile(panels[-1, 1], csi, bandwidth, spacing, paths, pose)
        scenario = store.attributes.get("scenario", store.path.stem)
        figure.suptitle(f"{scenario}: user {user}, station {pose.name}", x=0.01, ha="left")
    return figure


def meeting_points(paths: Paths) -> Array:
    """Where the two ends of each single bounce meet: (path, 3) [m], NaN where they do not.

    The point of closest approach of the two rays in space, taken if it fits the delay.
    """
    start, end = paths.station_position[0].numpy(), paths.user_position[0].numpy()
    away = _direction(paths.station_azimuth[0], paths.station_zenith[0])
    back = _direction(paths.user_azimuth[0], paths.user_zenith[0])
    length = SPEED_OF_LIGHT * paths.delay[0].double().numpy()
    cosine = (away * back).sum(-1)
    between = end - start
    forth, aside = away @ between, back @ between
    with np.errstate(divide="ignore", invalid="ignore"):
        from_start = (forth - cosine * aside) / (1 - cosine**2)
        from_end = (cosine * forth - aside) / (1 - cosine**2)
    here, there = start + from_start[:, None] * away, end + from_end[:, None] * back
    tolerance = 0.5 + 0.02 * length
    good = (
        (paths.interactions[0].numpy() == 1)
        & (from_start > 0)
        & (from_end > 0)
        & (np.linalg.norm(here - there, axis=-1) < tolerance)
        & (np.abs(from_start + from_end - length) < tolerance)
    )
    return np.where(good[:, None], (here + there) / 2, np.nan)


def delay_angle_profile(csi: Tensor, spacing: float = 0.5) -> tuple[Array, Array]:
    """Power of CSI over direction and delay: (direction, delay) [dB], and the direction sines.

    The delays are those of an inverse DFT, n / bandwidth [s]; the sines rise from the first row.
    """
    antennas = csi.shape[0]
    power = torch.fft.ifft2(csi.to(torch.complex128), norm="ortho").abs() ** 2
    # The steering phase grows with the sine, so that the inverse DFT has it with its sign turned.
    cycles = -torch.fft.fftfreq(antennas, dtype=torch.float64)
    order = torch.argsort(cycles)
    level = 10 * torch.log10(power[order].clamp_min(torch.finfo(torch.float64).tiny))
    return level.numpy(), (cycles[order] / spacing).numpy()


def _draw_from_above(axes: Axes, store: PathStore, paths: Paths, pose: Station) -> None:
    start, end = pose.position.numpy(), paths.user_position[0].numpy()
    away = _direction(paths.station_azimuth[0], paths.station_zenith[0])
    back = _direction(paths.user_azimuth[0], paths.user_zenith[0])
    meeting = meeting_points(paths)
    level = _level(paths)
    drawn = [start, end]
    for i, kind in enumerate(_kinds(paths)):
        if kind is None:
            continue
        stub = SPEED_OF_LIGHT * float(paths.delay[0, i]) / 5
        if kind == "line of sight":
            lines, ends = [np.stack([start, end])], "-"
        elif np.isfinite(meeting[i]).all():
            lines, ends = [np.stack([start, meeting[i], end])], "-"
        else:
            lines = [np.stack([p, p + stub * u]) for p, u in ((start, away[i]), (end, back[i]))]
            ends = "--"
        # Thin lines lie on top: a ground bounce seen from above covers the line of sight.
        weight = float(np.clip(1 + (level[i] - level.max()) / 30, 0, 1))
        width = 3.4 if kind == "line of sight" else 0.7 + 0.9 * weight
        for line in lines:
            axes.plot(
                line[:, 0], line[:, 1], ends, color=KINDS[kind], linewidth=width,
                zorder=2 - 0.1 * width, solid_capstyle="round", gid=kind,
            )  # fmt: skip
            drawn += list(line)
    corners = np.stack(drawn)[:, :2]
    low, high = corners.min(0), corners.max(0)
    half = 0.62 * float(max(*(high - low), 10.0))
    middle = (low + high) / 2
    style.from_above(axes)
    style.draw_buildings(axes, building_outlines(store.map))
    axes.scatter(end[0], end[1], s=40, color=style.INK, edgecolor="white", zorder=8, label="user")
    yaw = pose.orientation[:1].numpy()
    style.draw_stations(axes, start[None], yaw, [pose.name], 0.15 * half)
    axes.set_xlim(middle[0] - half, middle[0] + half)
    axes.set_ylim(middle[1] - half, middle[1] + half)
    axes.set_title("paths from above (dashed: ends only)", loc="left")


def _draw_delays(axes: Axes, paths: Paths) -> None:
    level, delay = _level(paths), paths.delay[0].double().numpy() * 1e9
    kinds = _kinds(paths)
    there = np.isfinite(level)
    axes.set_xlabel("delay [ns]")
    axes.set_ylabel("path power, isotropic [dB]")
    axes.set_title("paths over delay", loc="left")
    if not there.any():
        axes.text(0.5, 0.5, "no path", transform=axes.transAxes, ha="center", color=style.GREY)
        axes.set_xticks([])
        axes.set_yticks([])
        return
    floor = 10 * np.floor(level[there].min() / 10 - 0.3)
    for kind, colour in KINDS.items():
        chosen = np.array([k == kind for k in kinds])
        if chosen.any():
            axes.vlines(delay[chosen], floor, level[chosen], color=colour, linewidth=1.2)
            axes.scatter(delay[chosen], level[chosen], s=24, color=colour, label=kind, zorder=3)
    axes.set_ylim(floor, level[there].max() + 0.08 * (level[there].max() - floor))
    span = max(float(np.ptp(delay[there])), 10.0)
    axes.set_xlim(delay[there].min() - 0.1 * span, delay[there].max() + 0.1 * span)
    _range_on_top(axes)
    axes.legend(loc="best")


def _draw_csi(axes: Axes, csi: Tensor) -> None:
    level = 20 * torch.log10(csi.abs().double().clamp_min(1e-300)).numpy()
    top = float(level.max())
    image = axes.imshow(
        level, aspect="auto", origin="lower", cmap=style.SCALE, vmax=top,
        vmin=max(float(level.min()), top - DYNAMIC_RANGE), interpolation="nearest",
    )  # fmt: skip
    axes.set_xlabel("subcarrier")
    axes.set_ylabel("antenna")
    axes.set_title("|CSI|", loc="left")
    figure = axes.get_figure()
    assert figure is not None
    figure.colorbar(image, ax=axes, label="|H| [dB]", aspect=30)


def _draw_profile(
    axes: Axes, csi: Tensor, bandwidth: float, spacing: float, paths: Paths | None, pose: Station
) -> None:
    level, sine = delay_angle_profile(csi, spacing)
    if len(sine) % 2 == 0:
        # The last direction aliases with its opposite: it is shown at both ends.
        level = np.concatenate([level[-1:], level])
        sine = np.concatenate([sine[-1:] - 1 / spacing, sine])
    delay = np.arange(level.shape[1]) / bandwidth * 1e9
    top = float(level.max())
    image = axes.pcolormesh(
        delay, sine, level, cmap=style.SCALE, vmin=top - DYNAMIC_RANGE, vmax=top,
        shading="nearest", rasterized=True,
    )  # fmt: skip
    shown = level.shape[1]
    if paths is not None and bool(paths.present.any()):
        late = paths.delay[0].double().numpy() * 1e9
        turn = paths.station_azimuth[0].double() - pose.orientation[0]
        across = (torch.sin(paths.station_zenith[0].double()) * torch.sin(turn)).numpy()
        there = paths.present[0].numpy()
        axes.scatter(
            late[there], across[there], marker="o", s=34, facecolor="none", edgecolor="white",
            linewidth=1.0, label="paths",
        )  # fmt: skip
        # All delays would leave the paths of a wide band in the first few columns.
        shown = min(shown, max(16, int(1.5 * late.max() * 1e-9 * bandwidth) + 4))
    bin_width = 1e9 / bandwidth
    axes.set_xlim(-bin_width / 2, (shown - 0.5) * bin_width)
    edge = 1 / (2 * spacing * csi.shape[0])
    axes.set_ylim(sine[0] - edge, sine[-1] + edge)
    degrees = np.array([-90, -60, -30, 0, 30, 60, 90])
    degrees = degrees[np.abs(np.sin(np.radians(degrees))) <= sine[-1] + edge]
    names = [f"{angle}".replace("-", "\N{MINUS SIGN}") for angle in degrees]
    axes.set_yticks(np.sin(np.radians(degrees)), names)
    axes.set_xlabel("delay [ns]")
    axes.set_ylabel("angle off broadside [deg]")
    circles = " (circles: the paths)" if axes.get_legend_handles_labels()[0] else ""
    axes.set_title(f"delay-angle profile{circles}", loc="left")
    _range_on_top(axes)
    figure = axes.get_figure()
    assert figure is not None
    figure.colorbar(image, ax=axes, label="power [dB]", aspect=30)


def _range_on_top(axes: Axes) -> None:
    top = axes.secondary_xaxis("top", functions=(_to_metres, _to_nanoseconds))
    top.set_xlabel("range [m]")


def _to_metres(nanoseconds: ArrayLike) -> ArrayLike:
    return np.multiply(nanoseconds, SPEED_OF_LIGHT * 1e-9)


def _to_nanoseconds(metres: ArrayLike) -> ArrayLike:
    return np.divide(metres, SPEED_OF_LIGHT * 1e-9)


def _direction(azimuth: Tensor, zenith: Tensor) -> Array:
    azimuth, zenith = azimuth.double(), zenith.double()
    flat = torch.sin(zenith)
    ray = [flat * torch.cos(azimuth), flat * torch.sin(azimuth), torch.cos(zenith)]
    return torch.stack(ray, dim=-1).numpy()


def _level(paths: Paths) -> Array:
    """Power of each path of the one link (path,) [dB]; minus infinity where there is none."""
    with np.errstate(divide="ignore"):
        return np.asarray(20 * np.log10(np.abs(paths.gain[0].numpy().astype(np.complex128))))


def _kinds(paths: Paths) -> list[str | None]:
    bounces, bent = paths.interactions[0].tolist(), paths.diffracted[0].tolist()
    named = {-1: None, 0: "line of sight", 1: "one bounce"}
    return [
        "diffracted" if b and n >= 0 else named.get(n, "more bounces")
        for n, b in zip(bounces, bent, strict=True)
    ]


def _expect_link(store: PathStore, user: int, station: int) -> None:
    for name, index in (("user", user), ("station", station)):
        count = store.dataset.sizes[name]
        if not 0 <= index < count:
            raise ValueError(f"{name}={index} is not in the store: give 0 to {count - 1}")


def _expect_csi(csi: Tensor, bandwidth: float | None, spacing: float) -> None:
    if csi.ndim != 2 or not csi.is_complex():
        raise ValueError(
            f"csi is {csi.dtype} {tuple(csi.shape)}: give one link, complex (antenna, subcarrier)"
        )
    if bandwidth is None or bandwidth <= 0:
        raise ValueError(f"bandwidth={bandwidth} must be positive [Hz] where csi is drawn")
    if spacing <= 0:
        raise ValueError(f"spacing={spacing:g} must be positive, in wavelengths")
