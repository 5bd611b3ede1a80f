"""Arrays of npz, npy, HDF5 and MATLAB files, read piece by piece where the format lets one."""

from __future__ import annotations

import math
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import h5py
import numpy as np
import scipy.io

from radiofix.data.importers.reading import (
    MATLAB_HEADER,
    NPY_SIGNATURE,
    ZIP_SIGNATURE,
    read_arrays,
)
from radiofix.data.store import Array

READ_BYTES = 2**26
"""Asked of a zip at a time, at most."""


class ArrayFile(ABC):
    """A file of named arrays."""

    def __init__(self, path: Path, title: str) -> None:
        self.path, self.title = path, title

    @property
    @abstractmethod
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """What it holds, as a reader of the whole arrays would see it."""

    @abstractmethod
    def pieces(self, name: str, axis: int, sizes: Iterable[int]) -> Iterator[Array]:
        """Consecutive pieces of an array along one of its axes."""

    def whole(self, names: Sequence[str]) -> dict[str, Array]:
        """Some small arrays, whole."""
        try:
            return read_arrays(self.path, names)
        except ValueError as error:
            raise ValueError(str(error).replace(str(self.path), self.title)) from error


class _Whole(ArrayFile):
    """MATLAB up to version 7, whose arrays have at most 2 GB and cannot be read in part."""

    def __init__(self, path: Path, title: str) -> None:
        super().__init__(path, title)
        with damage(title):
            # The list of names alone would hide that a file is cut off.
            loaded = scipy.io.loadmat(path)
        self._arrays = {n: np.asarray(v) for n, v in loaded.items() if not n.startswith("__")}

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        return {name: values.shape for name, values in self._arrays.items()}

    def pieces(self, name: str, axis: int, sizes: Iterable[int]) -> Iterator[Array]:
        yield from _cut(self._arrays[name], axis, sizes)

    def whole(self, names: Sequence[str]) -> dict[str, Array]:
        """Some arrays, whole."""
        return {name: self._arrays[name] for name in names}


class _Npy(ArrayFile):
    """One array without a name, which goes under that of the CSI."""

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        return {"csi": self._mapped().shape}

    def pieces(self, name: str, axis: int, sizes: Iterable[int]) -> Iterator[Array]:
        yield from (np.array(piece) for piece in _cut(self._mapped(), axis, sizes))

    def _mapped(self) -> Array:
        with damage(self.title):
            mapped: Array = np.load(self.path, mmap_mode="r", allow_pickle=False)
            return mapped


class _Hdf5(ArrayFile):
    """HDF5 and MATLAB 7.3, whose axes are the other way round."""

    def __init__(self, path: Path, title: str, transposed: bool) -> None:
        super().__init__(path, title)
        self.transposed = transposed

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        found: dict[str, tuple[int, ...]] = {}

        def note(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset):
                found[name] = item.shape[:: -1 if self.transposed else 1]

        with damage(self.title), h5py.File(self.path, "r") as file:
            file.visititems(note)
        return found

    def pieces(self, name: str, axis: int, sizes: Iterable[int]) -> Iterator[Array]:
        with damage(self.title):
            file = h5py.File(self.path, "r")
        with file:
            dataset = file[name]
            stored = dataset.ndim - 1 - axis if self.transposed else axis
            for where in _slices(sizes, stored, dataset.ndim):
                with damage(self.title):
                    piece = _complex(dataset[where])
                yield piece.T if self.transposed else piece


class _Npz(ArrayFile):
    """Zipped arrays: read as a stream where the axis is the one that NumPy wrote outermost."""

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        with damage(self.title), zipfile.ZipFile(self.path) as archive:
            members = [n[:-4] for n in archive.namelist() if n.endswith(".npy")]
            return {name: self._header(archive, name)[0] for name in members}

    def pieces(self, name: str, axis: int, sizes: Iterable[int]) -> Iterator[Array]:
        with damage(self.title), zipfile.ZipFile(self.path) as archive:
            shape, fortran, _ = self._header(archive, name)
        outermost = len(shape) - 1 if fortran else 0
        if axis != outermost:
            yield from _cut(self.whole([name])[name], axis, sizes)
            return
        with zipfile.ZipFile(self.path) as archive, archive.open(f"{name}.npy") as stream:
            with damage(self.title):
                shape, fortran, dtype = _npy_header(stream)
            rest = shape[:-1] if fortran else shape[1:]
            for size in sizes:
                with damage(self.title):
                    content = _exactly(stream, size * math.prod(rest) * dtype.itemsize)
                piece: Array = np.frombuffer(content, dtype=dtype)
                whole = (*rest, size) if fortran else (size, *rest)
                yield piece.reshape(whole, order="F" if fortran else "C")
            with damage(self.title):
                # Only past its last byte does a zip compare the checksum.
                stream.read(1)

    def _header(
        self, archive: zipfile.ZipFile, name: str
    ) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
        member = archive.getinfo(f"{name}.npy")
        with archive.open(member) as stream:
            shape, fortran, dtype = _npy_header(stream)
            if dtype.hasobject:
                raise ValueError(f"{name} holds Python objects, which are never read")
            if member.file_size - stream.tell() != math.prod(shape) * dtype.itemsize:
                raise ValueError(f"{name} is not as long as its header says")
        return shape, fortran, dtype


def open_arrays(path: Path, title: str) -> ArrayFile:
    """A file of arrays, by its first bytes.

    Args:
        path: of the file.
        title: what messages call it.
    """
    if not path.is_file():
        raise ValueError(f"{title} does not exist: give a file, a folder or a store of CSI")
    with path.open("rb") as file:
        start = file.read(16)
    if h5py.is_hdf5(path):
        return _Hdf5(path, title, start.startswith(MATLAB_HEADER))
    if start.startswith(ZIP_SIGNATURE):
        return _Npz(path, title)
    return _Npy(path, title) if start.startswith(NPY_SIGNATURE) else _Whole(path, title)


@contextmanager
def damage(title: str) -> Iterator[None]:
    """Says of what cannot be read that the file is at fault."""
    try:
        yield
    except Exception as error:  # zipfile, zlib, NumPy, SciPy and HDF5 raise what they like
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ValueError(
            f"{title} cannot be read as .npz, .mat or HDF5, get it again: {reason}"
        ) from error


def _npy_header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(stream)
    return np.lib.format.read_array_header_2_0(stream)


def _exactly(stream: IO[bytes], size: int) -> bytes:
    parts, left = [], size
    while left:
        part = stream.read(min(left, READ_BYTES))
        if not part:
            raise ValueError(f"{left} bytes are missing")
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _slices(sizes: Iterable[int], axis: int, axes: int) -> Iterator[tuple[slice, ...]]:
    start = 0
    for size in sizes:
        where = [slice(None)] * axes
        where[axis] = slice(start, start + size)
        start += size
        yield tuple(where)


def _cut(values: Array, axis: int, sizes: Iterable[int]) -> Iterator[Array]:
    return (values[where] for where in _slices(sizes, axis, values.ndim))


def _complex(values: Any) -> Array:
    """MATLAB 7.3 writes complex numbers as a compound of real and imag."""
    array = np.asarray(values)
    if array.dtype.names and {"real", "imag"} <= set(array.dtype.names):
        return np.asarray(array["real"] + 1j * array["imag"])
    return array
