"""A request as arrays, and what a model is given of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from radiofix.data.reception import Reception, in_wavelengths
from radiofix.data.store import Array
from radiofix.physics.arrays import ula
from radiofix.physics.ofdm import subcarrier_index
from radiofix.serving.fixes import NO_TRACK
from radiofix.serving.http.limits import Limits
from radiofix.serving.http.refusals import Refusal
from radiofix.serving.sites import Site
from radiofix.serving.soundings import (
    Heard,
    Labels,
    heard,
    heard_links,
)

TITLE = "the request"
PLACES = ("ula_spacing", "antenna_position", "antenna_wavelengths")
"""Names under which a request tells where its antennas are."""
Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """What a client sent, in the words of the files that `radiofix locate` reads."""

    csi: Array
    """(antenna, subcarrier), (user, antenna, subcarrier), (user, station, antenna, subcarrier)."""
    stations: Site | tuple[str, ...] | None = None
    """The client's own, names of the server's, or None: all of the server's."""
    bandwidth: float | None = None
    """N times the subcarriers' spacing [Hz]."""
    frequency: Numbers | None = None
    """(subcarrier,) absolute, in place of the bandwidth [Hz]."""
    ula_spacing: float | None = None
    """[wavelengths]."""
    antenna_position: Numbers | None = None
    """(antenna, 3) in the station's frame, in place of the spacing [m]."""
    antenna_wavelengths: Numbers | None = None
    """(antenna, 3) likewise [wavelengths of each station's carrier]."""
    first_subcarrier: int | None = None
    user: Numbers | None = None
    time: Numbers | None = None
    track: Numbers | None = None
    station: Numbers | None = None
    """(user,) of three axes: the number of the station that received each row."""
    user_position: Numbers | None = None
    """(user, 3) where the users were, NaN where nobody knows: for viewers, not for models."""


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """A request that can be located."""

    heard: Heard
    site: Site
    """Its stations; with an origin where that is known."""
    named: bool = False
    """Whether the client said which user is which."""
    truth: Numbers | None = None
    """(fix, 3) where the users were, where the client said so [m]."""


def understand(asked: Asked, own: Site | None, limits: Limits) -> Question:
    """What is asked, once it is known to make sense.

    Args:
        asked: what a client sent.
        own: the server's stations, where it has some.
        limits: on the size of a request.

    Raises:
        ValueError: with what is wrong in one line.
    """
    site = _site(asked, own)
    csi = _csi(asked.csi, limits)
    rows, stations, antennas, subcarriers = csi.shape
    labels = _labels(asked, rows)
    reception = _reception(asked, site, antennas, subcarriers)
    truth = _truth(asked, rows)
    if asked.station is None:
        if stations != len(site.stations):
            raise ValueError(
                f"csi has {stations} stations, {len(site.stations)} are given: name in stations "
                "those that heard, in the order of the csi"
            )
        sent = heard(TITLE, csi, reception, labels)
        return Question(sent, site, asked.user is not None, truth)
    if stations > 1:
        raise ValueError("csi has an axis of stations and a station a row: leave one out")
    station = _station(asked.station, rows, len(site.stations))
    first = _first_rows(labels) if asked.user is not None else np.arange(rows)
    fix = np.searchsorted(first, np.arange(rows), "right") - 1
    links = torch.from_numpy(station), torch.from_numpy(fix)
    sent = heard_links(TITLE, csi[:, 0], reception, *links, labels[first])
    return Question(sent, site, asked.user is not None, None if truth is None else truth[first])


def _site(asked: Asked, own: Site | None) -> Site:
    if isinstance(asked.stations, Site):
        return asked.stations
    if own is None:
        raise ValueError(
            "this server has no stations of its own: send stations with their position, "
            "orientation and carrier_frequency"
        )
    if asked.stations is None:
        return own
    known = {station.name: station for station in own.stations}
    if unknown := [name for name in asked.stations if name not in known]:
        raise ValueError(f"stations has {unknown[0]!r:.60}, which is none of {', '.join(known)}")
    if not asked.stations:
        raise ValueError("stations is empty: leave it out for all of the server's")
    return Site(tuple(known[name] for name in asked.stations), own.origin)


def _csi(csi: Array, limits: Limits) -> Tensor:
    """(user, station, antenna, subcarrier)."""
    if csi.dtype.kind not in "iufc":
        raise ValueError("csi must be an even block of numbers: mend its rows")
    if csi.ndim not in (2, 3, 4) or not csi.size:
        raise ValueError(
            f"csi has shape {csi.shape}: send (user, station, antenna, subcarrier), "
            "(user, antenna, subcarrier) or (antenna, subcarrier)"
        )
    antennas, subcarriers = csi.shape[-2:]
    users, stations = (*csi.shape[:-2], 1, 1)[:2]
    for name, count, most in (
        ("antennas", antennas, limits.antennas),
        ("subcarriers", subcarriers, limits.subcarriers),
        ("antennas times subcarriers", antennas * subcarriers, limits.elements),
    ):
        if count > most:
            raise ValueError(f"csi has {count} {name}, at most {most} can be located")
    if users * stations > limits.links:
        raise Refusal(
            413,
            f"the request has {users * stations} links, at most {limits.links}: send it in parts",
        )
    with np.errstate(over="ignore", invalid="ignore"):
        values = np.array(csi, dtype=np.complex64, order="C")
    return torch.from_numpy(values.reshape(users, stations, antennas, subcarriers))


