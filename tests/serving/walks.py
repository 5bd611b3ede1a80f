"""Small inputs of every kind that hold the same channels, and a model to locate with."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import scipy.io
import torch

from miniature import write_measured
from radiofix.data.store import open_paths
from radiofix.models.frame import FrameHead
from radiofix.models.localizer import Localizer
from radiofix.models.radiofix import RadiofixEncoder
from radiofix.serving.fixes import Fixes
from radiofix.serving.locating import locate, open_source
from radiofix.serving.soundings import Reading


def small_model() -> Localizer:
    torch.manual_seed(0)
    return Localizer(RadiofixEncoder(16, 1, 2, 4, 8), FrameHead(16)).eval()


def measured(folder: Path):
    """A store of 60 users and two stations, and the same as plain arrays."""
    store = open_paths(write_measured(folder / "measured.zarr"))
    names = ("csi", "frequency", "antenna_position", "station_position", "station_orientation")
    arrays = {name: store.dataset[name].values for name in names}
    arrays["carrier_frequency"] = store.dataset["carrier_frequency"].values
    return store, arrays


def write_npz(path: Path, arrays) -> Path:
    np.savez(path, **arrays)
    return path


def write_hdf5(path: Path, arrays) -> Path:
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            file[name] = values
    return path


def write_mat(path: Path, arrays) -> Path:
    scipy.io.savemat(path, arrays)
    return path


def write_mat73(path: Path, arrays) -> Path:
    """As MATLAB does: axes reversed, complex numbers as compounds."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, values in arrays.items():
            turned = np.asarray(values).T
            if np.iscomplexobj(turned):
                kind = np.dtype([("real", "f4"), ("imag", "f4")])
                turned = np.ascontiguousarray(turned.astype(np.complex64)).view(kind)
                turned = turned.reshape(np.asarray(values).T.shape)
            file[name] = turned
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(128, b" "))
    return path


def located(path: Path, model: Localizer, reading: Reading | None = None) -> list[Fixes]:
    return list(locate(model, open_source(path, reading or Reading()).blocks()))


def positions(blocks: list[Fixes]):
    return np.concatenate([block.position for block in blocks])
