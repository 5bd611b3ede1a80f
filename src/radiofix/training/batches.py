"""Batches of links drawn anew at every step: pairs of views, or links with their labels."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from radiofix.objectives.objective import Views
from radiofix.physics.arrays import ula
from radiofix.physics.channel import AliasWarning, Channel
from radiofix.physics.impairments import Impairments, add_noise, mean_power
from radiofix.physics.ofdm import Pilots
from radiofix.training.measured import MeasuredPool, Recorded
from radiofix.training.pool import Pool
from radiofix.types import Paths, Sounding, Truth

SURVEYED = 4096
"""Users whose delays are looked at before a run."""


@dataclass(frozen=True)
class Receiver:
    """What the stations of a run can be like; each link draws its band and its noise.

    Measured CSI has a band and an array: of what is asked for here, faults and noise come on top
    of those it has, and what is off the pilots is left out.
    """

    bandwidths: tuple[float, ...] = (10e6,)
    """Each link has one of them [Hz]."""
    antennas: int = 32
    """Of a uniform linear array."""
    spacing: float = 0.5
    """Between antennas [wavelengths]."""
    subcarriers: int = 128
    snr_db: float | tuple[float, float] | None = None
    """One for all links, or the range that each link draws its own from."""
    pilots: Pilots | None = None
    """Where there is CSI; None: everywhere."""
    impairments: Impairments | None = None
    """Faults of the hardware; None: none."""
    paths: int | None = None
    """Strongest paths of a link that are used; None: all."""

    def __post_init__(self) -> None:
        if not self.bandwidths:
            raise ValueError("bandwidths is empty: give at least one")
        self.channel(min(self.bandwidths), None)
        if isinstance(self.snr_db, tuple) and not self.snr_db[0] <= self.snr_db[1]:
            raise ValueError(f"snr_db={self.snr_db} must be (lowest, highest)")

    def channel(self, bandwidth: float | Tensor, snr_db: float | Tensor | None) -> Channel:
        """The channel of links with these bands [Hz] and noise."""
        return Channel(
            bandwidth=bandwidth,
            subcarriers=self.subcarriers,
            array=ula(self.antennas, self.spacing),
            snr_db=snr_db,
            pilots=self.pilots or Pilots(),
            impairments=self.impairments or Impairments(),
        )

    def sound(
        self, links: Paths | Recorded, band: Int[Tensor, " link"], generator: torch.Generator
    ) -> Sounding:
        """The soundings of links, each with one of `bandwidths` and noise of its own."""
        bandwidth = torch.tensor(self.bandwidths, dtype=torch.float64, device=band.device)[band]
        noise: float | Tensor | None
        if isinstance(self.snr_db, tuple):
            low, high = self.snr_db
            share = torch.rand(len(band), generator=generator, device=band.device)
            noise = low + (high - low) * share
        else:
            noise = self.snr_db
        if isinstance(links, Recorded):
            return self._on_top(links.sounding, noise, generator)
        return self._through(self.channel(bandwidth, noise), links, generator)

    def ideal(self, links: Paths | Recorded) -> Sounding:
        """The links at the widest bandwidth, without noise, faults, or gaps between pilots.

        Measured ones are handed on as they are.
        """
        if isinstance(links, Recorded):
            return links.sounding
        widest = Channel(max(self.bandwidths), self.subcarriers, ula(self.antennas, self.spacing))
        return self._through(widest, links, None)

    @property
    def faultless(self) -> Receiver:
        """The same without noise and faults."""
        return replace(self, snr_db=None, impairments=None)

    def _through(
        self, channel: Channel, paths: Paths, generator: torch.Generator | None
    ) -> Sounding:
        with warnings.catch_warnings():
            # Told once for the run, by `warn_of_aliases`.
            warnings.simplefilter("ignore", AliasWarning)
            return channel.sound(self.chosen(paths), generator)

    def _on_top(
        self, sounding: Sounding, snr_db: float | Tensor | None, generator: torch.Generator
    ) -> Sounding:
        """Measured links with faults and noise beside their own."""
        seen = sounding.csi != 0
        antennas, subcarriers = seen.shape[1:]
        faults = self.impairments or Impairments()
        drawn = faults.draw(sounding.user, sounding.station, antennas, generator)
        csi = drawn.on(sounding.csi, sounding.frequency)
        if snr_db is not None:
            share = seen.flatten(1).double().mean(1)
            ratio = 10 ** (-torch.as_tensor(snr_db, device=share.device) / 10)
            csi = add_noise(csi, mean_power(csi) / share * ratio, generator)
        if self.pilots is not None:
            seen = seen & self.pilots.mask(antennas, subcarriers, csi.device)
        return sounding.with_csi(csi * seen)

    def chosen(self, paths: Paths) -> Paths:
        """The paths that are used."""
        return paths if self.paths is None else paths.strongest(self.paths)


def warn_of_aliases(receiver: Receiver, pool: Pool) -> None:
    """Warns, once for a run, where delays are too long for the widest spacing of the pilots.

    Of measured CSI delays are not known.
    """
    if isinstance(pool, MeasuredPool):
        return
    users = torch.arange(min(SURVEYED, len(pool.reachable)), device=pool.reachable.device)
    row, station = pool.reachable[users].nonzero(as_tuple=True)
    links = pool.take(row, station)
    assert isinstance(links, Paths)
    longest = float(receiver.chosen(links).delay.max())
    every = (receiver.pilots or Pilots()).every_subcarrier
    spacing = max(receiver.bandwidths) / receiver.subcarriers * every
    if longest * spacing > 1:
        warnings.warn(
            f"delays alias: the largest is {longest * 1e6:.3g} us, too long for pilots "
            f"{spacing:g} Hz apart: take more subcarriers or less bandwidth",
            AliasWarning,
            stacklevel=2,
        )


class Partner(Protocol):
    """Which views of a user may be the second, given the first."""

    def allowed(
        self, station: Int[Tensor, " link"], band: Int[Tensor, " link"], stations: int, bands: int
    ) -> Bool[Tensor, "link station band"]:
        """True where a station and a bandwidth may be the second view's."""
        ...


