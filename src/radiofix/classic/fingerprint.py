"""Fingerprints: the labelled channels that look most like a new one tell where it is."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from sklearn.decomposition import PCA
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from torch import Tensor

from radiofix.physics.transforms import delay_angle
from radiofix.types import Sounding

Feature = Callable[[Sounding], Float[Tensor, "link feature"]]

Array = NDArray[np.float64]

NEIGHBOURS = (1, 2, 3, 5, 8, 12)
"""Numbers to choose from."""
_LINKS = {"cpu": 64, "cuda": 1024}
"""Whose features are made at a time: on a CPU what fits a cache."""
_USERS = 256
"""Who are looked up by several stations at a time."""


def delay_angle_magnitude(sounding: Sounding) -> Float[Tensor, "link feature"]:
    """|H| over angle and delay, of length 1 a link: no common phase, no received power."""
    return _unit(delay_angle(sounding.csi).abs().flatten(1))


def delay_angle_root(sounding: Sounding) -> Float[Tensor, "link feature"]:
    """Root of that magnitude, of length 1 again: weak reflections count for more."""
    return _unit(delay_angle_magnitude(sounding).sqrt())


def covariance(sounding: Sounding) -> Float[Tensor, "link feature"]:
    """Means of H H* between antennas, and between subcarriers any distance apart.

    The first keep directions, the second delays; both forget the common phase.
    """
    csi = sounding.csi
    antennas, subcarriers = csi.shape[1:]
    over_antennas = csi @ csi.conj().mT
    row, column = torch.triu_indices(antennas, antennas, device=csi.device)
    # Means over pairs of subcarriers of equal distance, by the transform of the delays' power.
    power = torch.fft.ifft(csi, n=2 * subcarriers, dim=-1).abs().square().sum(1)
    over_subcarriers = torch.fft.fft(power.to(csi.dtype), dim=-1)[:, :subcarriers]
    parts = [over_antennas[:, row, column], over_subcarriers]
    return torch.cat([_unit(torch.view_as_real(p).flatten(1)) for p in parts], 1)


def of_middle(sounding: Sounding, feature: Feature, share: float) -> Float[Tensor, "link feature"]:
    """A feature of the middle part of the band alone: coarser in delay, and alike from further."""
    subcarriers = sounding.csi.shape[2]
    kept = max(1, round(share * subcarriers))
    first = (subcarriers - kept) // 2
    middle = slice(first, first + kept)
    csi, frequency = sounding.csi[..., middle], sounding.frequency[:, middle]
    return feature(replace(sounding, csi=csi, frequency=frequency))


FEATURES: tuple[Feature, ...] = (
    delay_angle_magnitude,
    delay_angle_root,
    covariance,
    partial(of_middle, feature=delay_angle_root, share=1 / 2),
    partial(of_middle, feature=delay_angle_root, share=1 / 5),
)


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Labelled channels, ready to be looked up; made by `fit`."""

    feature: Feature
    neighbours: int
    regressor: Pipeline
    """Principal components, then the mean of the nearest, weighted by 1 / distance."""
    validation_error: float
    """Mean distance of validation users from where they were put [m]."""

    def locate(self, sounding: Sounding) -> Float[Tensor, "link 3"]:
        """Position of each user in the scene [m]."""
        found = self.regressor.predict(_features(self.feature, sounding))
        return torch.from_numpy(np.asarray(found, dtype=np.float64)).to(sounding.csi.device)

    def components(self, sounding: Sounding) -> Array:
        """What distances are taken in, of each link."""
        found: Array = self.regressor[:-1].transform(_features(self.feature, sounding))
        return found


@dataclass(frozen=True, slots=True)
class Remembered:
    """Labelled channels of one station among several."""

    fingerprint: Fingerprint
    components: Array
    """Of each link, as the fingerprint takes its distances."""
    user: NDArray[np.int64]
    """Of each link; no user twice."""
    position: Array
    """Of each link's user [m]."""

    @staticmethod
    def of(
        fingerprint: Fingerprint, sounding: Sounding, position: Float[Tensor, "link 3"]
    ) -> Remembered:
        """The labelled channels that a fingerprint was made of."""
        return Remembered(
            fingerprint,
            fingerprint.components(sounding),
            sounding.user.cpu().numpy(),
            position.double().cpu().numpy(),
        )


