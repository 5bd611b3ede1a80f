"""How fast the methods without a network are, on a store's channels."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from radiofix.classic.fingerprint import fit
from radiofix.classic.music import Music
from radiofix.classic.nomp import Nomp
from radiofix.classic.omp import Omp
from radiofix.classic.waves import Waves
from radiofix.data.store import PathStore
from radiofix.physics.arrays import ula
from radiofix.physics.channel import Channel
from radiofix.types import Sounding

FINDERS: Mapping[str, Callable[[Sounding], Waves]] = {
    "NOMP": Nomp(),
    "OMP": Omp(),
    "MUSIC": Music(),
}
VALIDATION = 500
"""Users that choose a fingerprint's feature and neighbours."""
CHANNEL = Channel(bandwidth=10e6, subcarriers=128, array=ula(32), snr_db=20.0)
PATHS = 5
"""Strongest ones of a link, as in the papers."""


def measure(
    store: PathStore, links: int, labels: int, station: int, repeats: int
) -> dict[str, Any]:
    """Times finders and look-ups at one station; medians over the repeats.

    Args:
        store: of paths.
        links: that are worked on.
        labels: channels that are looked up in.
        station: column of the store.
        repeats: of each.
    """
    users = np.random.default_rng(0).permutation(store.users)
    wanted = labels + VALIDATION + links
    if wanted > len(users):
        raise ValueError(
            f"{store.path} has {len(users)} users, {wanted} are asked for: ask for fewer links "
            "or labels"
        )
    known, aside, asked = np.split(users[:wanted], [labels, labels + VALIDATION])
    sounding, _ = _heard(store, asked, station)
    rates = {
        name: len(sounding) / _median_seconds(partial(finder, sounding), repeats)
        for name, finder in FINDERS.items()
    }
    begun = time.perf_counter()
    fingerprint = fit(*_heard(store, known, station), *_heard(store, aside, station))
    learnt = time.perf_counter() - begun
    seconds = _median_seconds(partial(fingerprint.locate, sounding), repeats)
    rates["kNN"] = len(sounding) / seconds
    return {
        "links_per_s": rates,
        "fingerprint_seconds": learnt,
        "links": len(sounding),
        "labels": labels,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }


def _heard(
    store: PathStore, users: NDArray[np.int64], station: int
) -> tuple[Sounding, torch.Tensor]:
    """Channels of users that a station hears, with noise, and where they stand."""
    paths = store.links(users=np.sort(users).tolist(), station=station)
    paths = paths[paths.present.any(-1)].strongest(PATHS)
    sounding = CHANNEL.sound(paths, torch.Generator().manual_seed(0))
    return sounding, paths.user_position


def _median_seconds(work: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        begun = time.perf_counter()
        work()
        times.append(time.perf_counter() - begun)
    return statistics.median(times)