def _reception(asked: Asked, site: Site, antennas: int, subcarriers: int) -> Reception:
    carrier = site.carrier_frequency
    return Reception(
        site.stations,
        _frequency(asked, carrier, subcarriers),
        _antenna(asked, carrier, antennas),
    ).checked("the request")


def _frequency(asked: Asked, carrier: Tensor, subcarriers: int) -> Tensor:
    """(station, subcarrier), from the station's carrier [Hz]."""
    if (asked.frequency is None) == (asked.bandwidth is None):
        raise ValueError("the request needs either bandwidth or frequency [Hz]")
    if asked.frequency is not None:
        frequency = _finite("frequency", asked.frequency, subcarriers)
        if asked.first_subcarrier is not None:
            raise ValueError("the request has frequency: leave first_subcarrier out")
        if (frequency <= 0).any() or len(np.unique(frequency)) != len(frequency):
            raise ValueError("frequency must be positive and distinct [Hz]")
        return torch.from_numpy(frequency) - carrier[:, None]
    bandwidth = _positive("bandwidth", asked.bandwidth)
    first = asked.first_subcarrier
    if first is not None and abs(first) > 2**20:
        raise ValueError(f"first_subcarrier={first} is absurd: count from the carrier")
    index = subcarrier_index(subcarriers, first)
    return (index * (bandwidth / subcarriers)).double().expand(len(carrier), -1)


def _antenna(asked: Asked, carrier: Tensor, antennas: int) -> Tensor:
    """(station, antenna, 3), in the station's frame [wavelengths]."""
    told = {n: v for n in PLACES if (v := getattr(asked, n)) is not None}
    if len(told) > 1:
        raise ValueError(f"the request has {' and '.join(told)}: leave one out")
    if not told and antennas > 1:
        raise ValueError(f"{antennas} antennas have no places: send one of {', '.join(PLACES)}")
    if asked.antenna_position is not None:
        position = _places("antenna_position", asked.antenna_position, antennas)
        return in_wavelengths(position, carrier)
    if asked.antenna_wavelengths is not None:
        position = _places("antenna_wavelengths", asked.antenna_wavelengths, antennas)
        return position.expand(len(carrier), -1, -1)
    spacing = 0.5 if asked.ula_spacing is None else _positive("ula_spacing", asked.ula_spacing)
    return ula(antennas, spacing).positions.expand(len(carrier), -1, -1)


def _places(name: str, position: Numbers, antennas: int) -> Tensor:
    if position.shape != (antennas, 3):
        raise ValueError(f"{name} has shape {position.shape}, expected ({antennas}, 3)")
    return torch.from_numpy(_finite(name, position.reshape(-1), 3 * antennas).reshape(-1, 3))


def _labels(asked: Asked, rows: int) -> Labels:
    def column(name: str, absent: Numbers) -> Numbers:
        values: Numbers | None = getattr(asked, name)
        return absent if values is None else _finite(name, values, rows)

    return Labels(
        _whole("user", column("user", np.arange(rows, dtype=np.float64))),
        column("time", np.full(rows, np.nan)),
        _whole("track", column("track", np.full(rows, float(NO_TRACK)))),
    )


def _truth(asked: Asked, rows: int) -> Numbers | None:
    truth = asked.user_position
    if truth is not None and truth.shape != (rows, 3):
        raise ValueError(f"user_position has shape {truth.shape}, expected ({rows}, 3)")
    return truth


def _station(column: Numbers, rows: int, stations: int) -> NDArray[np.int64]:
    station = _whole("station", _finite("station", column, rows))
    wrong = (station < 0) | (station >= stations)
    if wrong.any():
        raise ValueError(
            f"station {station[wrong][0]} is none of the {stations} that are known: "
            "count them from 0"
        )
    return station


def _first_rows(labels: Labels) -> NDArray[np.int64]:
    """Of each fix: rows of one user and time follow each other."""
    same_time = (labels.time[1:] == labels.time[:-1]) | np.isnan(labels.time[1:])
    begins = (labels.user[1:] != labels.user[:-1]) | ~same_time
    return np.flatnonzero(np.concatenate([[True], begins]))


def _finite(name: str, values: Numbers, count: int) -> Numbers:
    if values.shape != (count,):
        raise ValueError(f"{name} has shape {values.shape}, expected ({count},)")
    if not np.isfinite(values).all():
        raise ValueError(f"{name} must be finite numbers: mend or leave it out")
    return values


def _whole(name: str, values: Numbers) -> NDArray[np.int64]:
    if (np.abs(values) > 2**53).any() or (values != np.round(values)).any():
        raise ValueError(f"{name} must be whole numbers below 2^53")
    return values.astype(np.int64)


def _positive(name: str, value: float | None) -> float:
    if value is None or not 0 < value < np.inf:
        raise ValueError(f"{name} must be a positive number, got {value}")
    return value


def names_of(stations: Sequence[str]) -> tuple[str, ...]:
    """Names of the server's stations, each once."""
    if len(set(stations)) != len(stations):
        raise ValueError("stations names one twice: each is heard once a user")
    return tuple(stations)
