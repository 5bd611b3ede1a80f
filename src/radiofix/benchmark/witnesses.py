"""How well several stations together place users without any label: what `Witnessed` learns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from radiofix.classic.multilateration import Trust
from radiofix.data.store import PathStore
from radiofix.training.batches import Receiver
from radiofix.training.pool import HeldPool
from radiofix.training.users import some
from radiofix.training.witnesses import Witnesses

KEPT = (1.0, 0.9, 0.5)
"""Shares of users, those on whom stations agree best."""


@dataclass(frozen=True)
class Row:
    """One way of asking."""

    bandwidth: float
    """[Hz]."""
    kept: float
    users: int
    mean: float
    """Horizontal, against positions that the stations were not told [m]."""
    median: float
    p90: float


def measure(
    store: PathStore,
    bandwidths: Sequence[float],
    users: int,
    snr_db: float | None,
    clock_offset: float,
    seed: int = 0,
) -> list[Row]:
    """Errors at each bandwidth, over all users and over those on whom stations agree."""
    rows = some(np.arange(store.users), users, seed)
    pool = HeldPool(store, rows, range(len(store.stations)))
    truth = torch.from_numpy(store.dataset["user_position"].values[_rows(pool)])
    table = []
    for bandwidth in bandwidths:
        receiver = Receiver(bandwidths=(bandwidth,), snr_db=snr_db)
        for kept in KEPT:
            asked = Witnesses(kept, Trust(clock_offset=clock_offset))
            place = asked.places(pool, receiver, seed)
            known = place.isfinite().all(-1)
            error = (place - truth)[known, :2].norm(dim=-1)
            table.append(
                Row(
                    bandwidth=bandwidth,
                    kept=kept,
                    users=int(known.sum()),
                    mean=float(error.mean()),
                    median=float(error.quantile(0.5)),
                    p90=float(error.quantile(0.9)),
                )
            )
    return table


def plain(table: Sequence[Row]) -> list[dict[str, Any]]:
    """The rows as JSON."""
    return [asdict(row) for row in table]


def markdown(table: Sequence[Row]) -> str:
    """The rows for people."""
    lines = [
        "| bandwidth [MHz] | users kept | mean [m] | median | 90 % |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {r.bandwidth / 1e6:g} | {100 * r.kept:g} % ({r.users:,}) | {r.mean:.2f} | "
        f"{r.median:.2f} | {r.p90:.2f} |"
        for r in table
    ]
    return "\n".join(lines) + "\n"


def _rows(pool: HeldPool) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Rows in the store of a pool's users."""
    everyone = torch.arange(len(pool.reachable))
    station = pool.reachable.int().argmax(-1)
    found: np.ndarray[Any, np.dtype[np.int64]] = pool.take(everyone, station).user.numpy()
    return found
