"""Zipped NumPy arrays from a stranger: nothing is unpickled, nothing grows past a bound."""

from __future__ import annotations

import io
import math
import struct
import zipfile
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from typing import IO, Any

import numpy as np

from radiofix.data.store import Array

Header = tuple[tuple[int, ...], bool, np.dtype[Any]]
"""Shape, whether Fortran's order, type."""
MEMBERS = 64
"""Of an archive, at most."""
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Python unpacks these in pieces; the others at once, however long they get."""
ENCRYPTED = 0x1
VERSIONS: Mapping[tuple[int, int], tuple[str, Callable[[IO[bytes]], Header]]] = {
    (1, 0): ("<H", np.lib.format.read_array_header_1_0),
    (2, 0): ("<I", np.lib.format.read_array_header_2_0),
}
"""Of .npy: how the length of a header is written, and what reads one."""
LONGEST_HEADER = 4096
"""Bytes, of arrays without fields by far enough."""


def read_npz(body: bytes, names: Collection[str], most: int) -> Mapping[str, Array]:
    """Those arrays of an .npz that are asked for.

    Args:
        body: the file.
        names: to be read; what else is there is not looked at.
        most: bytes of all of them, unpacked.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            return _arrays(archive, names, most)
    # A damaged archive leads zipfile, zlib and NumPy's parser of headers anywhere.
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ValueError(f"the body cannot be read as .npz: {reason}") from error


def _arrays(archive: zipfile.ZipFile, names: Collection[str], most: int) -> Mapping[str, Array]:
    members = archive.infolist()
    if len(members) > MEMBERS:
        raise ValueError(f"it holds {len(members)} arrays, at most {MEMBERS} are looked at")
    wanted = [m for m in members if m.filename.removesuffix(".npy") in names]
    if len({m.filename for m in wanted}) != len(wanted):
        raise ValueError("it holds two arrays of one name")
    if (size := sum(m.file_size for m in wanted)) > most:
        raise ValueError(f"its arrays have {size} bytes, at most {most} are taken")
    for member in wanted:
        if member.compress_type not in METHODS or member.flag_bits & ENCRYPTED:
            raise ValueError(f"{member.filename} is neither stored nor deflated: use numpy.savez")
    found = {}
    for member in wanted:
        with archive.open(member) as stream:
            found[member.filename.removesuffix(".npy")] = _array(member, stream)
    return found


def _array(member: zipfile.ZipInfo, stream: IO[bytes]) -> Array:
    version = np.lib.format.read_magic(stream)
    if version not in VERSIONS:
        raise ValueError(f"{member.filename} is of version {version}: use numpy.savez")
    written, _ = VERSIONS[version]
    length = stream.read(struct.calcsize(written))
    (size,) = struct.unpack(written, length)
    if size > LONGEST_HEADER:
        raise ValueError(f"{member.filename} has a header of {size} bytes: use numpy.savez")
    shape, fortran, dtype = _header(version, length + stream.read(size))
    expect_plain(member.filename, dtype)
    size = member.file_size - stream.tell()
    # Python's own whole numbers: a product of absurd sizes must not wrap round.
    if min(shape, default=0) < 0 or size != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"{member.filename} is not as long as its header says")
    content = stream.read(size)
    if len(content) != size or stream.read(1):
        raise ValueError(f"{member.filename} is cut off")
    flat: Array = np.frombuffer(content, dtype=dtype)
    return flat.reshape(shape, order="F" if fortran else "C")


@lru_cache(256)
def _header(version: tuple[int, int], written: bytes) -> Header:
    """What a header says; a client's requests are alike, and NumPy parses it as Python."""
    return VERSIONS[version][1](io.BytesIO(written))


def expect_plain(name: str, dtype: np.dtype[Any]) -> None:
    """Refuses Python objects, compounds and whatever is no number and no text."""
    if dtype.hasobject:
        raise ValueError(f"{name} holds Python objects, which are never read")
    if dtype.kind not in "biufcU" or dtype.itemsize == 0:
        raise ValueError(f"{name} holds {str(dtype)[:60]} values, not numbers")
