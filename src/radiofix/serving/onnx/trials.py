"""Channels on which an exported model has to agree with torch before it is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from radiofix.data.store import PathStore
from radiofix.models.localizer import Localizer
from radiofix.models.lwlm import LwlmEncoder
from radiofix.physics.arrays import ula
from radiofix.physics.channel import Channel
from radiofix.physics.ofdm import Pilots, srs_pilots
from radiofix.types import Fix, Sounding

TOLERANCE = 1e-4
USERS = 16
"""Of each trial; every station hears them."""
NEAR = 1.0
"""Added to the distance from the station in a position's tolerance [m]."""


@dataclass(frozen=True, slots=True)
class Case:
    """A receiver to try."""

    bandwidth: float
    antennas: int
    subcarriers: int
    pilots: Pilots

    def __str__(self) -> str:
        comb = "" if self.pilots.everywhere else f", every {self.pilots.every_subcarrier}th pilot"
        return f"{self.antennas} x {self.subcarriers} at {self.bandwidth / 1e6:g} MHz{comb}"


CASES = (
    Case(10e6, 32, 128, Pilots()),
    Case(50e6, 32, 128, Pilots()),
    Case(10e6, 32, 128, srs_pilots(4, 1)),
    Case(50e6, 32, 128, srs_pilots(2)),
    Case(20e6, 8, 64, Pilots()),
    Case(10e6, 13, 52, Pilots()),
    Case(50e6, 64, 256, srs_pilots(2)),
    Case(10e6, 32, 128, srs_pilots(8, 5)),
)
"""At 10 and 50 MHz, whole and in combs, arrays and bands that fill no whole patches."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One of the cases, sounded."""

    case: Case
    sounding: Sounding


@dataclass(frozen=True, slots=True)
class Agreement:
    """The largest differences from torch over all trials."""

    links: int
    position: float
    """[m], over 1 m and the distance from the station."""
    covariance: float
    """Over the covariance's largest entry."""
    trusted: int
    """Links on which they differ."""

    @property
    def well(self) -> bool:
        """Whether they agree to `TOLERANCE`, and everywhere on what to believe."""
        return max(self.position, self.covariance) <= TOLERANCE and self.trusted == 0

    def __str__(self) -> str:
        return (
            f"{self.links:,} links: positions within {self.position:.1e} of their distance from "
            f"the station, covariances within {self.covariance:.1e}, "
            f"{self.trusted} of them trusted otherwise"
        )


def size_of(localizer: Localizer) -> tuple[int, int] | None:
    """Antennas and subcarriers of a localizer that takes no others; None: it takes any."""
    encoder = localizer.encoder
    return (encoder.antennas, encoder.subcarriers) if isinstance(encoder, LwlmEncoder) else None


def trials(store: PathStore, localizer: Localizer, seed: int = 0) -> list[Trial]:
    """Channels of a store's users in every case that the localizer takes.

    Args:
        store: of paths.
        localizer: that is exported.
        seed: of users and noise.
    """
    if store.measured:
        raise ValueError(f"{store.path} is measured: check against a store of paths")
    size = size_of(localizer)
    cases = [case for case in CASES if size in (None, (case.antennas, case.subcarriers))]
    rows = np.random.default_rng(seed).permutation(store.users)[:USERS]
    paths = store.links(users=np.sort(rows))
    generator = torch.Generator().manual_seed(seed)
    found = []
    for case in cases or [Case(10e6, *(size or (32, 128)), Pilots())]:
        channel = Channel(
            bandwidth=case.bandwidth,
            subcarriers=case.subcarriers,
            array=ula(case.antennas),
            snr_db=20.0,
            pilots=case.pilots,
        )
        found.append(Trial(case, channel.sound(paths, generator)))
    return found


def agreement(pairs: Sequence[tuple[Sounding, Fix, Fix]]) -> Agreement:
    """How far two localizers are apart, by what both say of the same soundings."""
    away, spread, otherwise = [0.0], [0.0], 0
    for sounding, ours, theirs in pairs:
        # Nowhere in both is agreement; nowhere in one alone stays NaN, which is infinitely far.
        somewhere = ~(ours.position.isnan() & theirs.position.isnan()).all(-1)
        otherwise += int((ours.trusted != theirs.trusted).sum())
        if not bool(somewhere.any()):
            continue
        sounding, ours, theirs = sounding[somewhere], ours[somewhere], theirs[somewhere]
        station = sounding.station_position.double()
        reach = NEAR + (ours.position - station).norm(dim=-1)
        away.append(_worst((theirs.position - ours.position).norm(dim=-1) / reach))
        size = ours.covariance.abs().amax((1, 2))
        gap = (theirs.covariance - ours.covariance).abs().amax((1, 2))
        spread.append(_worst(gap / size))
    links = sum(len(sounding) for sounding, _, _ in pairs)
    return Agreement(links, max(away), max(spread), otherwise)


def _worst(values: torch.Tensor) -> float:
    """The largest; what is no number is infinitely far off."""
    return float(values.nan_to_num(nan=torch.inf).max())
