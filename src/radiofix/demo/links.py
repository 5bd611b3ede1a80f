"""Channels of labelled points and of phones to be found, ordered by phone and station."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from radiofix.data.store import PathStore
from radiofix.objectives.tasks import PositionTask
from radiofix.training.batches import LabelledBatches
from radiofix.training.evaluate import choice_of, part_links
from radiofix.training.pool import HeldPool
from radiofix.training.recipe import FinetuneRecipe
from radiofix.training.users import station_columns
from radiofix.types import Sounding, Truth


@dataclass(frozen=True)
class Links:
    """What the stations heard of some phones, and where those were."""

    sounding: Sounding
    """(link,) links of one phone follow each other."""
    users: NDArray[np.int64]
    """(user,) rows of the store, in the order of the links."""
    row: NDArray[np.int64]
    """(link,) place of its phone in `users`."""
    station: NDArray[np.int64]
    """(link,) column of its station."""
    position: NDArray[np.float64]
    """(link, 3) where its phone is [m]."""

    @property
    def truth(self) -> NDArray[np.float64]:
        """(user, 3) where the phones are [m]."""
        truth = np.zeros((len(self.users), 3))
        truth[self.row] = self.position
        return truth

    @property
    def stations(self) -> int:
        """How many there are."""
        return int(self.station.max()) + 1

    def spread(self, values: NDArray[Any]) -> NDArray[Any]:
        """What is told of each link, as (user, station, ...); 0 where a station heard nothing."""
        table = np.zeros((len(self.users), self.stations, *values.shape[1:]), values.dtype)
        table[self.row, self.station] = values
        return table


def labelled(recipe: FinetuneRecipe, store: PathStore) -> Links:
    """The points that networks learn from, heard once."""
    columns = station_columns(store, recipe.stations)
    rows = choice_of(recipe, store, columns).labelled(recipe.labels, recipe.seed)
    pool = HeldPool(store, rows, columns, "cpu")
    batches = LabelledBatches(pool, recipe.receiver, len(pool.reachable))
    return _links(batches.all(torch.Generator().manual_seed(recipe.seed)))


def held_out(recipe: FinetuneRecipe, store: PathStore, part: str, users: int) -> Links:
    """At most so many phones of a part of the recipe's split."""
    return _links(part_links(recipe, store, PositionTask(), part, users, "cpu"))


def _links(parts: list[tuple[Sounding, Truth]]) -> Links:
    sounding = Sounding.join([sounding for sounding, _ in parts])
    users, row = np.unique(sounding.user.numpy(), return_inverse=True)
    position = torch.cat([truth.position for _, truth in parts]).double().numpy()
    return Links(sounding, users, row, sounding.station.numpy(), position)
