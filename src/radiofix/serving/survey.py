"""Where the next labelled points of a site are worth most, by what a model says of its channels.

A point is worth the stated uncertainty it takes off the channels that are like it. With d(u, c) the
distance of two users, half on the ground and half between their channels' features, and s_u the
deviation that the model states of user u, points c are taken one by one so that each lowers

    sum over users u of s_u * (distance from u to the nearest point that is chosen or labelled)

as much as any can (facility location: never less than 63 % of what the best set would lower it by).
Taking the most uncertain users alone would ask many times for the same bad corner, and the farthest
ones alone (k-centre) for outliers; here a lonely user counts as one, a crowd as a crowd. Places by
themselves would not do: those of uncertain users are wrong, and it is there that points are wanted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from radiofix.data.store import PathStore
from radiofix.models.localizer import Localizer
from radiofix.serving.chosen import Rows, chosen_links
from radiofix.serving.fixes import NO_TRACK
from radiofix.serving.locating import locate
from radiofix.serving.soundings import Heard, Labels, Reading

Floats = NDArray[np.float64]
CANDIDATES = 2000
"""Users that are looked at; more of them stand beside each other."""
_TOGETHER = 256
"""Users whose channels are held at a time."""
_UNCERTAIN = 1.5
"""Times the usual deviation from which on it is a reason of its own."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """Users whose channels were heard, and what a model makes of them."""

    user: Rows
    """(user,) rows of the store."""
    position: Floats
    """(user, 3) where the model puts them [m]."""
    covariance: Floats
    """(user, 3, 3) [m^2]."""
    trusted: NDArray[np.bool_]
    """(user,)"""
    feature: Floats
    """(user, feature) of all stations; 0 where one heard nothing."""

    def __len__(self) -> int:
        return len(self.user)

    @property
    def deviation(self) -> Floats:
        """Root of the stated mean squared error on the ground (user,) [m]."""
        return np.asarray(np.sqrt(self.covariance[:, 0, 0] + self.covariance[:, 1, 1]))


@dataclass(frozen=True, slots=True)
class Place:
    """Where a labelled point should be taken, and why there."""

    rank: int
    """From 1: who has time for few takes the first."""
    user: int
    """Row of the store: the user whose channel it was."""
    position: tuple[float, float, float]
    """Where the model puts it; a surveyor looks within `deviation` of it [m]."""
    deviation: float
    """Stated [m]."""
    trusted: bool
    stands_for: int
    """Candidates that no other point is as near to."""
    share: float
    """Of all stated uncertainty, theirs."""
    nearest: float
    """To the nearest other point, chosen or labelled; infinite if there is none [m]."""
    reason: str


def candidates(
    localizer: Localizer, store: PathStore, rows: Rows, reading: Reading, seed: int = 0
) -> Candidates:
    """What a model makes of some users, at most `CANDIDATES` of them, drawn by the seed."""
    drawn = np.sort(np.random.default_rng(seed).permutation(rows)[:CANDIDATES])
    parts = [
        _looked_at(localizer, store, drawn[start : start + _TOGETHER], reading)
        for start in range(0, len(drawn), _TOGETHER)
    ]
    found = [part for part in parts if len(part)]
    if not found:
        raise ValueError(f"{store.path}: no station hears any of the {len(rows)} users")
    fields = ("user", "position", "covariance", "trusted", "feature")
    return Candidates(*(np.concatenate([getattr(p, f) for p in found]) for f in fields))


def survey(found: Candidates, points: int, labelled: Rows | None = None) -> list[Place]:
    """Where to take the next points, the most useful first.

    Args:
        found: all candidates, those with a label included.
        points: how many.
        labelled: rows of the users whose places are known already.
    """
    taken = np.flatnonzero(np.isin(found.user, [] if labelled is None else labelled))
    open_ = len(found) - len(taken)
    if not 1 <= points <= open_:
        raise ValueError(f"points must be from 1 to the {open_} users heard, got {points}")
    deviation = found.deviation
    # A mirrored user is off by hundreds of metres; one of them is not worth a hundred others.
    weight = np.minimum(deviation, np.quantile(deviation, 0.95))
    apart = distances(found)
    chosen = choose(apart, weight, points, taken)
    every = np.concatenate([taken, chosen])
    owner = every[apart[:, every].argmin(1)]
    return [
        _place(found, rank, one, every, owner == one, weight)
        for rank, one in enumerate(chosen.tolist(), 1)
    ]


def distances(found: Candidates) -> Floats:
    """Between candidates, on the ground and between features, each over its mean (user, user)."""
    return _over_mean(found.position[:, :2]) + _over_mean(found.feature)


def choose(apart: Floats, weight: Floats, points: int, taken: Sequence[int] | Rows = ()) -> Rows:
    """Columns that lower the weighted distance to the nearest one most, one after the other.

    Args:
        apart: (user, user) distances.
        weight: (user,).
        points: to choose.
        taken: columns that are there already.
    """
    nearest = np.full(len(apart), apart.max())
    free = np.ones(len(apart), dtype=np.bool_)
    for one in taken:
        nearest, free[one] = np.minimum(nearest, apart[:, one]), False
    chosen = np.empty(points, dtype=np.int64)
    for order in range(points):
        gain = weight @ np.maximum(nearest[:, None] - apart, 0)
        one = int(np.where(free, gain, -1).argmax())
        nearest, free[one] = np.minimum(nearest, apart[:, one]), False
        chosen[order] = one
    return chosen


def _looked_at(localizer: Localizer, store: PathStore, rows: Rows, reading: Reading) -> Candidates:
    sounding = chosen_links(store, rows, reading)
    users, fix = np.unique(sounding.user.numpy(), return_inverse=True)
    nothing = np.full(len(users), np.nan), np.full(len(users), NO_TRACK)
    heard = Heard(str(store.path), sounding, fix, Labels(users, *nothing))
    with _overheard(localizer) as told:
        (fixes,) = locate(localizer, [heard])
    table = np.zeros((len(users), len(store.stations), localizer.encoder.dim))
    table[fix, sounding.station.numpy()] = torch.cat(told).double().numpy()
    known = fixes.known
    return Candidates(
        users[known],
        fixes.position[known],
        fixes.covariance[known],
        fixes.trusted[known],
        table.reshape(len(users), -1)[known],
    )


@contextmanager
def _overheard(localizer: Localizer) -> Iterator[list[torch.Tensor]]:
    """Every summary that the encoder makes meanwhile: a second pass would cost as much again."""
    told: list[torch.Tensor] = []
    encoder = localizer.encoder
    assert isinstance(encoder, nn.Module)
    hook = encoder.register_forward_hook(lambda module, given, latent: told.append(latent.summary))
    try:
        yield told
    finally:
        hook.remove()


def _over_mean(values: Floats) -> Floats:
    length = np.square(values).sum(1)
    squared = length[:, None] + length - 2 * values @ values.T
    apart = np.sqrt(np.maximum(squared, 0))
    mean = float(apart.mean())
    return np.asarray(apart / mean if mean > 0 else apart)


def _place(
    found: Candidates,
    rank: int,
    one: int,
    every: Rows,
    like: NDArray[np.bool_],
    weight: Floats,
) -> Place:
    away = np.linalg.norm(found.position[every, :2] - found.position[one, :2], axis=1)
    others = away[every != one]
    nearest = float(others.min()) if len(others) else float("inf")
    share = float(weight[like].sum() / weight.sum())
    deviation, usual = found.deviation, float(np.median(found.deviation))
    of_those = float(np.median(deviation[like]))
    if not found.trusted[one]:
        why = "channels unlike what the model knows"
    elif of_those > _UNCERTAIN * usual:
        why = f"stated errors of {of_those:.1f} m where {usual:.1f} m are usual"
    else:
        why = "no point near"
    count = int(like.sum())
    return Place(
        rank=rank,
        user=int(found.user[one]),
        position=(
            float(found.position[one, 0]),
            float(found.position[one, 1]),
            float(found.position[one, 2]),
        ),
        deviation=float(deviation[one]),
        trusted=bool(found.trusted[one]),
        stands_for=count,
        share=share,
        nearest=nearest,
        reason=f"{why}; stands for {count} users, {100 * share:.1f} % of the stated uncertainty",
    )
