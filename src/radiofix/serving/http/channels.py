"""`/v1/channels`: the latest channels, for a viewer to look at, and as pictures of few bytes."""

from __future__ import annotations

import base64
import math
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiofix.physics.panels import in_line
from radiofix.serving.http.asking import Question
from radiofix.serving.http.refusals import Refusal
from radiofix.types import Sounding

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]
Key = tuple[int, ...]
"""A user's own number, or the numbers of a request and of a row in it."""

HELD_BYTES = 2**25
"""Of CSI in memory, at most."""
HELD_FIXES = 32
"""Of one request: the latest."""
SHOWN_STATIONS = 16
ROWS, COLUMNS = 64, 256
"""Of the picture of a channel's magnitude, at most."""
AZIMUTHS, DELAYS = 91, 128
"""Of a profile."""
BEFORE, SPAN = 3.0, 12.0
"""How far a profile begins before its strongest delay, and its length [1 / bandwidth]."""
RANGE_DB = 30.0
"""From a profile's brightest to its darkest."""
RANGES_DB = 6.0, 40.0
"""The same of a magnitude, whose weakest hundredth decides: at least and at most."""
LEVELS = 255
TINY = 1e-30


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """The channels of one fix."""

    user: int | None
    """None where the client gave no number."""
    request: int
    row: int
    sounding: Sounding
    """Of this fix's links alone."""
    names: tuple[str, ...]
    """Of their stations."""

    @property
    def key(self) -> Key:
        """Under which it is found: of a known user only the latest is kept."""
        return (self.request, self.row) if self.user is None else (self.user,)

    @property
    def size(self) -> int:
        """Bytes of CSI."""
        return self.sounding.csi.nbytes


class Channels:
    """The channels of the latest fixes, as many as fit; the longest unseen go first."""

    def __init__(self, most: int = HELD_BYTES) -> None:
        self._most, self._size = most, 0
        self._kept: OrderedDict[Key, Kept] = OrderedDict()

    def keep(self, latest: list[Kept]) -> None:
        """Adds some, and forgets what no longer fits."""
        for one in latest:
            self._forget(one.key)
            self._kept[one.key] = one
            self._size += one.size
        while self._size > self._most:
            self._forget(next(iter(self._kept)))

    def find(self, key: Key) -> Kept:
        """Of a user, or of a request and a row.

        Raises:
            Refusal: 404 where it is not kept.
        """
        if key not in self._kept:
            raise Refusal(
                404,
                "no such channel is kept: of users who send, the latest are, while a map is open",
            )
        self._kept.move_to_end(key)
        return self._kept[key]

    def _forget(self, key: Key) -> None:
        gone = self._kept.pop(key, None)
        self._size -= 0 if gone is None else gone.size


def kept_of(number: int, question: Question) -> list[Kept]:
    """Copies of a request's latest channels: what it came in is not held on to."""
    heard, names = question.heard, [station.name for station in question.site.stations]
    fixes = len(heard.labels)
    kept = []
    for row in range(max(0, fixes - HELD_FIXES), fixes):
        links = np.flatnonzero(heard.fix == row)[:SHOWN_STATIONS]
        if not len(links):
            continue
        sounding = heard.sounding[links.tolist()]
        user = int(heard.labels.user[row]) if question.named else None
        told = tuple(names[column] for column in sounding.station.tolist())
        kept.append(Kept(user, number, row, sounding, told))
    return kept


def channel_told(kept: Kept) -> dict[str, Any]:
    """A `ChannelAnswer`."""
    sounding, row = kept.sounding, in_line(kept.sounding)
    return {
        "user": kept.user,
        "request": kept.request,
        "row": kept.row,
        "links": [
            {
                "station": name,
                "antennas": csi.shape[0],
                "subcarriers": csi.shape[1],
                "magnitude": _magnitude(csi),
                "profile": _profile(line, frequency, antenna),
            }
            for name, csi, line, frequency, antenna in zip(
                kept.names,
                sounding.csi.numpy().astype(np.complex128),
                row.csi.numpy().astype(np.complex128),
                row.frequency.double().numpy(),
                row.antenna.double().numpy(),
                strict=True,
            )
        ],
    }


