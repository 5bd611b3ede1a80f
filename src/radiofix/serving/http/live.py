"""`/v1/live`: fixes as a viewer draws them, a few frames a second whatever the load."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

import numpy as np
import pydantic_core
from numpy.typing import NDArray

from radiofix.serving.fixes import Fixes
from radiofix.serving.http.asking import Question
from radiofix.serving.http.streaming import Listeners

FRAME_SECONDS = 0.1
"""Between frames, at least."""
FRAME_FIXES = 256
"""In a frame, at most: the latest."""
FRAME_REQUESTS = 64
"""Whose times a frame tells, at most: the latest."""
BACKLOG = 8
"""Frames that a slow viewer may lag behind."""


class Live:
    """Gathers what was fixed and hands it to all viewers, a frame at a time."""

    def __init__(self, most: int) -> None:
        self.viewers = Listeners(most, BACKLOG)
        self._fixes: deque[dict[str, Any]] = deque(maxlen=FRAME_FIXES)
        self._seconds: deque[float] = deque(maxlen=FRAME_REQUESTS)
        self._made = self._told = self._requests = 0
        self._due: asyncio.TimerHandle | None = None

    @property
    def watched(self) -> bool:
        """Whether anybody looks: nothing is prepared for nobody."""
        return self.viewers.count > 0

    def count(self, fixes: int) -> None:
        """After a request, seen or not: rates count all of them."""
        self._made, self._requests = self._made + fixes, self._requests + 1

    def tell(self, fixes: list[dict[str, Any]], seconds: float) -> None:
        """Has the fixes of a request seen in the next frame.

        Args:
            fixes: of `drawn`.
            seconds: from the request to its fixes.
        """
        self._fixes.extend(fixes)
        self._seconds.append(seconds)
        if self._due is None:
            self._due = asyncio.get_running_loop().call_later(FRAME_SECONDS, self._frame)

    def _frame(self) -> None:
        self._due = None
        frame = {
            "made": self._made,
            "requests": self._requests,
            "seconds": [round(s, 6) for s in self._seconds],
            "fixes": list(self._fixes),
        }
        self._fixes.clear()
        self._seconds.clear()
        self.viewers.tell(pydantic_core.to_json(frame, inf_nan_mode="null").decode())


def drawn(number: int, question: Question, fixes: Fixes) -> list[dict[str, Any]]:
    """The latest fixes of a request, with all that a drawing needs; of each a `FixDrawn`."""
    first = max(0, len(fixes) - FRAME_FIXES)
    latest = fixes[first:]
    stations = [
        {"name": station.name, "position": station.position.tolist()}
        for station in question.site.stations
    ]
    known = latest.known.tolist()
    position, covariance = latest.position.round(3).tolist(), latest.covariance.tolist()
    truth = [None] * len(latest) if question.truth is None else _told(question.truth[first:])
    return [
        {
            "request": number,
            "row": first + row,
            "user": int(latest.user[row]) if question.named else None,
            "time": float(latest.time[row]),
            "position": position[row] if known[row] else None,
            "covariance": _upper(covariance[row]) if known[row] else None,
            "trusted": bool(latest.trusted[row]),
            "truth": truth[row],
            "stations": [
                {**stations[column], "weight": round(weight, 3)}
                for column, weight in zip(
                    latest.station[row].tolist(), latest.weight[row].tolist(), strict=True
                )
                if column >= 0
            ],
        }
        for row in range(len(latest))
    ]


def _told(truth: NDArray[np.float64]) -> list[list[float] | None]:
    """None where nobody wrote it down."""
    return [row if np.isfinite(row).all() else None for row in truth.round(3).tolist()]


def _upper(covariance: list[list[float]]) -> list[float]:
    """xx, xy, yy of the plane: all that an ellipse needs [m^2]."""
    return [covariance[0][0], covariance[0][1], covariance[1][1]]
