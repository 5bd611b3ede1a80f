"""One fix from those of several stations: by information, with a guard against one that is far off.

The horizontal estimate is an M-estimate of location with the stated covariances C_i: where a
station's squared Mahalanobis distance m_i^2 from the fused place is at most 2, its mean under its
own covariance, it counts in full (the plain information filter); beyond, its weight falls as that
of a bivariate Student t of nu degrees of freedom, (nu + 2) / (nu + m_i^2). The iteration starts
from every station's own fix and from the plain mean; of the places it ends in, the one is kept that
has the least against it, no station counting more than an honest one's 99 % distance: a majority
decides, however sure a single one is. The covariance is the inverse of the weighted information:
never less than independent errors with the stated covariances allow.

Where a model weighs several places of each link, users heard by several stations are where these
agree instead (`agreement.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from radiofix.models.agreement import agree
from radiofix.types import Fix, Mixture

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
_ROUNDS = 200
_STILL = 1e-5
"""A place that moves less has been found [m]."""
_AXES = 2
_AGREES = 9.210340371976182
"""Squared Mahalanobis distance in the plane that an honest fix stays below in 99 of 100 cases."""


@dataclass(frozen=True, slots=True)
class Fused:
    """Each user's place by all its stations."""

    position: Floats
    """(user, 3), NaN where nobody heard it [m]."""
    covariance: Floats
    """(user, 3, 3) [m^2]."""
    trusted: Bools
    """(user,) a trusted station was heard, and most of those that were used agree."""
    weight: Floats
    """(user, station) between 0 (left out) and 1 (in full)."""


@dataclass(frozen=True, slots=True)
class Fusion:
    """How stations are joined."""

    freedom: float = 1.0
    """Degrees of freedom of the t distribution's tail: small forgets a liar sooner."""

    def __post_init__(self) -> None:
        if not self.freedom > 0:
            raise ValueError(f"freedom must be positive, got {self.freedom:g}")

    def fuse(self, position: Floats, covariance: Floats, heard: Bools, trusted: Bools) -> Fused:
        """Joins the fixes of each user.

        Links that are not trusted are left out where a trusted one was heard; where none was, they
        are joined all the same and the fix is marked. Heights come from one assumption of the
        model, said once a station: they are averaged, and their variance does not shrink.

        Args:
            position: (user, station, 3) [m].
            covariance: (user, station, 3, 3) [m^2].
            heard: (user, station); what the rest says is not looked at.
            trusted: (user, station).
        """
        believed = heard & trusted
        used = np.where(believed.any(1, keepdims=True), believed, heard)
        position = np.where(used[..., None], position, 0.0)
        nothing: Floats = np.eye(3)
        spread = np.where(used[..., None, None], covariance, nothing)
        inverse: Floats = np.linalg.inv(spread[..., :_AXES, :_AXES])
        information = np.where(used[..., None, None], inverse, 0.0)
        # From a place nearby: sums of coordinates of a whole country would lose their centimetres.
        level = position[..., :_AXES]
        nearby = level.sum(1, keepdims=True) / np.maximum(used.sum(1), 1)[:, None, None]
        from_nearby = np.where(used[..., None], level - nearby, 0.0)
        place, weight, squared = self._best(from_nearby, information, used)
        place = place + nearby[:, 0]
        someone = used.any(1)
        joined = (weight[..., None, None] * information).sum(1)
        joined[~someone] = np.eye(_AXES)
        fused_covariance = np.zeros((len(position), 3, 3))
        fused_covariance[:, :_AXES, :_AXES] = np.linalg.inv(joined)
        height, height_variance = _height(position[..., 2], spread[..., 2, 2], weight)
        fused_covariance[:, 2, 2] = height_variance
        fused_position = np.column_stack([place, height])
        fused_position[~someone], fused_covariance[~someone] = np.nan, np.nan
        agreeing = (used & (squared <= _AGREES)).sum(1)
        return Fused(
            fused_position,
            fused_covariance,
            np.asarray(believed.any(1) & (2 * agreeing > used.sum(1))),
            weight,
        )

    def join(self, fix: Fix, group: Ints, groups: int) -> Fused:
        """Joins the fixes of links: those of one group follow each other.

        Where a model weighs several places of each link, users are where these agree.

        Args:
            fix: of all links.
            group: (link,) number of each one's user, or of its user and time.
            groups: how many there are; who has no link is nowhere.
        """
        at = group, slots(group)
        width = int(at[1].max(initial=0)) + 1
        position, covariance = np.zeros((groups, width, 3)), np.zeros((groups, width, 3, 3))
        heard, trusted = np.zeros((2, groups, width), dtype=np.bool_)
        position[at] = fix.position.double().cpu().numpy()
        covariance[at] = fix.covariance.double().cpu().numpy()
        trusted[at] = fix.trusted.cpu().numpy()
        heard[at] = np.isfinite(position[at]).all(-1) & np.isfinite(covariance[at]).all((-2, -1))
        fused = self.fuse(position, covariance, heard, trusted)
        if fix.mixture is None:
            return fused
        believed = heard & trusted
        used = np.where(believed.any(1, keepdims=True), believed, heard)
        weighed = np.zeros_like(used)
        weighed[at] = fix.mixture.weight.isfinite().any(1).cpu().numpy()
        # Where one of a user's links brings no places, covariances tell of all.
        several = used & (used.sum(1, keepdims=True) > 1) & (weighed | ~used).all(1, keepdims=True)
        if not several.any():
            return fused
        return _agreed(fused, fix.mixture, at, several, np.asarray(believed.any(1)))

    def _best(
        self, position: Floats, information: Floats, used: Bools
    ) -> tuple[Floats, Floats, Floats]:
        """Places (user, 2), weights and squared distances (user, station) at the best end."""
        plain = _mean(position[:, None], information[:, None], used[:, None].astype(float))
        place = np.concatenate([plain, position], 1)
        going = np.arange(len(place))
        for _ in range(_ROUNDS):
            given = position[going], information[going]
            weight = self._weight(_squared(place[going], *given)) * used[going, None]
            moved = _mean(given[0][:, None], given[1][:, None], weight)
            far = np.abs(moved - place[going]).max((1, 2)) > _STILL
            place[going] = moved
            going = going[far]
            if not len(going):
                break
        squared = _squared(place, position, information)
        against = (np.minimum(squared, _AGREES) * used[:, None]).sum(-1)
        best = against.argmin(1)
        rows = np.arange(len(position))
        squared = squared[rows, best]
        return place[rows, best], self._weight(squared) * used, squared

    def _weight(self, squared: Floats) -> Floats:
        return np.minimum(1.0, (self.freedom + _AXES) / (self.freedom + squared))


