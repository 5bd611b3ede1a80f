"""A moving user's fixes made smooth: a Kalman filter forward and the Rauch-Tung-Striebel pass back.

The state is x, y and their speeds; between fixes the velocity drifts as integrated white noise of
density q [m^2/s^3], so that after a time t the position may have strayed by sqrt(q t^3 / 3). Every
fix is weighted by its own covariance. A fix that is not trusted, or whose squared Mahalanobis
distance from the prediction is beyond the gate, does not move the track; after so many refusals in
a row the track begins anew where the next fix is. Heights are left as they are: they come from one
assumption of the model, and would seem certain after a hundred repetitions.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from radiofix.serving.fixes import NO_TRACK, Fixes

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
_ANYWHERE = 1e8
"""Variance of a track's place before its first fix [m^2]."""
_STATES = 200_000
"""States of tracks that are held at a time, padding included."""


@dataclass(frozen=True, slots=True)
class Motion:
    """How users move, and when a fix is not believed."""

    acceleration: float = 1.0
    """Change of speed that is usual within a second [m/s]; its square is q [m^2/s^3]."""
    speed: float = 10.0
    """Deviation of the speed along each axis of a user of whom nothing is known [m/s]."""
    gate: float = 0.999
    """Share of honest fixes that are let through."""
    patience: int = 3
    """Refusals in a row after which the track begins anew."""

    def __post_init__(self) -> None:
        for name in ("acceleration", "speed"):
            if not 0 < getattr(self, name) < np.inf:
                raise ValueError(f"{name} must be positive, got {getattr(self, name):g}")
        if not 0 < self.gate < 1:
            raise ValueError(f"gate must lie between 0 and 1, got {self.gate:g}")
        if self.patience < 1:
            raise ValueError(f"patience must be at least 1, got {self.patience}")

    @property
    def farthest(self) -> float:
        """Squared Mahalanobis distance of the gate."""
        return float(-2 * np.log1p(-self.gate))


@dataclass(frozen=True, slots=True)
class Track:
    """Smoothed tracks, padded to the longest."""

    state: Floats
    """(track, step, 4) x, y [m] and their speeds [m/s]."""
    covariance: Floats
    """(track, step, 4, 4)"""
    used: Bools
    """(track, step) fixes that moved the track."""


def smooth(blocks: Iterable[Fixes], motion: Motion) -> Iterator[Fixes]:
    """The same fixes, in the same order, each where its whole track puts it.

    Needs all fixes before the first comes out, about 400 bytes each. Fixes of one `track` belong
    together, whatever their source; without tracks all are of one user. `trusted` stays True for
    fixes that moved their track; a fix that nobody heard gets a place too, but no trust.
    """
    held = [_timed(block) for block in blocks]
    if not held:
        return
    time, track = (np.concatenate([getattr(b, name) for b in held]) for name in ("time", "track"))
    position, covariance = (
        np.concatenate([getattr(b, name) for b in held]) for name in ("position", "covariance")
    )
    trusted = np.concatenate([b.trusted for b in held])
    velocity = np.full((len(time), 2), np.nan)
    for members in _groups(track, time):
        _smooth_into(members, time, position, covariance, trusted, velocity, motion)
    start = 0
    for block in held:
        rows = slice(start, start + len(block))
        start = rows.stop
        yield dataclasses.replace(
            block,
            position=position[rows],
            covariance=covariance[rows],
            trusted=trusted[rows],
            velocity=velocity[rows],
        )


def _timed(block: Fixes) -> Fixes:
    if np.isnan(block.time).any():
        raise ValueError(f"{block.source} has no time: name it, names time=..., or track nothing")
    return block


def kalman_smoother(
    time: Floats, place: Floats, covariance: Floats, usable: Bools, motion: Motion
) -> Track:
    """Smooths many tracks at once; the loops go over the steps of the longest.

    Args:
        time: (track, step) ascending [s]; padding repeats the last time.
        place: (track, step, 2) [m].
        covariance: (track, step, 2, 2) of each place [m^2].
        usable: (track, step) False for what must not move the track, padding included.
        motion: of the users.
    """
    tracks, steps = time.shape
    first = usable.argmax(1)
    state = np.zeros((tracks, 4))
    state[:, :2] = np.where(np.any(usable, 1, keepdims=True), place[np.arange(tracks), first], 0)
    spread = np.broadcast_to(_unknown(motion), (tracks, 4, 4))
    filtered, spreads = np.zeros((tracks, steps, 4)), np.zeros((tracks, steps, 4, 4))
    ahead, aheads = np.zeros((tracks, steps, 4)), np.zeros((tracks, steps, 4, 4))
    used = np.zeros((tracks, steps), dtype=np.bool_)
    anew = np.zeros((tracks, steps), dtype=np.bool_)
    begun, refused = np.zeros(tracks, dtype=np.bool_), np.zeros(tracks, dtype=np.int64)
    elapsed = np.diff(time, axis=1, prepend=time[:, :1])
    for step in range(steps):
        move, noise = _motion(elapsed[:, step], motion)
        state = (move @ state[..., None])[..., 0]
        spread = move @ spread @ move.mT + noise
        away = place[:, step] - state[:, :2]
        expected = spread[:, :2, :2] + covariance[:, step]
        squared = np.einsum("ti,ti->t", away, np.linalg.solve(expected, away[..., None])[..., 0])
        near = ~begun | (squared <= motion.farthest)
        lost = usable[:, step] & ~near & (refused >= motion.patience)
        state = np.where(lost[:, None], _still(place[:, step]), state)
        spread = np.where(lost[:, None, None], _unknown(motion), spread)
        ahead[:, step], aheads[:, step] = state, spread
        now = usable[:, step] & (near | lost)
        state, spread = _updated(state, spread, place[:, step], covariance[:, step], now)
        filtered[:, step], spreads[:, step] = state, spread
        used[:, step], anew[:, step] = now, lost
        begun |= now
        refused = np.where(now, 0, refused + (usable[:, step] & ~near))
    for step in range(steps - 2, -1, -1):
        move, _ = _motion(elapsed[:, step + 1], motion)
        gain = np.linalg.solve(aheads[:, step + 1], move @ spreads[:, step]).mT
        # Before a new beginning nothing is learnt from what comes after it.
        gain = np.where(anew[:, step + 1, None, None], 0.0, gain)
        change = filtered[:, step + 1] - ahead[:, step + 1]
        filtered[:, step] += (gain @ change[..., None])[..., 0]
        spreads[:, step] += gain @ (spreads[:, step + 1] - aheads[:, step + 1]) @ gain.mT
    return Track(filtered, (spreads + spreads.mT) / 2, used)


