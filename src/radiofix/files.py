"""Files that are there whole or not at all, even where the power fails."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """A file beside its place, moved there once it is on the disk; removed if anything goes wrong.

    What stands at the place stays as it is until then.
    """
    if path.is_dir():
        raise ValueError(f"{path} is a folder: give a file to write to")
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.partial")
    try:
        with partial.open("wb") as file:
            yield file
        # Anew, for a writer may have closed the file itself.
        _flush(partial, os.O_RDWR)
        partial.replace(path)
        _flush(path.parent, os.O_RDONLY)
    finally:
        partial.unlink(missing_ok=True)


def write_whole(path: Path, content: bytes | str) -> None:
    """Writes a file whole or not at all; texts in UTF-8."""
    with whole_file(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def _flush(path: Path, mode: int) -> None:
    handle = os.open(path, mode)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