@dataclass(frozen=True, slots=True)
class JointFingerprint:
    """Labelled users, looked up by all stations that hear a user; made by `join`."""

    stations: Mapping[int, Remembered]
    users: NDArray[np.int64]
    """All labelled ones, sorted."""
    position: Array
    """Of each of them [m]."""
    neighbours: int
    validation_error: float
    """Mean distance of validation users from where they were put [m]."""

    def locate(self, sounding: Sounding) -> Float[Tensor, "link 3"]:
        """Position of each link's user, the same for all its links [m]; NaN: no known station."""
        users, owner = np.unique(sounding.user.cpu().numpy(), return_inverse=True)
        found = np.empty((len(users), 3))
        for start in range(0, len(users), _USERS):
            here = (owner >= start) & (owner < start + _USERS)
            links = torch.from_numpy(np.flatnonzero(here)).to(sounding.csi.device)
            distance = self.distances(sounding[links], owner[here] - start)
            found[start : start + _USERS] = nearest_mean(distance, self.position, self.neighbours)
        return torch.from_numpy(found[owner]).to(sounding.csi.device)

    def distances(self, sounding: Sounding, owner: NDArray[np.int64]) -> Array:
        """Root mean square distance over the stations that two users were both heard by.

        Args:
            sounding: of some users' links.
            owner: number of each link's user, from 0.
        """
        shape = (int(owner.max()) + 1, len(self.users))
        squared, shared = np.zeros(shape), np.zeros(shape)
        column = sounding.station.cpu().numpy()
        for station, known in self.stations.items():
            links = np.flatnonzero(column == station)
            if len(links):
                chosen = torch.from_numpy(links).to(sounding.csi.device)
                asked = known.fingerprint.components(sounding[chosen])
                place = np.ix_(owner[links], np.searchsorted(self.users, known.user))
                squared[place] += cdist(asked, known.components, "sqeuclidean")
                shared[place] += 1
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(shared > 0, np.sqrt(squared / shared), np.inf)


def join(
    stations: Mapping[int, Remembered],
    validation: Sounding,
    validation_positions: Float[Tensor, "link 3"],
    neighbours: Sequence[int] = NEIGHBOURS,
) -> JointFingerprint:
    """Looks users up by several stations at once; the number of neighbours is validation's best.

    Args:
        stations: what each has heard, by its column.
        validation: channels of other users to these stations.
        validation_positions: of the users of these links [m].
        neighbours: numbers to choose from.
    """
    heard = np.concatenate([known.user for known in stations.values()])
    where = np.concatenate([known.position for known in stations.values()])
    users, first = np.unique(heard, return_index=True)
    goal = validation_positions.double().cpu().numpy()
    best: JointFingerprint | None = None
    for count in sorted({min(n, len(users)) for n in neighbours}):
        joint = JointFingerprint(stations, users, where[first], count, math.inf)
        away = np.linalg.norm(joint.locate(validation).cpu().numpy() - goal, axis=1)
        error = float(np.nanmean(away))
        if best is None or error < best.validation_error:
            best = replace(joint, validation_error=error)
    if best is None:
        raise ValueError("neighbours must not be empty: give at least one")
    return best


def nearest_mean(distance: Array, position: Array, neighbours: int) -> Array:
    """Mean position of the nearest of each row, weighted by 1 / distance; NaN: none is near."""
    order = np.argpartition(distance, neighbours - 1, axis=1)[:, :neighbours]
    near = np.take_along_axis(distance, order, 1)
    same = near == 0
    with np.errstate(divide="ignore", invalid="ignore"):
        weight = np.where(same.any(1, keepdims=True), same, 1 / near)
        share = weight / weight.sum(1, keepdims=True)
    mean: Array = (share[..., None] * position[order]).sum(1)
    return mean


def fit(
    soundings: Sounding,
    positions: Float[Tensor, "link 3"],
    validation: Sounding,
    validation_positions: Float[Tensor, "link 3"],
    features: Sequence[Feature] = FEATURES,
    neighbours: Sequence[int] = NEIGHBOURS,
    components: int = 128,
    seed: int = 0,
) -> Fingerprint:
    """Keeps labelled channels; feature and number of neighbours are the validation users' best.

    Args:
        soundings: labelled channels of one station.
        positions: of their users [m].
        validation: channels of other users, of the same station.
        validation_positions: of those users [m].
        features: to choose from.
        neighbours: numbers to choose from.
        components: principal components that distances are taken in: most are noise, and few are
            looked up fast.
        seed: of the search for the components.
    """
    if not len(soundings) or not len(validation):
        raise ValueError(
            f"fit needs labelled users, got {len(soundings)} and {len(validation)} for validation"
        )
    truth, goal = positions.double().cpu().numpy(), validation_positions.double().cpu().numpy()
    best: Fingerprint | None = None
    for feature in features:
        known, asked = _features(feature, soundings), _features(feature, validation)
        kept = min(components, *known.shape)
        pca = PCA(
            kept, svd_solver="randomized" if kept < min(known.shape) else "full", random_state=seed
        ).fit(known)
        low, low_asked = pca.transform(known), pca.transform(asked)
        for count in sorted({min(n, len(truth)) for n in neighbours}):
            nearest = KNeighborsRegressor(count, weights="distance").fit(low, truth)
            error = float(np.linalg.norm(nearest.predict(low_asked) - goal, axis=1).mean())
            if best is None or error < best.validation_error:
                best = Fingerprint(feature, count, make_pipeline(pca, nearest), error)
    if best is None:
        raise ValueError("features and neighbours must not be empty: give at least one of each")
    return best


def _features(feature: Feature, sounding: Sounding) -> NDArray[np.float32]:
    links = _LINKS.get(sounding.csi.device.type, _LINKS["cuda"])
    starts = range(0, max(1, len(sounding)), links)
    parts = [feature(sounding[start : start + links]).float().cpu() for start in starts]
    whole: NDArray[np.float32] = torch.cat(parts).numpy()
    return whole


def _unit(feature: Float[Tensor, "link feature"]) -> Float[Tensor, "link feature"]:
    length = torch.linalg.vector_norm(feature, dim=1, keepdim=True)
    return feature / torch.where(length > 0, length, math.inf)
