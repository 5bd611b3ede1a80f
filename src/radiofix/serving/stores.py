"""Stores as inputs: CSI that was measured, or CSI synthesised from paths."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

from radiofix.data.reception import Reception
from radiofix.data.store import Array, PathStore, open_paths
from radiofix.physics.arrays import ula
from radiofix.physics.channel import Channel
from radiofix.serving.fixes import NO_TRACK
from radiofix.serving.sites import site_of
from radiofix.serving.soundings import (
    Heard,
    Labels,
    Reading,
    Source,
    edges,
    expect_stations,
    heard,
    refuse_of_measured,
)


class PathSource:
    """CSI synthesised from a store of paths, as a receiver would have sounded it."""

    def __init__(self, store: PathStore, reading: Reading) -> None:
        self.store, self.seed = store, reading.seed
        self.name = str(store.path)
        self.site = site_of(store)
        if reading.site is not None:
            raise ValueError(f"{self.name} is a store of paths with its own stations: give none")
        for option, value in (("names", reading.names or None), ("axes", reading.axes)):
            if value is not None:
                raise ValueError(f"{self.name} is a store: {option} is for files, leave it out")
        if reading.bandwidth is None:
            raise ValueError(
                f"{self.name} is a store of paths: give bandwidth [Hz] to make CSI of it"
            )
        self.channel = Channel(
            bandwidth=reading.bandwidth,
            subcarriers=128 if reading.subcarriers is None else reading.subcarriers,
            array=ula(
                32 if reading.antennas is None else reading.antennas,
                0.5 if reading.ula_spacing is None else reading.ula_spacing,
            ),
            snr_db=reading.snr_db,
            first_subcarrier=reading.first_subcarrier,
        )
        self.fixes = _at_most(store.users, reading.users)

    def blocks(self) -> Iterator[Heard]:
        """Sounds the users in the order of the store; the seed gives the noise."""
        generator = torch.Generator().manual_seed(self.seed)
        stations = len(self.site.stations)
        row = stations * len(self.channel.array) * self.channel.subcarriers * 8
        warned = False
        for start, stop in pairwise(edges(self.fixes, row)):
            paths = self.store.links(users=slice(start, stop))
            there = paths.present.any(1)
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                sounding = self.channel.sound(paths[there], generator)
            # What one block warns of, a thousand would: it is said once.
            for warning in caught[: 0 if warned else 1]:
                warnings.warn(warning.message, stacklevel=2)
                warned = True
            fix = (paths.user[there] - start).numpy()
            yield Heard(self.name, sounding, fix, _labels(self.store, slice(start, stop)))


class MeasuredSource:
    """The CSI of a store that was imported."""

    def __init__(self, store: PathStore, reading: Reading) -> None:
        self.store = store
        self.name = str(store.path)
        self.site = site_of(store) if reading.site is None else reading.site
        sizes = store.dataset.sizes
        self.sizes = tuple(int(sizes[k]) for k in ("station", "antenna", "subcarrier"))
        refuse_of_measured(self.name, reading, self.sizes[1], self.sizes[2])
        for option in ("bandwidth", "ula_spacing", "first_subcarrier"):
            if getattr(reading, option) is not None:
                raise ValueError(f"{self.name} says its {option} itself: leave it out")
        for option, value in (("names", reading.names or None), ("axes", reading.axes)):
            if value is not None:
                raise ValueError(f"{self.name} is a store: {option} is for files, leave it out")
        expect_stations(self.name, self.site, self.sizes[0])
        self.fixes = _at_most(store.users, reading.users)

    def blocks(self) -> Iterator[Heard]:
        """Reads whole chunks of the store, and hands them on in pieces."""
        chunk = int(self.store.dataset["csi"].encoding["chunks"][0])
        row = int(np.prod(self.sizes)) * 8
        for first in range(0, self.fixes, chunk):
            last = min(first + chunk, self.fixes)
            csi = self.store.csi(users=slice(first, last))
            values = csi.values.reshape(last - first, *self.sizes)
            reception = Reception.of(self.site.stations, csi.frequency, csi.antenna_position)
            for start, stop in pairwise(edges(last - first, row)):
                labels = _labels(self.store, slice(first + start, first + stop))
                yield heard(self.name, values[start:stop], reception, labels)


def open_store(path: Path, reading: Reading) -> Source:
    """A store of either kind."""
    store = open_paths(path)
    return MeasuredSource(store, reading) if store.measured else PathSource(store, reading)


def _labels(store: PathStore, users: slice) -> Labels:
    """Times and tracks of some of a store's users, where it has them."""
    number = np.arange(users.start, users.stop)
    return Labels(
        number,
        _stored(store, "time", users, np.full(len(number), np.nan)),
        _stored(store, "track", users, np.full(len(number), NO_TRACK)),
    )


def _stored(store: PathStore, name: str, users: slice, absent: Array) -> Array:
    if name in store.dataset:
        return store.dataset[name].values[users].astype(absent.dtype)
    return absent


def _at_most(users: int, wanted: int | None) -> int:
    return users if wanted is None else min(users, wanted)
