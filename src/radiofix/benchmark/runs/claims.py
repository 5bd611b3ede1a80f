"""Who is at what, so that several benches may share folders and none does another's work."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from radiofix.benchmark.runs.site import Site

CLAIMS = "claims"


@contextmanager
def claim(site: Site, work: str | Path, wait: bool = False) -> Iterator[bool]:
    """Whether a piece of work is this process's, until the end; a killed process has no claim.

    Args:
        site: whose folder of work is shared.
        work: its name there.
        wait: whether to wait for who is at it.
    """
    place = site.work / CLAIMS / site.scale.name / f"{work}.lock"
    place.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(place)
    try:
        lock.acquire(blocking=wait)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def of_results(site: Site, file: str | Path) -> Path:
    """The name of work on a file of results: that of another folder of results is another."""
    folder = hashlib.sha256(str(site.out.resolve()).encode()).hexdigest()[:12]
    return Path(folder) / file
