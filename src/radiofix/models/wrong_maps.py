"""Maps that are wrong on purpose: a gain that they give too is no gain by the map."""

from __future__ import annotations

import dataclasses

import numpy as np
import shapely
import torch
from jaxtyping import Int
from scipy.spatial import cKDTree
from torch import Tensor

from radiofix.models.map_reading import TOUCHING, indoors, outlines
from radiofix.models.site_map import SiteMap

APART = 1_000.0
"""Buildings with a gap wider than this between their middles are of two cities [m]."""


def cities(site_map: SiteMap) -> Int[Tensor, " building"]:
    """The city of each building, from 0: those that others lie between belong together."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    middle = site_map.middles[:, :2].numpy()
    pairs = cKDTree(middle).query_pairs(APART, output_type="ndarray")
    near = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(middle),) * 2)
    return torch.from_numpy(connected_components(near, directed=False)[1].astype(np.int64))


def shuffled(site_map: SiteMap, generator: torch.Generator) -> SiteMap:
    """Each building in the place of another of its city, drawn at random; stations stay.

    Where buildings stand is still told, only not which: the milder of the wrong maps.
    """
    middle, city = site_map.middles, cities(site_map)
    drawn = torch.randperm(len(city), generator=generator)
    # Both orders go through the cities in turn: a building's place stays in its city.
    place = drawn[city[drawn].argsort(stable=True)]
    by = torch.zeros_like(middle)
    by[city.argsort(stable=True)] = middle[place]
    return site_map.shifted(by - middle)


def inexact(site_map: SiteMap, deviation: float, generator: torch.Generator) -> SiteMap:
    """Each building off its place in plan, by itself: a map as it was drawn, not as it stands.

    Args:
        site_map: as it stands.
        deviation: along either axis [m].
        generator: of where to.
    """
    by = torch.zeros(site_map.buildings, 3, dtype=site_map.walls.dtype)
    by[:, :2] = deviation * torch.randn(len(by), 2, generator=generator, dtype=by.dtype)
    return site_map.shifted(by)


def exchanged(site_map: SiteMap) -> SiteMap:
    """Each city's buildings round the next one's stations, as they lie round their own.

    The stations' middles come together, not the buildings': where a city's middle lies from its
    stations is already a good part of its map.
    """
    city = cities(site_map)
    count = int(city.max()) + 1
    if count < 2:
        raise ValueError("a map of 1 city has no other's buildings to take: give another's map")
    middle = site_map.middles[:, :2].numpy()
    home = city[cKDTree(middle).query(site_map.stations[:, :2].numpy())[1]]
    heard = torch.bincount(home, minlength=count)
    if bool((heard == 0).any()):
        bare = int((heard == 0).sum())
        raise ValueError(f"{bare} cities of the map have no station: join stores that have some")
    centre = torch.zeros(count, 3, dtype=site_map.stations.dtype)
    centre = centre.index_add(0, home, site_map.stations) / heard[:, None]
    return site_map.shifted((centre.roll(-1, 0) - centre)[city])


def with_buildings_of(site_map: SiteMap, other: SiteMap) -> SiteMap:
    """Another site's buildings round these stations, as they lie round their own.

    Stations may come to stand inside of them, which `read_map` would refuse: see `stations_inside`.
    """
    by = site_map.stations.mean(0) - other.stations.mean(0)
    moved = other.shifted(by.expand(other.buildings, 3))
    return dataclasses.replace(moved, stations=site_map.stations)


def stations_inside(site_map: SiteMap) -> int:
    """How many stations stand inside buildings."""
    shapes, levels = outlines(site_map)
    tree = shapely.STRtree(shapely.buffer(shapes, -TOUCHING))
    inside, _ = indoors(tree, levels[:, 1], site_map.stations.numpy())
    return len(np.unique(inside))
