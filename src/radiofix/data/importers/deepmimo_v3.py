"""DeepMIMO v3 scenario folders, as Wireless InSite traced them.

In these files the station transmits: the angles of departure are the station's. The phase is
that of the whole field, so exp(-j 2 pi f delay) is in it already: along the line of sight of
the published folders it agrees with the carrier and the delay, and the power with Friis.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiofix.data.importers.reading import load_mat
from radiofix.data.importers.writing import Places, path_gain, write_paths
from radiofix.data.store import Array

ROWS = 8
"""Phase [deg], delay [s], power [dBm], arrival and departure azimuth, zenith [deg], LoS flag."""
USER_FILE = re.compile(r"BS(\d+)_UE_(\d+)-(\d+)\.mat")
SAME_PLACE = 1e-3
"""Users of two stations' files are the same within this [m]."""


def import_deepmimo_v3(source: Path, out: Path, stations: Sequence[int] | None = None) -> None:
    """Imports a folder of `params.mat` and `BS{i}_UE_{a}-{b}.mat`.

    Args:
        source: the scenario's folder.
        out: the store to write, which must not exist yet.
        stations: numbers of the stations to import; all by default.
    """
    carrier, transmitted, declared = _parameters(source / "params.mat")
    files = _user_files(source)
    chosen = list(stations) if stations is not None else sorted({*files, *declared})
    if missing := [number for number in chosen if number not in files]:
        raise ValueError(
            f"{source} has no BS{missing[0]}_UE_*.mat: choose stations among "
            f"{', '.join(map(str, sorted(files)))} or get the whole folder again"
        )
    parts = [_station(files[number]) for number in chosen]
    users = parts[0][1]
    for number, (_, others, _) in zip(chosen, parts, strict=True):
        if others.shape != users.shape or np.abs(others - users).max(initial=0.0) > SAME_PLACE:
            raise ValueError(
                f"{source}: stations {chosen[0]} and {number} have other users: "
                "import them into stores of their own"
            )
    present, values = _padded([paths for paths, _, _ in parts], len(users))
    phase, delay, power, arrival, arrival_zenith, departure, departure_zenith, sight = values
    fields = {
        "gain": path_gain(power - transmitted, phase),
        "delay": delay,
        "station_azimuth": np.radians(departure),
        "station_zenith": np.radians(departure_zenith),
        "user_azimuth": np.radians(arrival),
        "user_zenith": np.radians(arrival_zenith),
        "interactions": np.where(sight == 1, 0, 1),
        "diffracted": np.zeros(present.shape, dtype=bool),
    }
    places = Places(
        user_position=users,
        station_position=np.stack([place for _, _, place in parts]),
        station_orientation=np.zeros((len(chosen), 3)),
        carrier_frequency=np.full(len(chosen), carrier),
        station_names=[f"BS{number}" for number in chosen],
    )
    attributes = {
        "scenario": source.resolve().name,
        "tracer": {"name": "Wireless InSite via DeepMIMO v3", "version": "unknown", "settings": {}},
        "licence": "unknown: see the source",
        "seed": None,
        "assumptions": {
            "station_orientation": "unknown: zeros, so arrays lie along y and look along x",
            "interactions": "DeepMIMO v3 tells only line of sight (0) from at least one bounce (1)",
            "diffracted": "unknown: false throughout",
            "phase": "the stored phase is taken to hold the carrier's, exp(-j 2 pi f delay)",
        },
    }
    comments = {
        "interactions": "1 means at least one bounce: the source does not count them",
        "diffracted": "unknown: the source does not tell",
    }
    write_paths(source, out, places, fields, present, attributes, comments)


def _parameters(path: Path) -> tuple[float, float, range]:
    """Carrier [Hz], transmitted power [dBm] and the numbers of the stations."""
    found = load_mat(path)
    carrier = _number(path, found, "carrier_freq")
    # A file cut between two variables still reads: what is missing must not become a default.
    transmitted = _number(path, found, "transmit_power")
    count = _number(path, found, "num_BS")
    if not 0 <= count <= 10_000:
        raise ValueError(f"{path}: num_BS={count:g} is no number of stations: get the file again")
    return carrier, transmitted, range(1, int(count) + 1)


