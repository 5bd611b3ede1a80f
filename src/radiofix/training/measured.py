"""Links that were measured: their channels are held as they were received, none is made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from radiofix.data.reception import Reception
from radiofix.data.store import PathStore
from radiofix.training.users import Rows, expect_users
from radiofix.types import Sounding, Truth


@dataclass(frozen=True, slots=True)
class Recorded:
    """Channels as they were received, and where their users stood."""

    sounding: Sounding
    user_position: Float[Tensor, "link 3"]
    """NaN where nobody wrote it down [m]."""

    @property
    def line_of_sight(self) -> Bool[Tensor, " link"]:
        """Nowhere: it is not known of any link."""
        return torch.zeros(len(self.sounding), dtype=torch.bool, device=self.user_position.device)


class MeasuredPool:
    """Measured links kept as tensors on one device."""

    def __init__(
        self,
        store: PathStore,
        users: Rows,
        stations: Sequence[int],
        device: torch.device | str = "cpu",
        wanted: Callable[[Truth], Bool[Tensor, " link"]] | None = None,
    ) -> None:
        """Reads the links; those that were not measured, or are not `wanted`, are not reachable."""
        rows, columns = np.sort(users), np.asarray(stations, dtype=np.int64)
        csi = store.csi(users=rows, station=columns.tolist())
        there = csi.values.isfinite().flatten(1).all(1) & (csi.values != 0).flatten(1).any(1)
        if wanted is not None:
            there = there & _wanted(store, csi.user_position, wanted)
        reception = Reception.of(store.stations, csi.frequency, csi.antenna_position).checked(
            str(store.path)
        )
        sounding = reception.sounding(
            str(store.path), csi.values[there], csi.station[there], csi.user[there]
        )
        table = there.reshape(len(rows), len(columns))
        kept = table.any(-1)
        expect_users(store, int(kept.sum()))
        place = torch.cumsum(there, 0).reshape(table.shape) - 1
        self.reachable: Bool[Tensor, "user station"] = table[kept].to(device)
        self._place = place[kept].to(device)
        self._sounding = sounding.to(device)
        self._position = csi.user_position[there].to(device)

    def order(self, generator: torch.Generator) -> Int[Tensor, " user"]:
        """A random permutation of the users."""
        device = self.reachable.device
        return torch.randperm(len(self.reachable), generator=generator).to(device)

    def take(self, user: Int[Tensor, " link"], station: Int[Tensor, " link"]) -> Recorded:
        """The links of users and stations given by their places in `reachable`."""
        place = self._place[user, station]
        return Recorded(self._sounding[place], self._position[place])


def _wanted(
    store: PathStore,
    position: Float[Tensor, "link 3"],
    wanted: Callable[[Truth], Bool[Tensor, " link"]],
) -> Bool[Tensor, " link"]:
    """Which links are wanted although nobody knows whether their users see the station."""
    sight = torch.zeros(len(position), dtype=torch.bool)
    found = wanted(Truth(position, sight))
    if not bool(found.any()) and bool(wanted(Truth(position, ~sight)).any()):
        raise ValueError(
            f"{store.path} is measured CSI, which does not tell who sees a station, and times and "
            "angles of arrival are asked of those alone: take a recipe for positions"
        )
    return found
