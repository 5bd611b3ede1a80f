"""DeepMIMO v4 scenario folders, read as they lie on disk, without the deepmimo package.

Such a folder has `params.json` and, for every transmitter and set of receivers, one file a
quantity: `{quantity}_t{set}_tx{number}_r{set}`, as .mat, .npz or .npy.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiofix.data.importers.reading import read_arrays
from radiofix.data.importers.writing import Places, path_gain, write_paths
from radiofix.data.store import Array

PATH_QUANTITIES = ("power", "phase", "delay", "aoa_az", "aoa_el", "aod_az", "aod_el", "inter")
SUFFIXES = (".mat", ".npz", ".npy")
DIFFRACTION = 2
"""DeepMIMO's digit for a diffraction; `inter` has one digit an interaction, 0 is line of sight."""
DIGITS = 10
"""More interactions than this no path has."""
SAME_PLACE = 1e-3
"""Users of two stations' files are the same within this [m]."""


@dataclass(frozen=True, slots=True)
class _Transmitter:
    group: int
    index: int

    @property
    def name(self) -> str:
        return f"t{self.group:03}_tx{self.index:03}"


def import_deepmimo_v4(
    source: Path,
    out: Path,
    stations: Sequence[int] | None = None,
    snapshot: int | None = None,
    add_carrier_phase: bool | None = None,
) -> None:
    """Imports the folder of a DeepMIMO v4 scenario.

    Args:
        source: the scenario's folder.
        out: the store to write, which must not exist yet.
        stations: which transmitters to import, counted from 1 through all transmitter sets; all
            by default.
        snapshot: which scene of a scenario that moves, counted from 0.
        add_carrier_phase: whether to turn each path by exp(-j 2 pi f delay). By default only where
            Sionna has traced, whose exported amplitudes lack it; Wireless InSite's have it.
    """
    settings, sets, scenes = _parameters(source / "params.json")
    transmitters, receivers = _ends(source, sets)
    chosen = list(stations) if stations is not None else list(range(1, len(transmitters) + 1))
    if wrong := [n for n in chosen if not 1 <= n <= len(transmitters)]:
        raise ValueError(f"{source} has stations 1 to {len(transmitters)}, not {wrong[0]}")
    folder = _snapshot(source, scenes, snapshot)
    columns = [_station(folder, transmitters[n - 1], receivers) for n in chosen]
    users = columns[0]["rx_pos"]
    for number, column in zip(chosen, columns, strict=True):
        others = column["rx_pos"]
        if others.shape != users.shape or np.abs(others - users).max(initial=0.0) > SAME_PLACE:
            raise ValueError(
                f"{source}: stations {chosen[0]} and {number} have other users: "
                "import them into stores of their own"
            )
    values = {name: _stacked([c[name] for c in columns], axis=1) for name in PATH_QUANTITIES}
    present = np.isfinite(values["power"])
    count, diffracted = _interactions(np.where(present, values["inter"], 0))
    carrier = _carrier(source, settings)
    tracer = str(settings.get("raytracer_name", "unknown"))
    turned = "sionna" in tracer.lower() if add_carrier_phase is None else add_carrier_phase
    phase = values["phase"] - (360 * np.mod(carrier * values["delay"], 1) if turned else 0)
    fields = {
        "gain": path_gain(values["power"], phase),
        "delay": values["delay"],
        "station_azimuth": np.radians(values["aod_az"]),
        "station_zenith": np.radians(values["aod_el"]),
        "user_azimuth": np.radians(values["aoa_az"]),
        "user_zenith": np.radians(values["aoa_el"]),
        "interactions": np.where(np.isfinite(values["inter"]), count, np.nan),
        "diffracted": diffracted,
    }
    places = Places(
        user_position=users,
        station_position=np.stack([column["tx_pos"] for column in columns]),
        station_orientation=np.zeros((len(chosen), 3)),
        carrier_frequency=np.full(len(chosen), carrier),
        station_names=[transmitters[n - 1].name for n in chosen],
    )
    attributes = {
        "scenario": source.resolve().name,
        "tracer": {
            "name": f"{tracer} via DeepMIMO v4",
            "version": str(settings.get("raytracer_version", "unknown")),
            "settings": settings,
        },
        "licence": "unknown: see the source",
        "seed": None,
        "assumptions": {
            "station_orientation": "unknown: zeros, so arrays lie along y and look along x",
            "phase": "turned by exp(-j 2 pi f delay), which the source lacks"
            if turned
            else "the stored phase is taken to hold the carrier's, exp(-j 2 pi f delay)",
            **({} if snapshot is None else {"snapshot": f"scene {snapshot} of {scenes}"}),
        },
    }
    write_paths(source, out, places, fields, present, attributes, {})


def _parameters(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]], int]:
    """The tracer's settings, the transmitter and receiver sets, and the number of scenes."""
    if not path.is_file():
        raise ValueError(f"{path} is missing: is this folder a DeepMIMO v4 scenario?")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        settings = dict(found["rt_params"])
        sets = [dict(found["txrx_sets"][key]) for key in sorted(found["txrx_sets"])]
        sets = [
            {name: int(part[name]) for name in ("id", "is_tx", "is_rx", "num_points")}
            for part in sets
        ]
        scenes = int(dict(found.get("scene", {})).get("num_scenes", 1))
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        OverflowError,
        RecursionError,
    ) as error:
        what = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{path} is no DeepMIMO v4 description, get it again: {what}") from None
    return settings, sets, scenes


