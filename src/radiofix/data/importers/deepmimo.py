"""DeepMIMO scenario folders of either layout."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from radiofix.data.importers.deepmimo_v3 import import_deepmimo_v3
from radiofix.data.importers.deepmimo_v4 import import_deepmimo_v4
from radiofix.data.store import expect_new


def import_deepmimo(source: Path, out: Path, stations: Sequence[int] | None = None) -> None:
    """Imports a DeepMIMO folder, v3 (`params.mat`) or v4 (`params.json`), as its files tell.

    Args:
        source: the scenario's folder.
        out: the store to write, which must not exist yet.
        stations: numbers of the stations, from 1; all by default.
    """
    expect_new(out)
    if (source / "params.json").is_file():
        import_deepmimo_v4(source, out, stations)
    elif (source / "params.mat").is_file():
        import_deepmimo_v3(source, out, stations)
    else:
        raise ValueError(
            f"{source} is no DeepMIMO scenario: it has neither params.mat (v3) nor params.json (v4)"
        )
