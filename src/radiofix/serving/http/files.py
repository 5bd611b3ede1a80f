"""HDF5, MATLAB's files, .npy, Arrow as bodies: read at arm's length, by who may break."""

from __future__ import annotations

import multiprocessing
import tempfile
from collections.abc import Collection, Mapping
from functools import lru_cache
from multiprocessing.context import BaseContext
from typing import Any

from radiofix.serving.http.npz import read_npz
from radiofix.serving.http.translating import WELL, Reader, arrays_of, parted, translate

SECONDS = 30.0
"""In which a file must be read, once its reader has started."""
OVERHEAD = 2**20
"""Bytes beside the arrays, at most."""
ALSO = ("radiofix.serving.http.arrow", "pyarrow.ipc")
"""Loaded beforehand too, where it is there."""
NUMBERLESS = "stations"
"""Names, which no file that `radiofix locate` reads holds."""


def read_file(body: bytes, names: Collection[str], most: int) -> Mapping[str, Any]:
    """Those arrays of a file of any format that are asked for.

    Args:
        body: the file.
        names: to be read; what else is there is not looked at.
        most: bytes of all of them.
    """
    return read_apart(body, [name for name in names if name != NUMBERLESS], most, arrays_of)


def read_apart(body: bytes, names: Collection[str], most: int, reader: Reader) -> Mapping[str, Any]:
    """What a reader finds in a body, or what was wrong with it, even where that breaks the reader.

    Args:
        body: to be read.
        names: of the arrays that are wanted.
        most: bytes of all of them.
        reader: is run in a process of its own.

    Raises:
        ValueError: with what is wrong in one line.
    """
    with tempfile.NamedTemporaryFile(prefix="radiofix-") as file:
        file.write(body)
        file.flush()
        told = _told(file.name, tuple(names), most, reader)
    if not told.startswith(WELL):
        raise ValueError(told[1:].decode(errors="replace"))
    plain, arrays = parted(told)
    return {**plain, **read_npz(arrays, names, most)}


def _told(path: str, names: tuple[str, ...], most: int, reader: Reader) -> bytes:
    """What a reader in a process of its own says."""
    context = _context()
    ours, theirs = multiprocessing.Pipe(duplex=False)
    task = {"target": translate, "args": (path, names, most, reader, theirs)}
    process = context.Process(**task, daemon=True)  # type: ignore[attr-defined]  # typeshed has it on each kind of context alone
    process.start()
    theirs.close()
    try:
        if not ours.poll(SECONDS):
            raise ValueError(f"the file was not read within {SECONDS:g} s: send it as .npz")
        return ours.recv_bytes(most + OVERHEAD)
    except (EOFError, OSError) as error:
        raise ValueError("the file cannot be read: its reader broke, get it again") from error
    finally:
        ours.close()
        process.kill()
        process.join()
        process.close()


@lru_cache(1)
def _context() -> BaseContext:
    """Processes that begin with the reader loaded, and with none of the server's threads."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([translate.__module__, *ALSO])
    return context