def _carrier(source: Path, settings: Mapping[str, Any]) -> float:
    frequency = settings.get("frequency")
    if isinstance(frequency, bool) or not isinstance(frequency, int | float):
        raise ValueError(
            f"{source / 'params.json'}: frequency={frequency!r} is not a number of hertz: mend it"
        )
    return float(frequency)


def _ends(
    source: Path, sets: Sequence[Mapping[str, int]]
) -> tuple[list[_Transmitter], list[Mapping[str, int]]]:
    """All transmitters, and the receiver sets that are users (stations that listen are not)."""
    transmitters = [
        _Transmitter(part["id"], index)
        for part in sets
        if part["is_tx"]
        for index in range(part["num_points"])
    ]
    receivers = [part for part in sets if part["is_rx"] and not part["is_tx"]]
    if not transmitters or not receivers:
        raise ValueError(
            f"{source / 'params.json'} has {len(transmitters)} transmitters and {len(receivers)} "
            "receiver sets: nothing to import"
        )
    return transmitters, receivers


def _snapshot(source: Path, scenes: int, snapshot: int | None) -> Path:
    """The folder of the files: one below where the scenario has several scenes."""
    if scenes <= 1:
        if snapshot not in (None, 0):
            raise ValueError(f"{source} has one scene, not snapshot={snapshot}: leave it out")
        return source
    if snapshot is None or not 0 <= snapshot < scenes:
        raise ValueError(
            f"{source} has {scenes} scenes: choose one by snapshot=0 to {scenes - 1}, "
            f"got {snapshot}"
        )
    folders = sorted(path for path in source.iterdir() if path.is_dir())
    if snapshot >= len(folders):
        raise ValueError(f"{source} has {len(folders)} folders of {scenes} scenes: get it again")
    return folders[snapshot]


def _station(
    folder: Path, transmitter: _Transmitter, receivers: Sequence[Mapping[str, int]]
) -> dict[str, Array]:
    """All quantities of one transmitter, its users set by set: (user, path); places in metres."""
    parts = [_pair(folder, f"{transmitter.name}_r{part['id']:03}") for part in receivers]
    columns = {name: _stacked([p[name] for p in parts], axis=None) for name in PATH_QUANTITIES}
    users = np.concatenate([part["rx_pos"] for part in parts])
    return {**columns, "rx_pos": users, "tx_pos": parts[0]["tx_pos"]}


def _pair(folder: Path, pair: str) -> dict[str, Array]:
    """What the files of one transmitter and one set of receivers hold."""
    found = {name: _matrix(folder, name, pair) for name in (*PATH_QUANTITIES, "rx_pos", "tx_pos")}
    shape = found["power"].shape
    for name in PATH_QUANTITIES:
        if found[name].ndim != 2 or found[name].shape != shape:
            raise ValueError(
                f"{folder}: {name}_{pair} has shape {found[name].shape}, power has {shape}: "
                "get the folder again"
            )
    if found["rx_pos"].shape != (shape[0], 3):
        raise ValueError(
            f"{folder}: rx_pos_{pair} has shape {found['rx_pos'].shape}, not ({shape[0]}, 3): "
            "get the folder again"
        )
    if found["tx_pos"].size != 3:
        raise ValueError(
            f"{folder}: tx_pos_{pair} has {found['tx_pos'].size} numbers, not 3: "
            "get the folder again"
        )
    return {**found, "tx_pos": found["tx_pos"].reshape(3)}


def _matrix(folder: Path, name: str, pair: str) -> NDArray[np.float64]:
    path = next((p for s in SUFFIXES if (p := folder / f"{name}_{pair}{s}").is_file()), None)
    if path is None:
        raise ValueError(f"{folder} has no {name}_{pair}.npz (nor .mat, .npy): get it again")
    values = read_arrays(path, [name])[name]
    if values.dtype.kind not in "iuf":
        raise ValueError(f"{path} holds {values.dtype} values, not numbers: get it again")
    return values.astype(np.float64)


def _stacked(parts: Sequence[Array], axis: int | None) -> Array:
    """Joins (user, path) arrays by user, or at a new `axis`; paths that one lacks are NaN."""
    paths = max(1, *(part.shape[1] for part in parts))
    padded = [np.pad(p, [(0, 0), (0, paths - p.shape[1])], constant_values=np.nan) for p in parts]
    return np.concatenate(padded) if axis is None else np.stack(padded, axis=axis)


def _interactions(code: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Number of interactions, and whether one is a diffraction, by the code's digits.

    float32 keeps seven digits: of longer codes the count is right, the last digits may not be.
    """
    powers = 10 ** np.arange(DIGITS, dtype=np.int64)
    whole = np.clip(np.nan_to_num(code), 0, 10.0**DIGITS - 1).astype(np.int64)
    count = np.zeros(code.shape, dtype=np.int8)
    diffracted = np.zeros(code.shape, dtype=bool)
    for power in powers:
        count += whole >= power
        diffracted |= whole // power % 10 == DIFFRACTION
    return count, diffracted