def _agreed(
    fused: Fused, mixture: Mixture, at: tuple[Ints, Ints], used: Bools, believed: Bools
) -> Fused:
    """The same users, those of several used links where the places of these agree.

    Args:
        fused: by positions and covariances; heights stay as they are.
        mixture: of the links.
        at: row and column of each link.
        used: (user, station) of the users that are joined anew.
        believed: (user,) whether a link was trusted.
    """
    position, covariance = fused.position.copy(), fused.covariance.copy()
    weight, trusted = fused.weight.copy(), fused.trusted.copy()
    counts = used.sum(1)
    for count in np.unique(counts[counts > 0]):
        anew = np.flatnonzero(counts == count)
        links = np.flatnonzero(used[at] & (counts[at[0]] == count))
        found = agree(mixture[torch.from_numpy(links).to(mixture.weight.device)], len(anew))
        position[anew, :_AXES] = found.position.cpu().numpy()
        covariance[anew, :_AXES, :_AXES] = found.covariance.cpu().numpy()
        belief = found.belief.cpu().numpy()
        weight[anew] = 0.0
        weight[at[0][links], at[1][links]] = belief.ravel()
        trusted[anew] = believed[anew] & (2 * (belief > 1 / 2).sum(1) > count)
    return Fused(position, covariance, trusted, weight)


def slots(group: Ints) -> Ints:
    """Which of its group's links each one is, those of a group being next to each other."""
    number = np.arange(len(group))
    begins = np.ones(len(group), dtype=np.bool_)
    begins[1:] = group[1:] != group[:-1]
    if begins.sum() > len(np.unique(group)):
        raise ValueError("the links of a user do not follow each other: order them by their users")
    return number - np.maximum.accumulate(np.where(begins, number, 0))


def _mean(position: Floats, information: Floats, weight: Floats) -> Floats:
    """Weighted means by information: (user, start, 2) of (user, start, station, ...)."""
    pulls = (information @ position[..., None])[..., 0]
    # Two unknowns, solved by hand: a library's call costs more than the sums.
    xx, xy, yy = ((weight * information[..., i, j]).sum(-1) for i, j in ((0, 0), (0, 1), (1, 1)))
    x, y = ((weight * pulls[..., i]).sum(-1) for i in range(_AXES))
    # Who was heard by nobody has no information: any place will do, it is taken out later.
    size = xx * yy - xy**2
    size = np.where(size > 0, size, 1.0)
    return np.stack([(yy * x - xy * y) / size, (xx * y - xy * x) / size], -1)


def _squared(place: Floats, position: Floats, information: Floats) -> Floats:
    """Squared Mahalanobis distances (user, start, station)."""
    away = position[:, None] - place[:, :, None]
    x, y, told = away[..., 0], away[..., 1], information[:, None]
    distance: Floats = told[..., 0, 0] * x**2 + 2 * told[..., 0, 1] * x * y + told[..., 1, 1] * y**2
    return distance


def _height(height: Floats, variance: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """Mean height and its variance: information averaged, not added."""
    share = weight / variance
    total = np.maximum(share.sum(1), 1e-300)
    return (share * height).sum(1) / total, weight.sum(1) / total
