"""What a store holds, in numbers: for `radiofix info`."""

from __future__ import annotations

from typing import Any

import numpy as np
import rich.box
import zarr
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from radiofix.data import schema
from radiofix.data.headers import ATTRIBUTE
from radiofix.data.splits import nearest_train_distance
from radiofix.data.store import PathStore, reading

BLOCK_USERS = 16_384
"""Users read at a time: what is kept of them is a few numbers a link."""

Floats = NDArray[np.float64]
Summary = dict[str, Any]
Rows = list[tuple[str, ...]]


def summarise(store: PathStore) -> Summary:
    """Describes a store in plain numbers, lists and names (JSON-able), in bounded memory."""
    with reading(store.path):
        return _summary(store)


def _summary(store: PathStore) -> Summary:
    attributes = store.attributes
    known = ("radiofix_schema", "scenario", "tracer", "sha256", ATTRIBUTE, "station_names")
    common: Summary = {
        "store": str(store.path),
        "schema": attributes.get("radiofix_schema"),
        "scenario": attributes.get("scenario"),
        "tracer": attributes.get("tracer"),
        "provenance": {k: v for k, v in attributes.items() if k not in known},
        "bytes": sum(f.stat().st_size for f in store.path.rglob("*") if f.is_file()),
        "users": store.users,
        "stations": _stations(store),
        "splits": _splits(store),
        "map": _map(store),
        "sha256": dict(attributes.get("sha256", {})),
    }
    return common | (_measured(store) if store.measured else _traced(store))


def _stations(store: PathStore) -> list[Summary]:
    return [
        {
            "name": station.name,
            "position_m": station.position.tolist(),
            "yaw_rad": float(station.orientation[0]),
            "carrier_hz": station.carrier_frequency,
        }
        for station in store.stations
    ]


def _splits(store: PathStore) -> Summary:
    splits: Summary = {}
    position = store.dataset["user_position"].values
    for variable in sorted(str(v) for v in store.dataset if str(v).startswith("split_")):
        codes = store.dataset[variable].values
        split: Summary = {k: int((codes == code).sum()) for k, code in schema.SPLIT_CODES.items()}
        split["nearest_train_m"] = None
        if split["train"] and split["test"]:
            split["nearest_train_m"] = _spread(nearest_train_distance(position, codes), (50, 90))
        splits[variable.removeprefix("split_")] = split
    return splits


def _map(store: PathStore) -> Summary | None:
    root = zarr.open_group(store.path, mode="r")
    if "map" not in root:
        return None
    building = np.asarray(root["map/face_building"])
    return {"buildings": len(np.unique(building[building >= 0])), "triangles": len(building)}


def _measured(store: PathStore) -> Summary:
    csi = store.dataset["csi"]
    frequency = store.dataset["frequency"].values
    power = np.full(csi.shape[:2], np.nan)
    for start in range(0, store.users, BLOCK_USERS):
        rows = slice(start, start + BLOCK_USERS)
        block = csi.isel(user=rows).values.astype(np.complex128)
        power[rows] = (block.real**2 + block.imag**2).mean((-2, -1))
    return {
        "kind": "measured",
        "users_without_position": int((~store.labelled).sum()),
        "csi": dict(zip(map(str, csi.dims), csi.shape, strict=True)),
        "frequency_hz": [float(frequency.min()), float(frequency.max())],
        "spacing_hz": float(np.diff(frequency).mean()) if len(frequency) > 1 else None,
        "power_db": _spread(_decibel(power), (10, 50, 90)),
    }


def _traced(store: PathStore) -> Summary:
    names = ("gain", "delay", "interactions")
    shape = (store.users, store.dataset.sizes["station"])
    paths = np.zeros(shape, dtype=np.int16)
    sight = np.zeros(shape, dtype=bool)
    spread, narrow, wide = (np.full(shape, np.nan, dtype=np.float32) for _ in range(3))
    for start in range(0, store.users, BLOCK_USERS):
        rows = slice(start, start + BLOCK_USERS)
        block = store.dataset[list(names)].isel(user=rows)
        gain, delay, interactions = (block[name].values for name in names)
        paths[rows] = (interactions >= 0).sum(-1)
        sight[rows] = (interactions == 0).any(-1)
        narrow[rows], wide[rows], spread[rows] = _link_powers(gain, delay)
    values = {"delay_spread_ns": spread, "power_narrowband_db": narrow, "power_wideband_db": wide}
    return {
        "kind": "traced",
        "paths_kept": int(store.dataset.sizes["path"]),
        "links": _links(paths, sight, values),
        "links_by_station": [
            _links(paths[:, s], sight[:, s], {k: v[:, s] for k, v in values.items()})
            for s in range(shape[1])
        ],
    }


def _link_powers(gain: NDArray[Any], delay: NDArray[Any]) -> tuple[Floats, Floats, Floats]:
    """|sum g|² [dB], sum |g|² [dB] and rms delay spread [ns] of each link; NaN without paths."""
    gain = gain.astype(np.complex128)
    weight = gain.real**2 + gain.imag**2
    total = weight.sum(-1)
    with np.errstate(invalid="ignore"):
        share = weight / total[..., None]
    mean = (share * delay).sum(-1, keepdims=True)
    spread = np.sqrt((share * (delay - mean) ** 2).sum(-1)) * 1e9
    empty = total == 0
    narrow = np.where(empty, np.nan, np.abs(gain.sum(-1)) ** 2)
    return _decibel(narrow), _decibel(np.where(empty, np.nan, total)), spread