def _updated(
    state: Floats, spread: Floats, place: Floats, covariance: Floats, now: Bools
) -> tuple[Floats, Floats]:
    """The state after a fix, where there is one to be used; Joseph's form keeps it symmetric."""
    gain = np.linalg.solve(spread[:, :2, :2] + covariance, spread[:, :2]).mT
    gain = np.where(now[:, None, None], gain, 0.0)
    rest = np.broadcast_to(np.eye(4), spread.shape).copy()
    rest[:, :, :2] -= gain
    moved = state + (gain @ (place - state[:, :2])[..., None])[..., 0]
    return moved, rest @ spread @ rest.mT + gain @ covariance @ gain.mT


def _motion(elapsed: Floats, motion: Motion) -> tuple[Floats, Floats]:
    """Transition and noise of a constant velocity that drifts (track, 4, 4)."""
    move = np.broadcast_to(np.eye(4), (len(elapsed), 4, 4)).copy()
    move[:, 0, 2] = move[:, 1, 3] = elapsed
    noise = np.zeros_like(move)
    density = motion.acceleration**2
    for axis in range(2):
        noise[:, axis, axis] = density * elapsed**3 / 3
        noise[:, axis, axis + 2] = noise[:, axis + 2, axis] = density * elapsed**2 / 2
        noise[:, axis + 2, axis + 2] = density * elapsed
    return move, noise


def _unknown(motion: Motion) -> Floats:
    return np.diag([_ANYWHERE, _ANYWHERE, motion.speed**2, motion.speed**2])


def _still(place: Floats) -> Floats:
    return np.concatenate([place, np.zeros_like(place)], -1)


def _groups(track: NDArray[np.int64], time: Floats) -> Iterator[NDArray[np.int64]]:
    """Tracks of like length (track, step) as rows of the fixes in the order of time; -1: padding.

    Without any track all fixes are of one; those without a track beside others are left alone.
    """
    alone = track == NO_TRACK
    order = np.lexsort((time, track))
    if not alone.all():
        order = order[~alone[order]]
    begins = np.flatnonzero(np.diff(track[order], prepend=track[order[:1]] - 1))
    lengths = np.diff(begins, append=len(order))
    by_length = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(by_length):
        longest = int(lengths[by_length[start]])
        chosen = by_length[start : start + max(1, _STATES // longest)]
        step = np.arange(longest)
        there = step < lengths[chosen][:, None]
        rows = begins[chosen][:, None] + np.where(there, step, 0)
        yield np.where(there, order[rows], -1)
        start += len(chosen)


def _smooth_into(
    members: NDArray[np.int64],
    time: Floats,
    position: Floats,
    covariance: Floats,
    trusted: Bools,
    velocity: Floats,
    motion: Motion,
) -> None:
    there = members >= 0
    last = there.sum(1) - 1
    rows = np.where(there, members, members[np.arange(len(members)), last][:, None])
    usable = there & trusted[rows] & np.isfinite(position[rows]).all(-1)
    place = np.where(usable[..., None], position[rows][..., :2], 0.0)
    spread = np.where(usable[..., None, None], covariance[rows][..., :2, :2], np.eye(2))
    track = kalman_smoother(time[rows], place, spread, usable, motion)
    # A track that no fix could be trusted on is left as it was.
    known = there & np.any(usable, 1, keepdims=True)
    target = members[known]
    height, variance = _heights(position[rows], covariance[rows], usable)
    position[target, :2] = track.state[..., :2][known]
    covariance[target, :2, :2] = track.covariance[..., :2, :2][known]
    velocity[target] = track.state[..., 2:][known]
    trusted[target] = track.used[known]
    unheard = known & np.isnan(position[rows][..., 2])
    position[members[unheard], 2] = np.broadcast_to(height[:, None], known.shape)[unheard]
    covariance[members[unheard], 2, :2] = covariance[members[unheard], :2, 2] = 0.0
    covariance[members[unheard], 2, 2] = np.broadcast_to(variance[:, None], known.shape)[unheard]


def _heights(position: Floats, covariance: Floats, usable: Bools) -> tuple[Floats, Floats]:
    """A height and its variance for those fixes of a track that have none (track,)."""
    count = np.maximum(usable.sum(1), 1)
    height = np.where(usable, position[..., 2], 0.0).sum(1) / count
    variance = np.where(usable, covariance[..., 2, 2], 0.0).sum(1) / count
    return height, variance
