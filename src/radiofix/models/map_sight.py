"""Whether a map hides what is hidden: the one trace of a wrong map that stations and users share.

A map of another place, mirrored or in another unit, lies round the stations much as the right one
does. What it cannot have is houses where nobody is seen through them and none where users are.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from radiofix.models.site_map import NEAR, SiteMap

Array = NDArray[Any]
ASKED = 1024
"""Users that are looked at."""
ENOUGH = 50
"""Fewer links than this, in sight or out of it, say nothing."""
RIGHT, WRONG = 0.9, 0.6
"""A map that agrees more than the first is right, less than the second wrong: of eight cities the
right maps agreed by 0.97 and more, those of other cities, mirrored, turned or in feet by less than
0.5, and those 2 m and 5 m off by 0.50 to 0.83 and 0.31 to 0.75."""
LEANING = 0.5
"""A way so near to its end hits no wall: users lean on walls, stations hang on them [m]."""
GRAZED = 0.5
"""Outlines are as high as their houses' highest points: ways this far below a top pass [m]."""


def expect_sight(name: str, site_map: SiteMap, links: Any) -> None:
    """Holds a map against which users see which stations.

    Args:
        name: by which messages call the map.
        site_map: in metres.
        links: variables of a store of paths: places, and interactions of (user, station, path).

    Raises:
        ValueError: in one line, where the map cannot be that of these links.
    """
    rows = np.arange(0, links.sizes["user"], max(1, links.sizes["user"] // ASKED))
    interactions = links["interactions"].isel(user=rows).values
    row, column = np.nonzero((interactions >= 0).any(-1))
    user = links["user_position"].values[rows[row]]
    station = links["station_position"].values[column]
    near = np.linalg.norm(user - station, axis=-1) < NEAR
    user, station = user[near], station[near]
    seen = (interactions == 0).any(-1)[row[near], column[near]]
    if seen.sum() < ENOUGH:
        return
    behind = hidden(site_map, station, user)
    wrongly, rightly = behind[seen].mean(), 1.0
    if (~seen).sum() >= ENOUGH:
        rightly = behind[~seen].mean()
    agreement = rightly - wrongly
    told = (
        f"{name}: houses of the map stand before {wrongly:.0%} of the users who see their station, "
        f"and before {rightly:.0%} of those who do not"
    )
    if agreement < WRONG:
        raise ValueError(
            f"{told}: it is shifted, mirrored, in another unit or of another place: give the map "
            "of these links in their frame, in metres"
        )
    if agreement < RIGHT:
        warnings.warn(f"{told}: it may be some metres off, and is taken as it is", stacklevel=4)


def hidden(site_map: SiteMap, station: Array, user: Array) -> NDArray[np.bool_]:
    """Which straight ways (link,) from stations (link, 3) to users (link, 3) [m] a house is in."""
    tree = shapely.STRtree(shapely.linestrings(site_map.walls.numpy()))
    ways = shapely.linestrings(np.stack([station[:, :2], user[:, :2]], 1))
    link, wall = tree.query(ways, predicate="intersects")
    start, end = site_map.walls.numpy()[wall].swapaxes(0, 1)
    way = user[link] - station[link]
    across = _cross(way[:, :2], end - start)
    # A way along a wall touches it and does not cross it.
    slope = np.where(across == 0, 1.0, across)
    share = _cross(start - station[link, :2], end - start) / slope
    length = np.linalg.norm(way[:, :2], axis=-1)
    height = station[link, 2] + share * way[:, 2]
    base, top = site_map.levels.numpy()[wall].T
    inside = (share * length > LEANING) & ((1 - share) * length > LEANING) & (across != 0)
    found = np.zeros(len(station), dtype=np.bool_)
    found[link[inside & (height < top - GRAZED) & (height > base)]] = True
    return found


def _cross(first: Array, second: Array) -> Array:
    return np.asarray(first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0])
