"""Channels on their way to a model, a bounded block at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Complex, Float, Int
from numpy.typing import NDArray
from torch import Tensor

from radiofix.physics.presence import AMPLITUDES
from radiofix.serving.sites import Site
from radiofix.types import SPEED_OF_LIGHT, Sounding

BLOCK_BYTES = 2**25
"""CSI held at a time, about."""
BLOCK_USERS = 4096
"""Users held at a time, at most."""


@dataclass(frozen=True, slots=True)
class Labels:
    """What is told of fixes beside their channels."""

    user: NDArray[np.int64]
    """(fix,)"""
    time: NDArray[np.float64]
    """(fix,) NaN where there is none [s]."""
    track: NDArray[np.int64]
    """(fix,) `NO_TRACK` where there is none."""

    def __len__(self) -> int:
        return len(self.user)

    def __getitem__(self, fixes: slice | NDArray[np.int64]) -> Labels:
        """Of the chosen fixes."""
        return Labels(self.user[fixes], self.time[fixes], self.track[fixes])


@dataclass(frozen=True, slots=True)
class Heard:
    """Channels of some users: those links alone whose station heard something."""

    source: str
    sounding: Sounding
    fix: NDArray[np.int64]
    """(link,) row of the labels that each link belongs to."""
    labels: Labels


@dataclass(frozen=True, slots=True)
class Reception:
    """The stations of measured CSI, each with its band and its array."""

    site: Site
    frequency: Float[Tensor, "station subcarrier"]
    """From the station's carrier [Hz]."""
    antenna: Float[Tensor, "station antenna 3"]
    """In the station's frame [wavelengths]."""

    @classmethod
    def of(
        cls,
        site: Site,
        frequency: Float[Tensor, " subcarrier"],
        antenna_position: Float[Tensor, "antenna 3"],
    ) -> Reception:
        """From absolute frequencies [Hz] and antenna positions [m] that all stations share."""
        carrier = site.carrier_frequency
        return cls(
            site,
            frequency.double() - carrier[:, None],
            in_wavelengths(antenna_position.double(), carrier),
        )


@dataclass(frozen=True, slots=True)
class Reading:
    """What is to be known of an input beside what it holds itself."""

    site: Site | None = None
    """Stations; None: the input's own."""
    bandwidth: float | None = None
    """N times the subcarriers' spacing [Hz]."""
    antennas: int | None = None
    subcarriers: int | None = None
    ula_spacing: float | None = None
    """Of the antennas along the station's y axis [wavelengths]."""
    first_subcarrier: int | None = None
    """Number of the lowest subcarrier; None: -(N // 2)."""
    snr_db: float | None = None
    """Of the CSI that is made of paths; None: no noise."""
    seed: int = 0
    """Of that noise."""
    users: int | None = None
    """At most so many of each input; None: all."""
    names: tuple[tuple[str, str], ...] = ()
    """What is called how in a file: pairs of our name and the file's."""
    axes: str | None = None
    """Of a file's CSI, in order; None: user, station (where there are four), antenna, subcarrier.
    """


class Source(Protocol):
    """An input that has been opened: its site, its size, and its channels in blocks."""

    @property
    def name(self) -> str:
        """What messages and fixes call it."""
        ...

    @property
    def site(self) -> Site:
        """Its stations and its origin."""
        ...

    @property
    def fixes(self) -> int:
        """How many it will lead to."""
        ...

    def blocks(self) -> Iterator[Heard]:
        """Its channels, a bounded number at a time, in order."""
        ...


def heard(
    name: str,
    csi: Complex[Tensor, "row station antenna subcarrier"],
    reception: Reception,
    labels: Labels,
) -> Heard:
    """Measured CSI, a row a user, as a model takes it; links of zeros are left out."""
    rows, stations = csi.shape[:2]
    station = torch.arange(stations).repeat(rows)
    fix = torch.arange(rows).repeat_interleave(stations)
    return heard_links(name, csi.flatten(0, 1), reception, station, fix, labels)


def heard_links(
    name: str,
    csi: Complex[Tensor, "link antenna subcarrier"],
    reception: Reception,
    station: Int[Tensor, " link"],
    fix: Int[Tensor, " link"],
    labels: Labels,
) -> Heard:
    """Measured links as a model takes them, once they are known to be sound.

    Args:
        name: of the input.
        csi: linear amplitude; a link of zeros was not measured.
        reception: of its stations.
        station: of each link.
        fix: that each link belongs to, a row of the labels.
        labels: of the fixes.
    """
    there = (csi != 0).flatten(1).any(1)
    if not bool(there.all()):
        csi, station, fix = csi[there], station[there], fix[there]
    csi = csi.to(torch.complex64)
    _refuse_broken(name, csi, reception.site, station)
    sounding = Sounding(
        csi=csi,
        frequency=reception.frequency[station].float(),
        antenna=reception.antenna[station].float(),
        station_position=reception.site.position[station],
        station_orientation=reception.site.orientation[station],
        user=fix,
        station=station,
    )
    return Heard(name, sounding, fix.numpy(), labels)


def in_wavelengths(
    antenna_position: Float[Tensor, "antenna 3"], carrier: Float[Tensor, " station"]
) -> Float[Tensor, "station antenna 3"]:
    """Antenna positions [m] in the wavelength of each station's carrier [Hz]."""
    return antenna_position * (carrier / SPEED_OF_LIGHT)[:, None, None]


def _refuse_broken(
    name: str, csi: Complex[Tensor, "link antenna subcarrier"], site: Site, station: Tensor
) -> None:
    if not len(csi):
        return
    largest = csi.abs().flatten(1).amax(1)
    if bool(((largest >= AMPLITUDES[0]) & (largest <= AMPLITUDES[1])).all()):
        return
    for wrong, what in (
        (~torch.isfinite(largest), "is not finite: set what was not measured to 0"),
        (largest > AMPLITUDES[1], f"exceeds {AMPLITUDES[1]:g}: give it as linear amplitude"),
        (largest < AMPLITUDES[0], f"stays below {AMPLITUDES[0]:g}: give it as linear amplitude"),
    ):
        if bool(wrong.any()):
            first = site.stations[int(station[wrong.nonzero()[0, 0]])].name
            raise ValueError(
                f"{name}: the csi of {int(wrong.sum())} links, the first of station {first}, {what}"
            )


def edges(rows: int, row_bytes: int) -> list[int]:
    """Where blocks of rows begin, and the end, so that a block is small enough to hold."""
    step = min(BLOCK_USERS, max(1, BLOCK_BYTES // max(1, row_bytes)))
    return [*range(0, rows, step), rows]


def refuse_of_measured(name: str, reading: Reading, antennas: int, subcarriers: int) -> None:
    """Measured CSI has its noise and its size already."""
    if reading.snr_db is not None:
        raise ValueError(f"{name} is measured CSI with noise of its own: leave snr_db out")
    for what, has in (("antennas", antennas), ("subcarriers", subcarriers)):
        said = getattr(reading, what)
        if said is not None and said != has:
            raise ValueError(f"{name} has {has} {what}, not {said}: mend axes, or leave {what} out")


def expect_stations(name: str, site: Site, stations: int) -> None:
    """As many stations as the CSI has."""
    if len(site.stations) != stations:
        raise ValueError(
            f"{name} has CSI of {stations} stations, {len(site.stations)} are given: "
            "name each one, in the order of the CSI"
        )
