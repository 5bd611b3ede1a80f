"""`locate`: channels in, blocks of fixes out, several stations joined, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from radiofix.models.fusing import Fusion, slots
from radiofix.serving.captures import CaptureSource
from radiofix.serving.fixes import Fixes
from radiofix.serving.soundings import Heard, Reading, Source
from radiofix.serving.stores import open_store
from radiofix.types import Fix, Sounding

AUTO = Reading()
USUAL = Fusion()


class Locates(Protocol):
    """Whatever makes fixes of soundings: a `Localizer`, or an `OnnxLocalizer`."""

    def fix(self, sounding: Sounding) -> Fix:
        """Where the user of each link stands."""
        ...


def open_source(path: str | Path, reading: Reading = AUTO, title: str | None = None) -> Source:
    """An input: a store (of measured CSI, or of paths with a bandwidth), or a file of arrays.

    Args:
        path: of the store or the file.
        reading: what is to be known beside what it holds itself.
        title: what messages and fixes call it; None: its path.
    """
    path = Path(path)
    if path.is_dir():
        return open_store(path, reading)
    return CaptureSource(path, reading, str(path) if title is None else title)


def locate(
    model: Locates,
    blocks: Iterable[Heard],
    fusion: Fusion = USUAL,
    device: torch.device | str = "cpu",
) -> Iterator[Fixes]:
    """Where the users of each block stand: one fix a user and time, by all that heard it.

    Args:
        model: with a position head, on `device`.
        blocks: of a `Source`, or of whatever makes some.
        fusion: how stations are joined.
        device: where the model is.
    """
    for heard in blocks:
        yield _located(model, heard, fusion, device)


def _located(model: Locates, heard: Heard, fusion: Fusion, device: torch.device | str) -> Fixes:
    fix = Fix.nowhere(0)
    if len(heard.fix):
        try:
            fix = model.fix(heard.sounding.to(device))
        except (ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:300]
            raise ValueError(f"{heard.source} does not suit the model: {reason}") from error
    fused = fusion.join(fix, heard.fix, len(heard.labels))
    station = np.full(fused.weight.shape, -1)
    station[heard.fix, slots(heard.fix)] = heard.sounding.station.numpy()
    return Fixes(
        source=heard.source,
        user=heard.labels.user,
        time=heard.labels.time,
        track=heard.labels.track,
        position=fused.position,
        covariance=fused.covariance,
        trusted=fused.trusted,
        station=station,
        weight=fused.weight,
    )