def _number(path: Path, found: Mapping[str, Any], name: str) -> float:
    if name not in found:
        raise ValueError(f"{path} has no {name}: is this folder a DeepMIMO v3 scenario?")
    value = np.asarray(found[name])
    if value.size != 1 or value.dtype.kind not in "iuf" or not np.isfinite(value).all():
        raise ValueError(f"{path}: {name} is not one number: get the file again")
    return float(value.item())


def _user_files(source: Path) -> dict[int, list[Path]]:
    """The user files of every station, in the order of their users."""
    found: dict[int, list[tuple[int, int, Path]]] = {}
    for path in source.iterdir():
        if match := USER_FILE.fullmatch(path.name):
            number, first, last = map(int, match.groups())
            found.setdefault(number, []).append((first, last, path))
    for ranges in found.values():
        ranges.sort()
        for (_, last, path), (first, _, _) in itertools.pairwise(ranges):
            if first != last:
                raise ValueError(
                    f"{path}: the next file of this station begins with user {first}, not {last}: "
                    "get the whole folder again"
                )
    return {number: [path for _, _, path in ranges] for number, ranges in found.items()}


def _station(files: Sequence[Path]) -> tuple[list[Array], NDArray[np.float64], Array]:
    """One array of paths, (8, path), a user; all users' places; the station's place."""
    parts = [_user_file(path) for path in files]
    paths = [part for found, _, _ in parts for part in found]
    return paths, np.concatenate([users for _, users, _ in parts]), parts[0][2]


def _user_file(path: Path) -> tuple[list[Array], NDArray[np.float64], Array]:
    found = load_mat(path)
    if missing := [n for n in ("channels", "rx_locs", "tx_loc") if n not in found]:
        raise ValueError(f"{path} has no {missing[0]}: get the file again")
    try:
        # A MATLAB cell of structs: `p` of each is a (1, 1) cell or the matrix itself.
        cells = [np.asarray(cell["p"]) for cell in np.ravel(found["channels"])]
        paths = [cell.item() if cell.dtype == object else cell for cell in cells]
        users = np.asarray(found["rx_locs"], dtype=np.float64)[:, :3]
        station = np.asarray(found["tx_loc"], dtype=np.float64).reshape(-1)
    except (IndexError, KeyError, TypeError, ValueError):
        raise ValueError(f"{path} is not laid out as DeepMIMO v3: get the file again") from None
    if users.shape != (len(paths), 3) or station.shape != (3,):
        raise ValueError(
            f"{path} has {len(paths)} users, positions {users.shape} and "
            f"a station {station.shape}: get the file again"
        )
    for user, found_paths in enumerate(paths):
        if found_paths.size and (found_paths.ndim != 2 or found_paths.shape[0] != ROWS):
            raise ValueError(
                f"{path}: p of user {user} has shape {found_paths.shape}, not ({ROWS}, paths): "
                "get the file again"
            )
    return [p if p.size else np.zeros((ROWS, 0)) for p in paths], users, station


def _padded(paths: Sequence[Sequence[Array]], users: int) -> tuple[NDArray[np.bool_], Array]:
    """Where there is a path, (user, station, path), and its rows, (8, user, station, path)."""
    count = np.array([[p.shape[1] for p in station] for station in paths]).reshape(-1, users).T
    present = np.arange(max(1, count.max(initial=0))) < count[:, :, None]
    values = np.zeros((ROWS, *present.shape))
    # Filled user by user, so the paths have to come in that order too.
    flat = [station[user] for user in range(users) for station in paths]
    values[:, present] = np.concatenate([np.zeros((ROWS, 0)), *flat], axis=1)
    return present, values
