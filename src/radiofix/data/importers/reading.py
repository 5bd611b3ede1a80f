"""Reads arrays by name from npz, HDF5 and MATLAB files, with errors that a person can use."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import scipy.io

from radiofix.data.store import Array

ZIP_SIGNATURE = b"PK\x03\x04"
NPY_SIGNATURE = b"\x93NUMPY"
MATLAB_HEADER = b"MATLAB 7.3"


def read_arrays(
    path: Path, names: Collection[str], optional: Collection[str] = ()
) -> dict[str, Array]:
    """Reads some arrays of a file, MATLAB's axes in MATLAB's order, and optional ones it may have.

    A name of an HDF5 file may lead through groups, `group/name`.
    """
    if not path.is_file():
        raise ValueError(f"{path} is not a file: give an .npz, .mat or HDF5 file")
    try:
        found, known = _read(path, [*names, *optional])
    except Exception as error:  # zipfile, zlib, NumPy, SciPy and HDF5 raise what they like
        raise ValueError(
            f"{path} cannot be read as .npz, .mat or HDF5, get it again: {_one_line(error)}"
        ) from error
    if missing := [name for name in names if name not in found]:
        raise ValueError(
            f"{path} has no {', '.join(map(repr, missing))}: it has {', '.join(known) or 'nothing'}"
        )
    return found


def load_mat(path: Path) -> Mapping[str, Any]:
    """Reads a whole MATLAB file up to version 7."""
    if not path.is_file():
        raise ValueError(f"{path} is missing: get the whole folder again")
    try:
        return dict(scipy.io.loadmat(path))
    except Exception as error:  # SciPy raises whatever a damaged file leads it to
        raise ValueError(f"{path} is damaged, get it again: {_one_line(error)}") from error


def _read(path: Path, names: Collection[str]) -> tuple[dict[str, Array], list[str]]:
    with path.open("rb") as file:
        start = file.read(16)
    if h5py.is_hdf5(path):
        return _read_hdf5(path, names, transposed=start.startswith(MATLAB_HEADER))
    if start.startswith(ZIP_SIGNATURE):
        with np.load(path, allow_pickle=False) as archive:
            return {n: archive[n] for n in names if n in archive.files}, list(archive.files)
    if start.startswith(NPY_SIGNATURE):
        # One array without a name goes under any.
        array = np.load(path, allow_pickle=False)
        return dict.fromkeys(names, array), ["one array without a name"]
    loaded = scipy.io.loadmat(path)
    known = [name for name in loaded if not name.startswith("__")]
    return {name: np.asarray(loaded[name]) for name in names if name in known}, known


def _read_hdf5(
    path: Path, names: Collection[str], transposed: bool
) -> tuple[dict[str, Array], list[str]]:
    known: list[str] = []
    with h5py.File(path, "r") as file:
        file.visititems(
            lambda name, item: known.append(name) if isinstance(item, h5py.Dataset) else None
        )
        found = {name: _complex(file[name][()]) for name in names if name in known}
    return {k: v.T if transposed else v for k, v in found.items()}, known


def _complex(values: Any) -> Array:
    """MATLAB 7.3 writes complex numbers as a compound of real and imag."""
    array = np.asarray(values)
    if array.dtype.names and {"real", "imag"} <= set(array.dtype.names):
        return np.asarray(array["real"] + 1j * array["imag"])
    return array


def _one_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
