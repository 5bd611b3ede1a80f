"""Fixes by ONNX Runtime, asked for as a torch localizer is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Complex
from torch import Tensor

from radiofix.models.localizer import LINKS
from radiofix.physics.channel import Channel
from radiofix.serving.onnx.session import Session
from radiofix.types import Fix, Sounding, Station


class OnnxLocalizer:
    """A file that `radiofix export` wrote, with the `locate` and the `fix` of a `Localizer`."""

    def __init__(self, path: str | Path, threads: int | None = None) -> None:
        """Opens it.

        Args:
            path: of the file.
            threads: of ONNX Runtime; None: as many as there are cores.
        """
        self._session = Session(path, threads)

    @property
    def facts(self) -> dict[str, str]:
        """What the file says of itself: the model, the versions, how it was checked."""
        return self._session.facts

    def locate(
        self,
        csi: Complex[Tensor, "link antenna subcarrier"],
        stations: Station | Sequence[Station],
        channel: Channel,
    ) -> Fix:
        """Where the user of each link stands; as `Localizer.locate`."""
        return self.fix(channel.describe(csi, stations))

    def fix(self, sounding: Sounding) -> Fix:
        """Where the user of each link stands, in bounded memory."""
        if not len(sounding):
            position = torch.zeros(0, 3, dtype=torch.float64)
            return Fix(position, position[:, :, None].expand(0, 3, 3), torch.zeros(0).bool())
        parts = [
            self._session.run(sounding[slice(start, start + LINKS)])
            for start in range(0, len(sounding), LINKS)
        ]
        return Fix(
            torch.cat([part.position for part in parts]),
            torch.cat([part.covariance for part in parts]),
            torch.cat([part.trusted for part in parts]),
        )
