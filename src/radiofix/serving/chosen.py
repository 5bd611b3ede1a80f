"""Links of chosen users of a store, as a receiver hears them: measured, or made of paths."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from radiofix.data.reception import Reception
from radiofix.data.store import PathStore
from radiofix.serving.sites import site_of
from radiofix.serving.soundings import Reading
from radiofix.serving.stores import PathSource, open_store
from radiofix.types import Sounding, Truth

Rows = NDArray[np.int64]


def chosen_links(store: PathStore, rows: Rows, reading: Reading) -> Sounding:
    """Links of some users that any station heard; links of one user follow each other.

    Args:
        store: measured, or of paths.
        rows: of the users; they are the sounding's `user`.
        reading: of a store of paths: its band, its array, its noise.
    """
    source = open_store(store.path, reading)
    if isinstance(source, PathSource):
        paths = store.links(users=rows)
        generator = torch.Generator().manual_seed(reading.seed)
        return source.channel.sound(paths[paths.present.any(1)], generator)
    csi = store.csi(users=rows)
    site = site_of(store) if reading.site is None else reading.site
    reception = Reception.of(site.stations, csi.frequency, csi.antenna_position)
    return reception.sounding(str(store.path), csi.values, csi.station, csi.user)


def truth_of(store: PathStore, sounding: Sounding) -> Truth:
    """Where the users of links stood; nobody asks of them whether they saw the station."""
    position = torch.from_numpy(store.dataset["user_position"].values[sounding.user.numpy()])
    return Truth(position.double(), torch.ones(len(sounding), dtype=torch.bool))


def labelled_rows(store: PathStore, most: int, seed: int, parts: tuple[str, ...] = ()) -> Rows:
    """At most so many users with a position, drawn by the seed.

    Args:
        store: to draw from.
        most: users.
        seed: of the draw.
        parts: of the split `region` that they are in, where the store has it; none: all.
    """
    rows = np.flatnonzero(store.labelled)
    if parts and "split_region" in store.dataset:
        inside = np.concatenate([store.split("region", part) for part in parts])
        rows = np.intersect1d(rows, inside)
    if not len(rows):
        raise ValueError(f"{store.path} has no user with a position: give a store with labels")
    return np.sort(np.random.default_rng(seed).permutation(rows)[:most]).astype(np.int64)
