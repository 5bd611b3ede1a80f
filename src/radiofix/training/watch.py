"""Losses as they come: kept on the device, looked at now and then, stopped when they run off."""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

REMEMBERED = 200
"""Steps that the running median is of."""
FEWEST = 20
"""Steps before a loss can be called diverging."""


class DivergedError(ValueError):
    """A loss that is no number, or far above all before it."""


class Watch:
    """Keeps the losses of the steps since the last look, without waiting for the device."""

    def __init__(self, divergence: float) -> None:
        self.divergence = divergence
        self._recent: deque[float] = deque(maxlen=REMEMBERED)
        self._pending: list[tuple[int, Tensor, dict[str, Tensor]]] = []

    def note(self, step: int, users: Tensor, losses: Mapping[str, Tensor]) -> None:
        """Remembers the losses of a step and the users it was drawn from."""
        kept = {name: loss.detach() for name, loss in losses.items()}
        self._pending.append((step, users, kept))

    def look(self, reduce: Any) -> dict[str, float]:
        """Means over the steps since the last look, after a check of each.

        Args:
            reduce: makes of a tensor its mean over processes.

        Raises:
            DivergedError: naming the step and its users.
        """
        if not self._pending:
            return {}
        names = tuple(self._pending[0][2])
        rows = [torch.stack([losses[n].float() for n in names]) for _, _, losses in self._pending]
        table = reduce(torch.stack(rows)).cpu().double()
        for (step, users, _), loss in zip(
            self._pending, table[:, names.index("loss")].tolist(), strict=True
        ):
            self._expect_sane(step, users, loss)
            self._recent.append(loss)
        self._pending.clear()
        return dict(zip(names, table.mean(0).tolist(), strict=True))

    def _expect_sane(self, step: int, users: Tensor, loss: float) -> None:
        limit = self._limit()
        if math.isfinite(loss) and loss <= limit:
            return
        distinct = sorted(set(users.tolist()))
        some = distinct[:8]
        more = "" if len(distinct) <= 8 else ", ..."
        what = f"is {loss:g}" if not math.isfinite(loss) else f"{loss:.4g} exceeds {limit:.4g}"
        raise DivergedError(
            f"the loss {what} at step {step}, users {', '.join(map(str, some))}{more}"
        )

    def _limit(self) -> float:
        if len(self._recent) < FEWEST:
            return math.inf
        median = statistics.median(self._recent)
        # A likelihood's loss may pass through 0, where a multiple of it would mean nothing.
        spread = statistics.median(abs(loss - median) for loss in self._recent)
        return median + (self.divergence - 1) * max(abs(median), 5 * spread)

    def state_dict(self) -> dict[str, list[float]]:
        """The losses remembered."""
        return {"recent": list(self._recent)}

    def load_state_dict(self, state: dict[str, list[float]]) -> None:
        """Goes on from them."""
        self._recent = deque(state["recent"], maxlen=REMEMBERED)
