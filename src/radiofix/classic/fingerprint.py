"""Fingerprints: the labelled channels that look most like a new one tell where it is."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from torch import Tensor

from radiofix.physics.transforms import delay_angle
from radiofix.types import Sounding

Feature = Callable[[Sounding], Float[Tensor, "link feature"]]

_BLOCK = 256
"""Links whose features are made at a time."""


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


FEATURES: tuple[Feature, ...] = (delay_angle_magnitude, delay_angle_root, covariance)


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


def fit(
    soundings: Sounding,
    positions: Float[Tensor, "link 3"],
    validation: Sounding,
    validation_positions: Float[Tensor, "link 3"],
    features: Sequence[Feature] = FEATURES,
    neighbours: Sequence[int] = (1, 2, 3, 5, 8, 12),
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
    starts = range(0, max(1, len(sounding)), _BLOCK)
    parts = [feature(sounding[start : start + _BLOCK]).float().cpu() for start in starts]
    whole: NDArray[np.float32] = torch.cat(parts).numpy()
    return whole


def _unit(feature: Float[Tensor, "link feature"]) -> Float[Tensor, "link feature"]:
    length = torch.linalg.vector_norm(feature, dim=1, keepdim=True)
    return feature / torch.where(length > 0, length, math.inf)
