"""Files of strangers to .npz, in a process of its own that may break, grow or hang without harm.

HDF5, MATLAB and Arrow are read by libraries of C that were not written for hostile files: what goes
wrong there ends this process and not the server's.
"""

from __future__ import annotations

import io
import json
import math
import resource
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from radiofix.data.store import Array
from radiofix.serving.http.npz import expect_plain
from radiofix.serving.pieces import open_arrays

TITLE = "the file"
WELL, WRONG = b"+", b"-"
"""First byte of what is told: JSON, a line's end and an .npz follow, or a reason."""
END = b"\n"
SPARE_BYTES = 2**28
"""Memory beside the arrays."""
COPIES = 8
"""Of the arrays, that readers may hold at a time."""
CPU_SECONDS = 20
Reader = Callable[[Path, Sequence[str], int], Mapping[str, Any]]
"""Of a path, names, and the bytes that the arrays may have at most: arrays, and what is none."""


def translate(path: str, names: Sequence[str], most: int, reader: Reader, told: Connection) -> None:
    """Tells what a file holds, or why it cannot be read; what a process of its own runs.

    Args:
        path: of the file.
        names: to be read, where they are there.
        most: bytes of all of them.
        reader: of such files.
        told: end of a pipe.
    """
    _confine(most)
    try:
        found = reader(Path(path), names, most)
        plain = {name: v for name, v in found.items() if not isinstance(v, np.ndarray)}
        out = io.BytesIO()
        np.savez(out, allow_pickle=False, **{n: v for n, v in found.items() if n not in plain})
        answer = WELL + json.dumps(plain).encode() + END + out.getvalue()
    # Libraries raise what they like, and running out of memory is one of the things that happen.
    except Exception as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        told.send_bytes(WRONG + reason.encode(errors="replace"))
    else:
        told.send_bytes(answer)


def parted(told: bytes) -> tuple[dict[str, Any], bytes]:
    """What is no array, and an .npz of all that is, of what was well."""
    plain, _, arrays = told.removeprefix(WELL).partition(END)
    return json.loads(plain), arrays


def arrays_of(path: Path, names: Sequence[str], most: int) -> dict[str, Array]:
    """Those arrays of a file that are asked for, as `radiofix locate` reads them.

    Raises:
        ValueError: with what is wrong in one line.
    """
    file = open_arrays(path, TITLE)
    shapes = file.shapes
    wanted = [name for name in names if name in shapes]
    if h5py.is_hdf5(path):
        _expect_plain_hdf5(path, wanted)
    # As a header tells it, before any of it is read; numbers worth sending have four bytes.
    if (size := sum(math.prod(shapes[name]) for name in wanted)) > most // 4:
        raise ValueError(f"{TITLE} holds {size} numbers, at most {most // 4} are taken")
    found: Mapping[str, Array] = file.whole(wanted) if wanted else {}
    for name, values in found.items():
        expect_plain(name, values.dtype)
    if (size := sum(values.nbytes for values in found.values())) > most:
        raise ValueError(f"{TITLE} holds {size} bytes, at most {most} are taken")
    return dict(found)


def _expect_plain_hdf5(path: Path, names: Sequence[str]) -> None:
    """Refuses what leads to other files of this machine."""
    with h5py.File(path, "r") as file:
        for name in names:
            dataset = file[name]
            if dataset.external or dataset.is_virtual:
                raise ValueError(f"{name} lies in another file: write it into this one")
            if dataset.dtype.hasobject:
                raise ValueError(f"{name} holds no numbers: write numbers")


def _confine(most: int) -> None:
    """Bounds memory and time, writes no file and leaves no dump of a crash."""
    held = _held()
    for what, bound in (
        (resource.RLIMIT_DATA, held + SPARE_BYTES + COPIES * most),
        (resource.RLIMIT_CPU, CPU_SECONDS),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(what)
        bound = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
        resource.setrlimit(what, (bound, hard))


def _held() -> int:
    """Bytes of data that the process has already, where the system tells."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.is_file() else []
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("VmData"))
