"""Fixes held against the map: no user stands inside a building."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import shapely
import torch
from numpy.typing import NDArray

from radiofix.data.store import PathStore
from radiofix.models.map_reading import TOUCHING, indoors, outlines, read_meshes
from radiofix.models.site_map import SiteMap, give_map, lacks_map
from radiofix.serving.fixes import Fixes
from radiofix.serving.locating import Locates
from radiofix.serving.right_map import expect_channels_map, expect_models_map
from radiofix.serving.soundings import Source
from radiofix.types import Fix

Array = NDArray[np.float64]
SAMPLES = 1024
"""Of each fix's distribution."""
LEAST = 0.01
"""A fix of which less than this is outdoors is not believed."""
BLOCK = 128
"""Fixes looked at together: bounds the memory."""


class OnTheMap:
    """Takes out of each fix what a map forbids, and states the mean and covariance of the rest.

    The horizontal Gaussian is sampled at fixed places of equal probability; those inside buildings
    are left out. Heights follow by regression, as they do in the Gaussian. Where the mean of what
    is left lies inside a building, the position is the sample outdoors that is nearest to it. A
    fix with nothing left outdoors stays as it is, and is not trusted.
    """

    def __init__(self, site_map: SiteMap, samples: int = SAMPLES) -> None:
        """Takes a map, and how many samples stand for a fix."""
        shapes, levels = outlines(site_map)
        # A wall itself is still outdoors: users lean on walls.
        self._tree, self._top = shapely.STRtree(shapely.buffer(shapes, -TOUCHING)), levels[:, 1]
        self._standard = standard_normal(samples)

    def __call__(self, fix: Fix) -> Fix:
        """The fixes as the map allows them."""
        given = [v.detach().cpu().numpy() for v in (fix.position, fix.covariance, fix.trusted)]
        position, covariance, trusted = self.allowed(*given)
        return Fix(
            torch.from_numpy(position).to(fix.position),
            torch.from_numpy(covariance).to(fix.covariance),
            torch.from_numpy(trusted).to(fix.trusted),
        )

    def block(self, fixes: Fixes) -> Fixes:
        """A block of fixes as the map allows them."""
        position, covariance, trusted = self.allowed(
            fixes.position, fixes.covariance, fixes.trusted
        )
        return dataclasses.replace(fixes, position=position, covariance=covariance, trusted=trusted)

    def allowed(
        self, position: Array, covariance: Array, trusted: NDArray[np.bool_]
    ) -> tuple[Array, Array, NDArray[np.bool_]]:
        """Positions (fix, 3), covariances (fix, 3, 3) and trust (fix,) as the map allows them."""
        place, spread, believed = position.astype(float), covariance.astype(float), trusted.copy()
        given = np.concatenate([position[..., None], covariance], -1)
        known = np.isfinite(given.reshape(len(given), 12)).all(1)
        for start in range(0, len(position), BLOCK):
            rows = start + np.flatnonzero(known[start : start + BLOCK])
            some = self._some(place[rows], spread[rows], believed[rows])
            place[rows], spread[rows], believed[rows] = some
        return place, spread, believed

    def _some(
        self, position: Array, covariance: Array, trusted: NDArray[np.bool_]
    ) -> tuple[Array, Array, NDArray[np.bool_]]:
        samples = position[:, None, :2] + self._standard @ _factor(covariance[:, :2, :2]).mT
        free = self._outdoors(samples, position[:, 2])
        left = free.mean(1)
        touched, lost = left < 1, left < LEAST
        weight = free / np.maximum(free.sum(1, keepdims=True), 1)
        mean = np.einsum("fs,fsa->fa", weight, samples)
        inside = ~self._outdoors(mean[:, None], position[:, 2])[:, 0]
        away = np.where(free, np.linalg.norm(samples - mean[:, None], axis=-1), np.inf)
        nearest = np.take_along_axis(samples, away.argmin(1)[:, None, None], 1)[:, 0]
        place = np.where(inside[:, None], nearest, mean)
        offset = samples - place[:, None]
        spread = np.einsum("fs,fsa,fsb->fab", weight, offset, offset)
        change = touched & ~lost
        new_position, new_covariance = _with_height(position, covariance, place, spread)
        return (
            np.where(change[:, None], new_position, position),
            np.where(change[:, None, None], new_covariance, covariance),
            trusted & ~lost,
        )

    def _outdoors(self, places: Array, height: Array) -> NDArray[np.bool_]:
        """Which places (fix, sample, 2) are outdoors at their fix's height (fix,)."""
        at = np.broadcast_to(height[:, None, None], (*places.shape[:2], 1))
        inside, _ = indoors(self._tree, self._top, np.concatenate([places, at], -1).reshape(-1, 3))
        free = np.ones(places.shape[0] * places.shape[1], dtype=np.bool_)
        free[inside] = False
        return free.reshape(places.shape[:2])


def map_round(store: PathStore, source: Source, model: Locates) -> OnTheMap:
    """The map of a store, held against an input's stations and channels, and the model's map.

    A model that needs one and has none is given it.
    """
    if store.map is None:
        raise ValueError(f"{store.path} has no map: give a store whose buildings are known")
    name, stations = str(store.path), source.site.position
    site_map = read_meshes(name, store.map, stations.numpy(), np.zeros((0, 3)))
    if lacks_map(model):
        give_map(model, site_map)
    expect_models_map(name, site_map, stations, model)
    expect_channels_map(name, site_map, source)
    return OnTheMap(site_map)


def standard_normal(samples: int) -> Array:
    """Places (sample, 2) of a standard normal in the plane, of equal probability.

    On a sunflower's spiral, then whitened: their mean is 0 and their covariance 1 exactly.
    """
    if samples < 16:
        raise ValueError(f"samples={samples} is too few to tell a covariance: take at least 16")
    number = np.arange(samples) + 0.5
    radius = np.sqrt(-2 * np.log1p(-number / samples))
    angle = np.pi * (3 - np.sqrt(5)) * number
    raw = np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])
    raw -= raw.mean(0)
    made: Array = raw @ np.linalg.inv(np.linalg.cholesky(raw.T @ raw / samples)).T
    return made


def _factor(covariance: Array) -> Array:
    """A square root of covariances (fix, 2, 2), which may be singular."""
    value, vector = np.linalg.eigh(covariance)
    root: Array = vector * np.sqrt(np.maximum(value, 0))[:, None]
    return root


def _with_height(
    position: Array, covariance: Array, place: Array, spread: Array
) -> tuple[Array, Array]:
    """The height's mean and covariances, given what became of the place."""
    gain: Any = covariance[:, 2:, :2] @ np.linalg.pinv(covariance[:, :2, :2])
    height = position[:, 2:] + (gain @ (place - position[:, :2])[..., None])[..., 0]
    cross = gain @ spread
    own = covariance[:, 2:, 2:] + gain @ (spread - covariance[:, :2, :2]) @ gain.mT
    made = np.concatenate(
        [
            np.concatenate([spread, cross.mT], -1),
            np.concatenate([cross, own], -1),
        ],
        -2,
    )
    return np.concatenate([place, height], -1), made
