"""Where the links of a run come from: held in memory if they fit, else streamed by blocks."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from math import prod
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Bool, Int
from numpy.typing import NDArray
from torch import Tensor

from radiofix.data import schema
from radiofix.data.store import CHUNK_USERS, PathStore
from radiofix.training.measured import MeasuredPool, Recorded
from radiofix.training.users import Rows, expect_users
from radiofix.types import Paths, Truth

BUDGET = 4e9
"""Bytes of links that are held in memory at most; larger pools of paths are streamed."""


class Pool(Protocol):
    """Links of some users of a store at some of its stations."""

    reachable: Bool[Tensor, "user station"]
    """Where anything is heard; users of whom nothing is anywhere are not in the pool."""

    def order(self, generator: torch.Generator) -> Int[Tensor, " user"]:
        """Each user once, in an order to draw them in."""
        ...

    def take(self, user: Int[Tensor, " link"], station: Int[Tensor, " link"]) -> Paths | Recorded:
        """The links of users and stations given by their places in `reachable`."""
        ...


def open_pool(
    store: PathStore,
    users: Rows,
    stations: Sequence[int],
    device: torch.device | str = "cpu",
    budget: float = BUDGET,
) -> Pool:
    """The links of some users (rows) at some stations (columns), on the device where they fit."""
    names = ("csi",) if store.measured else tuple(schema.PATH_VARIABLES)
    each = sum(store.dataset[n].dtype.itemsize * prod(store.dataset[n].shape[2:]) for n in names)
    size = len(users) * len(stations) * each
    if size <= budget:
        return hold(store, users, stations, device)
    if store.measured:
        raise ValueError(
            f"{store.path}: the measured CSI asked for takes {size / 1e9:.3g} GB, "
            f"{budget / 1e9:g} are held: ask for fewer users"
        )
    return StreamedPool(store, users, stations, device)


def hold(
    store: PathStore,
    users: Rows,
    stations: Sequence[int],
    device: torch.device | str = "cpu",
    wanted: Callable[[Truth], Bool[Tensor, " link"]] | None = None,
) -> HeldPool | MeasuredPool:
    """The links of some users at some stations in memory: paths, or channels as measured."""
    kind = MeasuredPool if store.measured else HeldPool
    return kind(store, users, stations, device, wanted)


class HeldPool:
    """Links kept as tensors on one device; `user` holds the rows of who is heard at all."""

    def __init__(
        self,
        store: PathStore,
        users: Rows,
        stations: Sequence[int],
        device: torch.device | str = "cpu",
        wanted: Callable[[Truth], Bool[Tensor, " link"]] | None = None,
    ) -> None:
        """Reads the links; those whose labels are not `wanted` count as not reachable."""
        columns = np.asarray(stations, dtype=np.int64)
        paths = _read(store, np.sort(users), columns)
        seen = (paths["interactions"] >= 0).any(-1)
        if wanted is not None:
            position = torch.from_numpy(store.dataset["user_position"].values[np.sort(users)])
            each = position[:, None].expand(-1, len(columns), 3).flatten(0, 1)
            sight = (paths["interactions"] == 0).any(-1).flatten()
            seen = seen & wanted(Truth(each, sight)).reshape(seen.shape)
        kept = torch.from_numpy(np.sort(users))[seen.any(-1)]
        expect_users(store, len(kept))
        self.reachable: Bool[Tensor, "user station"] = seen[seen.any(-1)].to(device)
        self._paths = {name: v[seen.any(-1)].to(device) for name, v in paths.items()}
        self._scene = _scene(store, kept, columns, device)
        self.user: Int[Tensor, " user"] = kept.to(device)
        self._station = torch.from_numpy(columns).to(device)

    def order(self, generator: torch.Generator) -> Int[Tensor, " user"]:
        """A random permutation of the users."""
        device = self.reachable.device
        return torch.randperm(len(self.reachable), generator=generator).to(device)

    def take(self, user: Int[Tensor, " link"], station: Int[Tensor, " link"]) -> Paths:
        """The links of users and stations given by their places in `reachable`."""
        return Paths(
            **{name: values[user, station] for name, values in self._paths.items()},
            user_position=self._scene["user_position"][user],
            station_position=self._scene["station_position"][station],
            station_orientation=self._scene["station_orientation"][station],
            carrier_frequency=self._scene["carrier_frequency"][station],
            user=self.user[user],
            station=self._station[station],
        )


class StreamedPool:
    """Links read from the store in blocks of users; a few blocks are in memory at a time."""

    def __init__(
        self,
        store: PathStore,
        users: Rows,
        stations: Sequence[int],
        device: torch.device | str = "cpu",
        block: int = CHUNK_USERS,
        window: int = 8,
    ) -> None:
        self._store, self._device, self._window = store, device, window
        self._columns = np.asarray(stations, dtype=np.int64)
        rows = np.sort(users)
        seen = (_read(store, rows, self._columns, ("interactions",))["interactions"] >= 0).any(-1)
        self.reachable: Bool[Tensor, "user station"] = seen[seen.any(-1)].to(device)
        self._rows = rows[seen.any(-1).numpy()]
        expect_users(store, len(self._rows))
        # Blocks follow the store's chunks, so that no chunk is read for two of them.
        number = self._rows // block
        start = np.flatnonzero(np.diff(number, prepend=number[0] - 1))
        self._start = torch.from_numpy(start)
        self._blocks = np.split(self._rows, start[1:])
        self._cached: OrderedDict[int, HeldPool] = OrderedDict()

    def order(self, generator: torch.Generator) -> Int[Tensor, " user"]:
        """Blocks in random order; a few neighbours in that order are shuffled together."""
        blocks = torch.randperm(len(self._blocks), generator=generator).tolist()
        windows = []
        for first in range(0, len(blocks), self._window):
            users = torch.cat(
                [
                    int(self._start[b]) + torch.arange(len(self._blocks[b]))
                    for b in blocks[first : first + self._window]
                ]
            )
            windows.append(users[torch.randperm(len(users), generator=generator)])
        return torch.cat(windows).to(self._device)

    def take(self, user: Int[Tensor, " link"], station: Int[Tensor, " link"]) -> Paths:
        """The links of users and stations given by their places in `reachable`."""
        place = user.cpu()
        block = torch.bucketize(place, self._start, right=True) - 1
        sorting = block.argsort(stable=True)
        parts = []
        for number in sorted(set(block.tolist())):
            chosen = sorting[block[sorting] == number]
            inside = place[chosen] - self._start[number]
            parts.append(self._block(number).take(inside, station.cpu()[chosen]))
        back = sorting.argsort()
        fields = {f: torch.cat([getattr(p, f) for p in parts])[back] for f in Paths.__slots__}
        return Paths(**fields).to(self._device)

    def _block(self, number: int) -> HeldPool:
        if number not in self._cached:
            self._cached[number] = HeldPool(
                self._store, self._blocks[number], self._columns.tolist()
            )
            while len(self._cached) > 2 * self._window:
                self._cached.popitem(last=False)
        self._cached.move_to_end(number)
        return self._cached[number]


def _read(
    store: PathStore,
    users: Rows,
    columns: Rows,
    names: Sequence[str] = tuple(schema.PATH_VARIABLES),
) -> dict[str, Tensor]:
    """Variables (user, station, path) of sorted rows, chunk by chunk."""
    dataset = store.dataset
    if "gain" not in dataset:
        raise ValueError(f"{store.path} holds measured CSI, no paths: give a traced store")
    edges = np.arange(0, store.users + CHUNK_USERS, CHUNK_USERS)
    cuts = np.searchsorted(users, edges)
    found: dict[str, list[NDArray[np.generic]]] = {name: [] for name in names}
    for start, low, high in zip(edges[:-1], cuts[:-1], cuts[1:], strict=True):
        if low == high:
            continue
        chunk = dataset[list(names)].isel(user=slice(start, start + CHUNK_USERS)).load()
        for name in names:
            found[name].append(chunk[name].values[users[low:high] - start][:, columns])
    empty = (0, len(columns), dataset.sizes["path"])
    return {
        name: torch.from_numpy(np.concatenate(v) if v else np.empty(empty, dataset[name].dtype))
        for name, v in found.items()
    }


def _scene(
    store: PathStore, users: Tensor, columns: Rows, device: torch.device | str
) -> dict[str, Tensor]:
    dataset = store.dataset
    stations = ("station_position", "station_orientation", "carrier_frequency")
    scene = {name: torch.from_numpy(dataset[name].values[columns]).to(device) for name in stations}
    position = dataset["user_position"].values[users.numpy()]
    return {**scene, "user_position": torch.from_numpy(position).to(device)}
