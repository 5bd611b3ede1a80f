"""How fast channels are made, beside what the memory allows."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

from radiofix.physics.arrays import ula
from radiofix.physics.channel import Channel
from radiofix.types import SPEED_OF_LIGHT, Paths

COPIED = 2**28
"""Bytes of the copy that tells the memory's bandwidth: far more than a cache holds."""


def measure(
    links: int, paths: int, antennas: int, subcarriers: int, repeats: int, device: str = "cpu"
) -> dict[str, Any]:
    """Times `Channel.synthesize` with noise at 20 dB on random links; medians over the repeats."""
    place = _device(device)
    generator = torch.Generator(place).manual_seed(0)
    batch = random_paths(links, paths, torch.Generator().manual_seed(0)).to(place)
    channel = Channel(20e6, subcarriers, ula(antennas), snr_db=20.0)
    seconds = _median_seconds(lambda: channel.synthesize(batch, generator), repeats, place)
    source = torch.zeros(COPIED, dtype=torch.uint8, device=place)
    target = torch.empty_like(source)
    copy = _median_seconds(lambda: target.copy_(source), repeats, place)
    written = links * antennas * subcarriers * torch.complex64.itemsize
    return {
        "links_per_s": links / seconds,
        "bytes_written": written,
        "gigabytes_per_s": written / seconds / 1e9,
        "copy_gigabytes_per_s": 2 * COPIED / copy / 1e9,
        "share_of_memory_bandwidth": (written / seconds) / (2 * COPIED / copy),
        "device": str(place) if place.type == "cpu" else torch.cuda.get_device_name(place),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ValueError(f"device={name!r} is none: give cpu, cuda or cuda:1") from None
    count = torch.cuda.device_count()
    if device.type not in ("cpu", "cuda"):
        raise ValueError(f"device={name!r} cannot be timed: give cpu, cuda or cuda:1")
    if device.type == "cuda" and not (device.index or 0) < count:
        raise ValueError(f"device={name!r} is not here, where torch sees {count} GPUs: give cpu")
    return device


def random_paths(links: int, paths: int, generator: torch.Generator) -> Paths:
    """Links whose paths come from anywhere within 300 m; for timing, not for physics."""

    def uniform(low: float, high: float) -> torch.Tensor:
        return low + (high - low) * torch.rand(links, paths, generator=generator)

    gain = torch.complex(uniform(-1e-4, 1e-4), uniform(-1e-4, 1e-4))
    where = torch.zeros(links, 3, dtype=torch.float64)
    return Paths(
        gain=gain,
        delay=uniform(10.0, 300.0) / SPEED_OF_LIGHT,
        station_azimuth=uniform(-torch.pi, torch.pi),
        station_zenith=uniform(1.2, 1.9),
        user_azimuth=uniform(-torch.pi, torch.pi),
        user_zenith=uniform(1.2, 1.9),
        interactions=torch.ones(links, paths, dtype=torch.int8),
        diffracted=torch.zeros(links, paths, dtype=torch.bool),
        user_position=where,
        station_position=where,
        station_orientation=where,
        carrier_frequency=torch.full((links,), 3.5e9, dtype=torch.float64),
        user=torch.arange(links),
        station=torch.zeros(links, dtype=torch.int64),
    )


def _median_seconds(work: Callable[[], object], repeats: int, device: torch.device) -> float:
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])
