"""Fixes by ONNX Runtime, asked for as a torch localizer is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from numpy.typing import ArrayLike
from torch import Tensor

from radiofix.physics.channel import Channel
from radiofix.physics.panels import by_arrangement, in_line
from radiofix.serving.cores import usable
from radiofix.serving.onnx.session import Session
from radiofix.types import Fix, Sounding, Station

FEWEST, MOST = 8, 64
"""Links of a call: fewer cost a tenth more each, more do not fit the cache any better."""


class OnnxLocalizer:
    """A file that `radiofix export` wrote, with the `locate` and the `fix` of a `Localizer`."""

    def __init__(self, path: str | Path, threads: int | None = None) -> None:
        """Opens it.

        Args:
            path: of the file.
            threads: among which links are shared out; None: one a core.
        """
        self._session = Session(path)
        self._threads = usable() if threads is None else threads
        self._helpers = ThreadPoolExecutor(self._threads, "radiofix-onnx")

    @property
    def facts(self) -> dict[str, str]:
        """What the file says of itself: the model, the versions, how it was checked."""
        return self._session.facts

    def locate(
        self,
        csi: Tensor | ArrayLike,
        stations: Station | Sequence[Station],
        channel: Channel,
    ) -> Fix:
        """Where the user of each link stands; as `Localizer.locate`."""
        return self.fix(channel.describe(csi, stations))

    def fix(self, sounding: Sounding) -> Fix:
        """Where the user of each link stands, in bounded memory."""
        if not len(sounding):
            return Fix.nowhere(0)
        return by_arrangement(sounding, self._of_one_array)

    def _of_one_array(self, sounding: Sounding) -> Fix:
        if self._session.looks_for_waves:
            sounding = in_line(sounding)
        links = min(MOST, max(FEWEST, math.ceil(len(sounding) / self._threads)))
        shares = [sounding[slice(at, at + links)] for at in range(0, len(sounding), links)]
        if min(self._threads, len(shares)) == 1:
            parts = [self._session.run(share) for share in shares]
        else:
            # Threads are made where they are first asked for, as patient as who asks.
            parts = list(self._helpers.map(self._session.run, shares))
        return Fix.join(parts)
