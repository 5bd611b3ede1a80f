"""HDF5, MATLAB's files and .npy as bodies: read by `radiofix locate`'s reader, at arm's length."""

from __future__ import annotations

import multiprocessing
import tempfile
from collections.abc import Collection, Mapping
from functools import lru_cache
from multiprocessing.context import BaseContext

from radiofix.data.store import Array
from radiofix.serving.http.npz import read_npz
from radiofix.serving.http.translating import WELL, translate

SECONDS = 30.0
"""In which a file must be read, once its reader has started."""
OVERHEAD = 2**16
"""Bytes of an .npz beside its arrays, at most."""
NUMBERLESS = "stations"
"""Names, which no file that `radiofix locate` reads holds."""


def read_file(body: bytes, names: Collection[str], most: int) -> Mapping[str, Array]:
    """Those arrays of a file of any format that are asked for.

    Args:
        body: the file.
        names: to be read; what else is there is not looked at.
        most: bytes of all of them.
    """
    with tempfile.NamedTemporaryFile(prefix="radiofix-") as file:
        file.write(body)
        file.flush()
        told = _told(file.name, tuple(name for name in names if name != NUMBERLESS), most)
    if told.startswith(WELL):
        return read_npz(told[1:], names, most)
    raise ValueError(told[1:].decode(errors="replace"))


def _told(path: str, names: tuple[str, ...], most: int) -> bytes:
    """What a reader in a process of its own says."""
    context = _context()
    ours, theirs = multiprocessing.Pipe(duplex=False)
    reader = context.Process(target=translate, args=(path, names, most, theirs), daemon=True)  # type: ignore[attr-defined]  # typeshed has it on each kind of context alone
    reader.start()
    theirs.close()
    try:
        if not ours.poll(SECONDS):
            raise ValueError(f"the file was not read within {SECONDS:g} s: send it as .npz")
        return ours.recv_bytes(most + OVERHEAD)
    except (EOFError, OSError) as error:
        raise ValueError("the file cannot be read: its reader broke, get it again") from error
    finally:
        ours.close()
        reader.kill()
        reader.join()
        reader.close()


@lru_cache(1)
def _context() -> BaseContext:
    """Processes that begin with the reader loaded, and with none of the server's threads."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([translate.__module__])
    return context