def _links(paths: NDArray[Any], sight: NDArray[Any], values: dict[str, NDArray[Any]]) -> Summary:
    return {
        "links": int(paths.size),
        "line_of_sight": int(sight.sum()),
        "without_line_of_sight": int(((paths > 0) & ~sight).sum()),
        "without_paths": int((paths == 0).sum()),
        "paths": _spread(paths, (10, 50, 90)),
        **{name: _spread(each, (10, 50, 90)) for name, each in values.items()},
    }


def _decibel(power: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(10 * np.log10(power), dtype=np.float64)


def _spread(values: NDArray[Any], percentiles: tuple[int, ...]) -> Summary | None:
    """Mean and percentiles of what is finite; None where nothing is."""
    values = values[np.isfinite(values)].astype(np.float64)
    if not values.size:
        return None
    found = np.percentile(values, percentiles)
    return {"mean": float(values.mean())} | {
        f"p{p}": float(v) for p, v in zip(percentiles, found, strict=True)
    }


def table(summary: Summary) -> str:
    """Sets a summary in tables for people."""
    console = Console(width=100, color_system=None, force_terminal=False, markup=False)
    with console.capture() as capture:
        console.print(_head(summary))
        for title, rows in (
            ("stations", _station_rows(summary)),
            ("links", _link_rows(summary)),
            ("over links: 10, 50, 90 %", _value_rows(summary)),
            ("splits", _split_rows(summary)),
        ):
            if len(rows) > 1:
                console.print()
                console.print(_table(title, rows))
    return capture.get()


def _head(summary: Summary) -> str:
    sizes = summary["map"]
    tracer = summary["tracer"]
    if isinstance(tracer, dict):
        tracer = ", ".join(f"{k} {v}" for k, v in tracer.items() if not isinstance(v, dict | list))
    lines = {
        "store": f"{summary['store']}, {summary['bytes'] / 1e6:.2f} MB, schema {summary['schema']}",
        "scenario": summary["scenario"] or "not named",
        "tracer": tracer or "none recorded",
        **{k: v for k, v in summary["provenance"].items() if isinstance(v, str | int | float)},
        "users": f"{summary['users']:,}",
        "map": ", ".join(f"{v} {k}" for k, v in sizes.items()) if sizes else "none",
        "arrays": f"{len(summary['sha256'])} with a sha256",
    }
    if summary["kind"] == "measured":
        low, high = summary["frequency_hz"]
        if count := summary["users_without_position"]:
            lines["users"] = f"{summary['users']:,}, {count:,} of them without a position"
        lines["csi"] = " x ".join(f"{v} {k}s" for k, v in summary["csi"].items())
        lines["frequency"] = f"{low / 1e9:.6g} to {high / 1e9:.6g} GHz"
        lines["power"] = f"{_triple(summary['power_db'])} dB (10, 50, 90 % of links)"
    else:
        lines["paths kept"] = f"{summary['paths_kept']} a link at most"
    width = max(map(len, lines)) + 2
    return "\n".join(f"{name:<{width}}{value}" for name, value in lines.items())


def _station_rows(summary: Summary) -> Rows:
    rows: Rows = [("station", "x, y, z [m]", "yaw [deg]", "carrier [GHz]")]
    for s in summary["stations"]:
        place = ", ".join(f"{v:.2f}" for v in s["position_m"])
        yaw, carrier = np.degrees(s["yaw_rad"]), s["carrier_hz"] / 1e9
        rows.append((s["name"], place, f"{yaw:.1f}", f"{carrier:.6g}"))
    return rows


def _link_rows(summary: Summary) -> Rows:
    rows: Rows = [
        ("station", "links", "line of sight", "without it", "no path at all", "mean paths")
    ]
    for name, links in _by_station(summary):
        counts = ("links", "line_of_sight", "without_line_of_sight", "without_paths")
        paths = links["paths"]
        mean = f"{paths['mean']:.2f}" if paths else "-"
        rows.append((name, *(f"{links[count]:,}" for count in counts), mean))
    return rows


def _value_rows(summary: Summary) -> Rows:
    rows: Rows = [("station", "paths", "delay spread [ns]", "|sum g|² [dB]", "sum |g|² [dB]")]
    for name, links in _by_station(summary):
        values = ("delay_spread_ns", "power_narrowband_db", "power_wideband_db")
        rows.append((name, _triple(links["paths"], 0), *(_triple(links[v]) for v in values)))
    return rows


def _by_station(summary: Summary) -> list[tuple[str, Summary]]:
    if summary["kind"] == "measured":
        return []
    names = [station["name"] for station in summary["stations"]]
    links = [*summary["links_by_station"], summary["links"]]
    return list(zip([*names, "all"], links, strict=True))


def _split_rows(summary: Summary) -> Rows:
    rows: Rows = [("split", *schema.SPLIT_CODES, "test to nearest train [m]: mean, 50 %, 90 %")]
    for name, split in summary["splits"].items():
        near = split["nearest_train_m"]
        distance = "-" if near is None else ", ".join(f"{v:.2f}" for v in near.values())
        rows.append((name, *(f"{split[part]:,}" for part in schema.SPLIT_CODES), distance))
    return rows


def _triple(spread: Summary | None, digits: int = 1) -> str:
    if spread is None:
        return "-"
    return ", ".join(f"{v:.{digits}f}" for k, v in spread.items() if k != "mean")


def _table(title: str, rows: Rows) -> Table:
    made = Table(box=rich.box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    made.title, made.title_justify = title, "left"
    for i, name in enumerate(rows[0]):
        made.add_column(name, justify="right" if i else "left", overflow="fold")
    for row in rows[1:]:
        made.add_row(*row)
    return made
