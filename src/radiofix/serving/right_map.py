"""Whether a map is that of the channels that are to be located, and that of the model."""

from __future__ import annotations

import warnings

import torch
from jaxtyping import Bool, Float
from scipy.spatial import cKDTree
from torch import Tensor, nn

from radiofix.models.map_waves import expect_waves
from radiofix.models.site_map import NEAR, CarriedMap, SiteMap
from radiofix.serving.locating import Locates
from radiofix.serving.soundings import Source
from radiofix.types import SPEED_OF_LIGHT, Sounding

ASKED = 512
"""Links that a map is held against."""
SAME = 0.5
"""Middles of walls this close to each other are those of one wall [m]."""
ALIKE = 0.9
"""Less than this share of the model's walls is another map."""


def expect_channels_map(name: str, site_map: SiteMap, source: Source) -> None:
    """Warns in one line where an input's first links do not bear a map out.

    Args:
        name: by which messages call the map.
        site_map: in metres.
        source: whose channels are to be located.
    """
    sounding = _first_links(source)
    if sounding is not None:
        carrier = source.site.carrier_frequency[sounding.station]
        expect_waves(name, site_map, sounding, SPEED_OF_LIGHT / carrier)


def expect_models_map(
    name: str, site_map: SiteMap, stations: Float[Tensor, "station 3"], model: Locates
) -> None:
    """Warns in one line where a model follows waves to other walls than a map's.

    Args:
        name: by which messages call the map.
        site_map: in metres.
        stations: that hear the users [m].
        model: that locates; one that carries no map suits every map.
    """
    modules = model.modules() if isinstance(model, nn.Module) else ()
    carried = next((m for m in modules if isinstance(m, CarriedMap) and not m.empty), None)
    if carried is None:
        return
    known = carried.take().walls.mean(1)
    known = known[(torch.cdist(known, stations[:, :2]) < NEAR).any(1)]
    share = float(_found(known, site_map.walls.mean(1)).double().mean()) if len(known) else 0.0
    if share < ALIKE:
        warnings.warn(
            f"{name}: has {share:.0%} of the walls round these stations that the model was told "
            "of: one of the two is out of date, shifted or of another place",
            stacklevel=3,
        )


def _found(
    walls: Float[Tensor, "wall 2"], among: Float[Tensor, "other 2"]
) -> Bool[Tensor, " wall"]:
    """Which walls are among others, each known by its middle."""
    away, _ = cKDTree(among.numpy()).query(walls.numpy())
    return torch.from_numpy(away < SAME)


def _first_links(source: Source) -> Sounding | None:
    """Some hundred links of an input, in order; None: nobody was heard."""
    parts, left = [], ASKED
    with warnings.catch_warnings():
        # They are read once more to be located, and what is odd about them is said then.
        warnings.simplefilter("ignore")
        for heard in source.blocks():
            parts.append(heard.sounding[:left])
            left -= len(parts[-1])
            if not left:
                break
    parts = [part for part in parts if len(part)]
    return Sounding.join(parts) if parts else None
