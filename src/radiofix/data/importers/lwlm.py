"""The HDF5-per-sample folders of the public LWLM code: one link a file, made with DeepMIMO v3."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from radiofix.data.importers.reading import read_arrays
from radiofix.data.importers.writing import Places, write_csi
from radiofix.data.schema import Variable
from radiofix.data.store import CHUNK_USERS, Array, expect_new
from radiofix.types import SPEED_OF_LIGHT

SUFFIXES = (".h5py", ".h5", ".hdf5")
REQUIRED = ("channel_real", "channel_imag", "UElocation", "BSlocation", "bandwidth")
MEGAHERTZ_BELOW = 1e5
"""The public code writes bandwidths in MHz; a number past this can only be Hz."""
DECIMALS = 3
"""Positions that agree to so many decimals [m] are one place."""
ENOUGH_LINKS = 256
"""Links in line of sight that are looked at to find the sign of the steering."""
DECISIVE = 1.5
"""So many times more power must one sign of the steering explain to be told by the data."""
LINK = ("user", "station")
LABELS = {
    "LoS": ("line_of_sight", Variable(LINK, "bool", "1", "the user sees the station")),
    "distance": ("distance", Variable(LINK, "float64", "m", "as the source tells; 0: no link")),
    "DoD_phi": (
        "first_path_azimuth",
        Variable(LINK, "float64", "rad", "azimuth at the station of the source's first path"),
    ),
}


@dataclass(frozen=True, slots=True)
class _Sample:
    path: Path
    shape: tuple[int, ...]
    user: Array
    station: Array
    bandwidth: float
    labels: Mapping[str, float]


def import_lwlm(
    source: Path,
    out: Path,
    bandwidth: float | None = None,
    antennas: int = 32,
    axes: str | None = None,
    carrier_frequency: float = 3.5e9,
    mirror: bool | None = None,
) -> None:
    """Imports a folder of samples (subfolders too) as measured CSI.

    Users and stations are told by their places; a pair without a sample gets CSI 0. Subcarrier k
    lies at carrier + k B / N. Amplitudes stay as they are: DeepMIMO divides them by sqrt(N).

    Args:
        source: the folder.
        out: the store to write, which must not exist yet.
        bandwidth: which samples to take, where the folder has several bandwidths [Hz].
        antennas: number of antennas, which tells the axes apart.
        axes: "antenna subcarrier" or "subcarrier antenna", where the number cannot tell.
        carrier_frequency: the files do not tell it [Hz].
        mirror: whether the steering vector is the paper's, exp(-j pi n sin), the opposite of ours,
            so that the order of the antennas is to be turned round. By default the directions of
            the links in line of sight decide; where none can, it is taken to be the paper's.
    """
    expect_new(out)
    samples = _of_one_bandwidth(source, [_read(path) for path in _files(source)], bandwidth)
    _refuse_shapes(samples)
    subcarriers = _oriented(_channel(samples[0].path), samples[0].path, antennas, axes).shape[1]
    users, user = _places([sample.user for sample in samples])
    stations, station = _places([sample.station for sample in samples])
    _refuse_doubles(samples, user, station)
    if mirror is None:
        mirrored, reason = _steering(samples, antennas, axes)
    else:
        mirrored, reason = mirror, "as asked for"
    step = samples[0].bandwidth / subcarriers
    # The source's antenna 0 stands where the station does; turned round it comes last.
    index = np.arange(antennas) - (antennas - 1 if mirrored else 0)
    spacing = SPEED_OF_LIGHT / carrier_frequency / 2
    places = Places(
        user_position=users,
        station_position=stations,
        station_orientation=np.zeros((len(stations), 3)),
        carrier_frequency=np.full(len(stations), float(carrier_frequency)),
        station_names=[f"({x:g}, {y:g})" for x, y, _ in stations],
    )
    attributes = {
        "scenario": source.resolve().name,
        "tracer": {
            "name": "public LWLM code via DeepMIMO v3",
            "version": "unknown",
            "settings": {},
        },
        "licence": "unknown: see the source",
        "seed": None,
        "assumptions": {
            "station_orientation": "DeepMIMO's default: zeros, arrays lie along y",
            "antennas": "half a wavelength apart",
            "carrier_frequency": f"{carrier_frequency:g} Hz, given by whoever imported",
            "steering": f"{'mirrored' if mirrored else 'kept'}: {reason}",
            "amplitude": "as in the source, which divides by the root of the subcarriers' number",
        },
    }
    write_csi(
        source,
        out,
        places,
        _blocks(samples, user, station, antennas, axes, mirrored),
        carrier_frequency + step * np.arange(subcarriers),
        np.outer(index * spacing, [0.0, 1.0, 0.0]),
        attributes,
        dict(_labels(samples, user, station, (len(users), len(stations)))),
    )


def _blocks(
    samples: Sequence[_Sample],
    user: Array,
    station: Array,
    antennas: int,
    axes: str | None,
    mirrored: bool,
) -> Iterator[NDArray[np.complex64]]:
    """The channels of some thousands of users at a time: a whole folder fits no memory."""
    order = np.argsort(user, kind="stable")
    for start in range(0, int(user.max()) + 1, CHUNK_USERS):
        stop = min(start + CHUNK_USERS, int(user.max()) + 1)
        rows = order[np.searchsorted(user[order], start) : np.searchsorted(user[order], stop)]
        paths = [samples[row].path for row in rows]
        csi = np.stack([_oriented(_channel(path), path, antennas, axes) for path in paths])
        block = np.zeros((stop - start, int(station.max()) + 1, *csi.shape[1:]), np.complex64)
        block[user[rows] - start, station[rows]] = csi[:, ::-1] if mirrored else csi
        yield block


def _files(source: Path) -> list[Path]:
    """All samples, in the order of the numbers in their names."""
    if not source.is_dir():
        raise ValueError(f"{source} is not a folder: give the folder of the samples")
    found = [path for path in source.rglob("*") if path.suffix in SUFFIXES and path.is_file()]
    if not found:
        raise ValueError(f"{source} has no {', '.join(SUFFIXES)} files: give the samples' folder")
    return sorted(
        found,
        key=lambda path: [
            (0, int(part), "") if part.isdigit() else (1, 0, part)
            for part in re.split(r"(\d+)", str(path))
        ],
    )


def _channel(path: Path) -> NDArray[np.complex64]:
    found = read_arrays(path, ["channel_real", "channel_imag"])
    return np.asarray(found["channel_real"] + 1j * found["channel_imag"], dtype=np.complex64)


def _read(path: Path) -> _Sample:
    known = read_arrays(path, REQUIRED, optional=LABELS)
    for name in {*REQUIRED, *LABELS} & {*known}:
        if known[name].dtype.kind not in "iufb" or not np.isfinite(known[name]).all():
            raise ValueError(f"{path}: {name} is not all numbers: get it again")
    for name, size in {"UElocation": 3, "BSlocation": 3, "bandwidth": 1}.items():
        if known[name].size != size:
            raise ValueError(f"{path}: {name} has {known[name].size} numbers, not {size}")
    real, imaginary = known["channel_real"], known["channel_imag"]
    if real.shape != imaginary.shape:
        raise ValueError(f"{path}: channel_real is {real.shape}, channel_imag {imaginary.shape}")
    told = float(known["bandwidth"].item())
    if told <= 0:
        raise ValueError(f"{path}: bandwidth must be positive, got {told:g}")
    return _Sample(
        path=path,
        shape=real.shape,
        user=known["UElocation"].reshape(3).astype(np.float64),
        station=known["BSlocation"].reshape(3).astype(np.float64),
        bandwidth=told * 1e6 if told < MEGAHERTZ_BELOW else told,
        labels={n: float(known[n].flat[0]) if known[n].size else 0.0 for n in LABELS if n in known},
    )


def _of_one_bandwidth(
    source: Path, samples: Sequence[_Sample], bandwidth: float | None
) -> list[_Sample]:
    found = sorted({sample.bandwidth for sample in samples})
    listed = " and ".join(f"{value / 1e6:g} MHz" for value in found)
    if bandwidth is None and len(found) > 1:
        raise ValueError(
            f"{source} has samples of {listed}: choose one, e.g. bandwidth={found[0]:g}"
        )
    chosen = [s for s in samples if bandwidth is None or np.isclose(s.bandwidth, bandwidth)]
    if not chosen:
        raise ValueError(f"{source} has samples of {listed}, none of bandwidth={bandwidth:g}")
    return chosen


def _refuse_shapes(samples: Sequence[_Sample]) -> None:
    first = samples[0]
    if other := next((s for s in samples if s.shape != first.shape), None):
        raise ValueError(
            f"{first.path} has a channel of shape {first.shape}, {other.path} of {other.shape}: "
            "import them into stores of their own"
        )


def _oriented(
    csi: NDArray[np.complex64], path: Path, antennas: int, axes: str | None
) -> NDArray[np.complex64]:
    """The channel as (antenna, subcarrier)."""
    shape = csi.shape
    while csi.ndim > 2 and csi.shape[0] == 1:
        # DeepMIMO's first axis is the user's antenna, of which there is one.
        csi = csi[0]
    if csi.ndim != 2 or antennas not in csi.shape:
        raise ValueError(
            f"{path}: no axis of a channel of shape {shape} has {antennas} antennas: give antennas="
        )
    if axes not in (None, "antenna subcarrier", "subcarrier antenna"):
        raise ValueError(f'axes={axes!r} must be "antenna subcarrier" or "subcarrier antenna"')
    if axes is None and csi.shape[0] == csi.shape[1]:
        raise ValueError(
            f"{path}: both axes have {antennas} entries: "
            'give axes="antenna subcarrier" or "subcarrier antenna"'
        )
    first = axes == "antenna subcarrier" if axes else csi.shape[0] == antennas
    turned = csi if first else csi.T
    if turned.shape[0] != antennas:
        raise ValueError(f"{path}: {axes=} gives {turned.shape[0]} antennas, not {antennas}")
    return turned


def _places(positions: Sequence[Array]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The distinct places in the order in which they appear, and the place of each sample."""
    rounded = np.round(np.stack(positions), DECIMALS)
    _, first, inverse = np.unique(rounded, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return np.stack(positions)[first[order]], rank[inverse.reshape(-1)]


def _refuse_doubles(samples: Sequence[_Sample], user: Array, station: Array) -> None:
    seen: dict[tuple[int, int], Path] = {}
    for sample, pair in zip(
        samples, zip(user.tolist(), station.tolist(), strict=True), strict=True
    ):
        if pair in seen:
            raise ValueError(
                f"{seen[pair]} and {sample.path} have the same user, station and bandwidth: "
                "import a folder with one of them"
            )
        seen[pair] = sample.path


def _steering(samples: Sequence[_Sample], antennas: int, axes: str | None) -> tuple[bool, str]:
    """Whether the antennas run the paper's way round, by the directions of the seen users."""
    away = np.stack([sample.user - sample.station for sample in samples])
    sine = away[:, 1] / np.linalg.norm(away, axis=1).clip(1e-9)
    seen = np.array([sample.labels.get("LoS", 0.0) == 1 for sample in samples])
    # Near broadside both signs agree, near the array's ends they alias.
    telling = np.flatnonzero(seen & (np.abs(sine) > 0.1) & (np.abs(sine) < 0.9))[:ENOUGH_LINKS]
    if len(telling):
        paths = [samples[row].path for row in telling]
        csi = np.stack([_oriented(_channel(path), path, antennas, axes) for path in paths])
        unit = csi / np.linalg.norm(csi, axis=(1, 2), keepdims=True).clip(1e-30)
        steering = np.exp(1j * np.pi * np.outer(sine[telling], np.arange(antennas)))
        ours, papers = (
            (np.abs(np.einsum("la,las->ls", vector, unit)) ** 2).sum()
            for vector in (steering.conj(), steering)
        )
        if ours > DECISIVE * papers:
            return False, "the links in line of sight have our steering sign"
        if papers > DECISIVE * ours:
            return True, "the links in line of sight have the paper's steering sign"
    return True, "no link in line of sight tells the sign, so the paper's is assumed"


def _labels(
    samples: Sequence[_Sample], user: Array, station: Array, shape: tuple[int, ...]
) -> Iterator[tuple[str, tuple[Variable, Array]]]:
    """The labels that every sample has."""
    for source_name, (name, variable) in LABELS.items():
        if not all(source_name in sample.labels for sample in samples):
            continue
        values = np.zeros(shape)
        values[user, station] = [sample.labels[source_name] for sample in samples]
        if source_name == "LoS":
            # -1 stands for a link without any path.
            values = values == 1
        elif source_name == "DoD_phi":
            values = np.radians(values)
        yield name, (variable, values)