def magnitude(csi: Complexes) -> Floats:
    """Mean power in at most `ROWS` by `COLUMNS` fields of (antenna, subcarrier) [dB]."""
    power = np.abs(csi) ** 2
    for axis, most in enumerate((ROWS, COLUMNS)):
        size = power.shape[axis]
        edges = np.linspace(0, size, min(size, most) + 1).astype(int)
        counts = np.diff(edges)
        power = np.add.reduceat(power, edges[:-1], axis) / np.expand_dims(counts, 1 - axis)
    level: Floats = 10 * np.log10(np.maximum(power, TINY))
    return level


def profile(
    csi: Complexes, frequency: Floats, antenna: Floats
) -> tuple[Floats, Floats, Floats] | None:
    """Power over azimuth and delay, (azimuth, delay) [dB], with both axes [rad], [s].

    A beam each way, all at the height of the station, each heard through an inverse Fourier
    transform; Hann windows keep strong paths from hiding weak ones. None of a single subcarrier.

    Args:
        csi: (antenna, subcarrier).
        frequency: (subcarrier,) from the carrier [Hz].
        antenna: (antenna, 3) in the station's frame [wavelengths].
    """
    order = np.argsort(frequency)
    frequency, csi = frequency[order], csi[:, order]
    if len(frequency) < 2:
        return None
    spacing = float(np.median(np.diff(frequency)))
    bandwidth = spacing * len(frequency)
    # A line across the way the station looks hears no difference between front and back.
    line = len(antenna) < 2 or float(np.ptp(antenna[:, [0, 2]], axis=0).max()) < 1e-6
    reach = math.pi / 2 if line else math.pi
    azimuth = np.linspace(-reach, reach, AZIMUTHS)
    towards = np.stack([np.cos(azimuth), np.sin(azimuth), np.zeros(AZIMUTHS)], -1)
    beams = np.exp(-2j * np.pi * (towards @ antenna.T)) * (_window(len(antenna)) if line else 1.0)
    heard = (beams @ csi) * _window(len(frequency))
    coarse = np.abs(np.fft.ifft(csi, axis=1)) ** 2
    strongest = float(coarse.sum(0).argmax()) / bandwidth
    begin = max(0.0, strongest - BEFORE / bandwidth)
    delay = begin + np.linspace(0, min(1 / spacing, SPAN / bandwidth), DELAYS)
    power = np.abs(heard @ np.exp(2j * np.pi * np.outer(frequency, delay))) ** 2
    return 10 * np.log10(np.maximum(power, TINY)), azimuth, delay


def _window(count: int) -> Floats:
    """Hann's, without its zeros."""
    window: Floats = np.hanning(count + 2)[1:-1]
    return window


def _profile(csi: Complexes, frequency: Floats, antenna: Floats) -> Mapping[str, Any] | None:
    found = profile(csi, frequency, antenna)
    if found is None:
        return None
    level, azimuth, delay = found
    ends = {"azimuth": [azimuth[0], azimuth[-1]], "delay": [delay[0], delay[-1]]}
    return _picture(level, RANGE_DB) | ends


def _magnitude(csi: Complexes) -> dict[str, Any]:
    level = magnitude(csi)
    deep = float(level.max() - np.quantile(level, 0.01))
    return _picture(level, float(np.clip(deep, *RANGES_DB)))


def _picture(level: Floats, below: float) -> dict[str, Any]:
    """A byte a field, row by row, 0 at so much below the brightest [dB]."""
    top = float(level.max())
    scaled = np.clip((level - top) / below + 1, 0, 1)
    field = np.round(scaled * LEVELS).astype(np.uint8)
    return {
        "rows": field.shape[0],
        "columns": field.shape[1],
        "top_db": round(top, 2),
        "range_db": round(below, 2),
        "levels": base64.b64encode(field.tobytes()).decode(),
    }
