"""Random links for the tests, and the channel's equation in plain NumPy."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from radiofix.types import SPEED_OF_LIGHT, Paths


def random_links(
    count: int = 6, paths: int = 4, seed: int = 0, dtype: torch.dtype = torch.complex64
) -> Paths:
    """Links in all directions up to 300 m away, stations tilted at will, carriers of two bands."""
    rng = np.random.default_rng(seed)
    shape = (count, paths)
    gain = rng.normal(size=shape) + 1j * rng.normal(size=shape)
    return Paths(
        gain=torch.from_numpy(1e-4 * gain).to(dtype),
        delay=torch.from_numpy(rng.uniform(10, 300, shape) / SPEED_OF_LIGHT),
        station_azimuth=torch.from_numpy(rng.uniform(-np.pi, np.pi, shape)).float(),
        station_zenith=torch.from_numpy(rng.uniform(0.1, 3.0, shape)).float(),
        user_azimuth=torch.zeros(shape),
        user_zenith=torch.zeros(shape),
        interactions=torch.ones(shape, dtype=torch.int8),
        diffracted=torch.zeros(shape, dtype=torch.bool),
        user_position=torch.zeros(count, 3, dtype=torch.float64),
        station_position=torch.zeros(count, 3, dtype=torch.float64),
        station_orientation=torch.from_numpy(rng.uniform(-1, 1, (count, 3))),
        carrier_frequency=torch.from_numpy(rng.choice([3.5e9, 28e9], count)),
        user=torch.arange(count),
        station=torch.zeros(count, dtype=torch.int64),
    )


def one_path(
    azimuth: float = 0.0,
    zenith: float = np.pi / 2,
    distance: float = 30.0,
    carrier: float = 3.5e9,
    dtype: torch.dtype = torch.complex128,
) -> Paths:
    """A single link of a single path of gain 1 to a station that looks along x."""
    paths = random_links(1, 1, dtype=dtype)
    fields = {
        "gain": torch.ones(1, 1, dtype=dtype),
        "delay": torch.full((1, 1), distance / SPEED_OF_LIGHT, dtype=torch.float64),
        "station_azimuth": torch.full((1, 1), azimuth, dtype=torch.float64),
        "station_zenith": torch.full((1, 1), zenith, dtype=torch.float64),
        "station_orientation": torch.zeros(1, 3, dtype=torch.float64),
        "carrier_frequency": torch.full((1,), carrier, dtype=torch.float64),
    }
    return changed(paths, **fields)


def changed(paths: Paths, **fields: torch.Tensor) -> Paths:
    """The same links with other values in some fields."""
    return dataclasses.replace(paths, **fields)


def reference(
    paths: Paths, wavelengths: NDArray[np.float64], frequency: NDArray[np.float64]
) -> NDArray[np.complex128]:
    """H[a, k] of the design, link by link; antennas in wavelengths, frequencies [Hz]."""
    channels = []
    for n in range(len(paths)):
        turn = Rotation.from_euler("ZYX", paths.station_orientation[n].numpy()).as_matrix()
        azimuth = paths.station_azimuth[n].double().numpy()
        zenith = paths.station_zenith[n].double().numpy()
        toward = [
            np.sin(zenith) * np.cos(azimuth),
            np.sin(zenith) * np.sin(azimuth),
            np.cos(zenith),
        ]
        steering = np.exp(2j * np.pi * (wavelengths @ turn.T) @ np.stack(toward))
        wave = np.exp(-2j * np.pi * np.outer(paths.delay[n].double().numpy(), frequency))
        channels.append((steering * paths.gain[n].numpy()) @ wave)
    return np.stack(channels)


def relative_error(got: torch.Tensor, expected: NDArray[np.complex128]) -> float:
    """Frobenius norm of the difference, against the expected."""
    return float(np.linalg.norm(got.numpy() - expected) / np.linalg.norm(expected))