@dataclass(frozen=True, slots=True)
class AnyOther:
    """Another station or another bandwidth, as published."""

    def allowed(
        self, station: Int[Tensor, " link"], band: Int[Tensor, " link"], stations: int, bands: int
    ) -> Bool[Tensor, "link station band"]:
        """All but the first view itself."""
        same_station, same_band = _same(station, stations), _same(band, bands)
        return ~(same_station[:, :, None] & same_band[:, None, :])


@dataclass(frozen=True, slots=True)
class OtherBandwidth:
    """The same station at another bandwidth."""

    def allowed(
        self, station: Int[Tensor, " link"], band: Int[Tensor, " link"], stations: int, bands: int
    ) -> Bool[Tensor, "link station band"]:
        """The first view's station, any other bandwidth."""
        return _same(station, stations)[:, :, None] & ~_same(band, bands)[:, None, :]


@dataclass(frozen=True, slots=True)
class OtherStation:
    """Another station at any bandwidth."""

    def allowed(
        self, station: Int[Tensor, " link"], band: Int[Tensor, " link"], stations: int, bands: int
    ) -> Bool[Tensor, "link station band"]:
        """Any station but the first view's."""
        return (~_same(station, stations))[:, :, None].expand(-1, -1, bands)


class Epochs:
    """Users drawn without replacement, epoch after epoch; its place is two numbers."""

    def __init__(self, pool: Pool, batch: int) -> None:
        users = len(pool.reachable)
        if not 1 <= batch <= users:
            raise ValueError(f"batch must be from 1 to the {users} users there are, got {batch}")
        self.batch, self._pool = batch, pool
        self._seed, self._next = -1, users
        self._order = torch.empty(0, dtype=torch.int64)

    def draw(self, generator: torch.Generator) -> Int[Tensor, " link"]:
        """The next users, each once; what is left of an epoch beyond whole batches is dropped."""
        if self._next + self.batch > len(self._pool.reachable):
            seed = torch.randint(2**62, (1,), generator=generator, device=generator.device)
            self.load_state_dict({"seed": int(seed), "next": 0})
        chosen = self._order[self._next : self._next + self.batch]
        self._next += self.batch
        return chosen

    def state_dict(self) -> dict[str, int]:
        """The place in the epoch."""
        return {"seed": self._seed, "next": self._next}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Goes to a place."""
        self._seed, self._next = state["seed"], state["next"]
        if self._seed >= 0:
            self._order = self._pool.order(torch.Generator().manual_seed(self._seed))


class PretrainBatches:
    """Pairs of views of users drawn without replacement; a user appears once a batch."""

    def __init__(
        self,
        pool: Pool,
        receiver: Receiver,
        batch: int,
        partner: Partner | None = None,
        place: Float[Tensor, "user 3"] | None = None,
    ) -> None:
        """Takes the links to draw from.

        Args:
            pool: of users.
            receiver: of their channels.
            batch: users in each.
            partner: which views may be second; None: any other.
            place: where witnesses saw each user of the pool [m].
        """
        self.pool, self.receiver, self.place = pool, receiver, place
        self.partner = AnyOther() if partner is None else partner
        self.epochs = Epochs(pool, batch)

    def draw(self, generator: torch.Generator) -> Views:
        """The next users' views; where no partner is allowed the second is the first, drawn anew.

        Args:
            generator: of order, stations, bandwidths, noise and faults, on the pool's device.
        """
        user = self.epochs.draw(generator)
        reachable = self.pool.reachable[user][:, :, None]
        measured = isinstance(self.pool, MeasuredPool)
        bands = 1 if measured else len(self.receiver.bandwidths)
        shape = (len(user), reachable.shape[1], bands)
        station, band = _draw_one(reachable.expand(shape), generator)
        partners = self.partner.allowed(station, band, shape[1], bands) & reachable
        itself = ~AnyOther().allowed(station, band, shape[1], bands)
        nobody = ~partners.flatten(1).any(-1)[:, None, None]
        station_2, band_2 = _draw_one(partners | (itself & nobody), generator)
        links = self.pool.take(user, station)
        return Views(
            first=self.receiver.sound(links, band, generator),
            second=self.receiver.sound(self.pool.take(user, station_2), band_2, generator),
            widest=self.receiver.ideal(links),
            place=None if self.place is None else self.place[user],
        )


class LabelledBatches:
    """Links of users drawn without replacement, with their labels: fresh noise at every step."""

    def __init__(
        self, pool: Pool, receiver: Receiver, batch: int, fewest_stations: int | None = None
    ) -> None:
        stations = pool.reachable.shape[1]
        if fewest_stations is not None and not 1 <= fewest_stations <= stations:
            raise ValueError(f"fewest_stations={fewest_stations} must be from 1 to {stations}")
        self.pool, self.receiver, self.fewest_stations = pool, receiver, fewest_stations
        self.epochs = Epochs(pool, batch)

    def draw(self, generator: torch.Generator) -> tuple[Sounding, Truth]:
        """The next users' links to all their stations, or to some drawn for each user.

        Links of one user follow each other.
        """
        user = self.epochs.draw(generator)
        kept = self._kept(self.pool.reachable[user], generator)
        return self._links(user, kept, self.receiver, generator)

    def all(self, generator: torch.Generator) -> list[tuple[Sounding, Truth]]:
        """Every user's links to all stations, batch by batch, in the order of the store."""
        return list(self.each(generator))

    def each(self, generator: torch.Generator) -> Iterator[tuple[Sounding, Truth]]:
        """The same, one batch after the other: those of many users take gigabytes.

        Measured CSI has its noise and its faults, and is given as it is: what a receiver puts on
        top of them is for training.
        """
        measured = isinstance(self.pool, MeasuredPool)
        receiver = self.receiver.faultless if measured else self.receiver
        users = torch.arange(len(self.pool.reachable), device=self.pool.reachable.device)
        for user in torch.split(users, self.epochs.batch):
            yield self._links(user, self.pool.reachable[user], receiver, generator)

    def _kept(
        self, reachable: Bool[Tensor, "user station"], generator: torch.Generator
    ) -> Bool[Tensor, "user station"]:
        """Which links are used: between `fewest_stations` and all of a user's."""
        if self.fewest_stations is None:
            return reachable
        device = reachable.device
        draw = torch.rand(reachable.shape, generator=generator, device=device)
        rank = draw.masked_fill(~reachable, 2).argsort(-1).argsort(-1)
        there = reachable.sum(-1)
        fewest = there.clamp(max=self.fewest_stations)
        share = torch.rand(len(reachable), generator=generator, device=device)
        count = fewest + (share * (there - fewest + 1)).long()
        return reachable & (rank < count[:, None])

    def _links(
        self,
        user: Int[Tensor, " user"],
        kept: Bool[Tensor, "user station"],
        receiver: Receiver,
        generator: torch.Generator,
    ) -> tuple[Sounding, Truth]:
        row, station = kept.nonzero(as_tuple=True)
        links = self.pool.take(user[row], station)
        bands = len(receiver.bandwidths)
        band = torch.randint(bands, (len(row),), generator=generator, device=row.device)
        sounding = receiver.sound(links, band, generator)
        return sounding, Truth(links.user_position, links.line_of_sight)


def _same(chosen: Int[Tensor, " link"], count: int) -> Bool[Tensor, "link choice"]:
    return chosen[:, None] == torch.arange(count, device=chosen.device)


def _draw_one(
    allowed: Bool[Tensor, "link station band"], generator: torch.Generator
) -> tuple[Int[Tensor, " link"], Int[Tensor, " link"]]:
    """A station and a band for each link, every allowed pair as likely as another."""
    draw = torch.rand(allowed.shape, generator=generator, device=allowed.device)
    choice = draw.masked_fill(~allowed, -1).flatten(1).argmax(-1)
    bands = allowed.shape[2]
    return choice // bands, choice % bands
