"""Miniature source folders, and what every importer owes to bad input."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

Refused = Callable[[Callable[[Path], None], Path], str]


@pytest.fixture(scope="session")
def refused() -> Refused:
    """Checks that an import ends in one line and leaves nothing behind; returns the line."""

    def check(run: Callable[[Path], None], folder: Path) -> str:
        before = sorted(folder.rglob("*"))
        with pytest.raises(ValueError, match=r"\A.+\Z") as caught:
            run(folder / "out.zarr")
        assert sorted(folder.rglob("*")) == before, "something was written"
        return str(caught.value)

    return check
