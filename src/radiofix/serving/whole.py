"""Files that are there whole or not at all, although they are written piece by piece."""

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
            # A writer may have closed the file with itself.
            if not file.closed:
                file.flush()
                os.fsync(file.fileno())
        partial.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        partial.unlink(missing_ok=True)
