"""What makes the fixes: torch, or ONNX Runtime with a file that was checked against torch."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import torch

from radiofix.data.store import open_paths
from radiofix.models.localizer import Localizer
from radiofix.models.pretrained import load
from radiofix.physics.arrays import ula
from radiofix.physics.channel import Channel
from radiofix.serving.locating import Locates
from radiofix.serving.onnx.localizer import OnnxLocalizer
from radiofix.serving.onnx.session import REVISION
from radiofix.serving.onnx.trials import size_of
from radiofix.types import Station
from radiofix.version import __version__

SUFFIX = ".onnx"
LINKS = 64
"""Of the calls that tell which engine is faster: a full batch of a server."""
CALLS = 3


@dataclass(frozen=True, slots=True, eq=False)
class Engine:
    """A model, and what runs it."""

    name: str
    """Of the model, as clients are told."""
    model: Locates
    told: str
    """What runs it, with its version."""
    parameters: int | None = None
    """None where a file does not say."""


def engine_of(model: str, kind: str, street: Path, threads: int | None = None) -> Engine:
    """A model that is ready to locate.

    Args:
        model: a name, a run's folder, a Hub id, or a file that `radiofix export` wrote.
        kind: of `ENGINES`.
        street: store of paths on which an export has to agree with torch.
        threads: of the engine; None: its own choice.
    """
    if Path(model).suffix != SUFFIX:
        return ENGINES[kind](model, street, threads)
    if kind == "torch":
        raise ValueError(f"{model} is run by ONNX Runtime: name the model itself for torch")
    return _opened(Path(model), Path(model).stem, threads)


def by_torch(model: str, street: Path, threads: int | None) -> Engine:
    """Torch, whose threads are those of whoever calls it."""
    return _torch(load(model), model)


def by_onnx(model: str, street: Path, threads: int | None) -> Engine:
    """ONNX Runtime; the first time a model is exported, which takes a while, and kept."""
    localizer = load(model)
    path = kept(localizer)
    if not path.is_file():
        from radiofix.serving.export import export

        logging.getLogger(__name__).warning("exporting %s to %s, once", model, path)
        path.parent.mkdir(parents=True, exist_ok=True)
        export(localizer, path, open_paths(street), Path(model).name)
    return _opened(path, Path(model).name, threads, _count(localizer))


def by_faster(model: str, street: Path, threads: int | None) -> Engine:
    """The faster of the two where ONNX Runtime and an export are there; else torch."""
    localizer = load(model)
    ours, path = _torch(localizer, model), kept(localizer)
    if find_spec("onnxruntime") is None or not path.is_file():
        return ours
    try:
        theirs = _opened(path, ours.name, threads, ours.parameters)
    except ValueError as error:
        logging.getLogger(__name__).warning("%s", error)
        return ours
    with _threads(threads):
        return min((ours, theirs), key=lambda engine: seconds(engine.model, size_of(localizer)))


ENGINES: Mapping[str, Callable[[str, Path, int | None], Engine]] = {
    "faster": by_faster,
    "torch": by_torch,
    "onnx": by_onnx,
}
"""By what a user calls them."""


def kept(localizer: Localizer) -> Path:
    """Where the export of a localizer is kept: under what it is, and what made it."""
    told = {} if localizer.record is None else localizer.record.config
    parts = {name: told.get(name) for name in ("encoder", "head")}
    digest = hashlib.sha256(json.dumps([__version__, REVISION, torch.__version__, parts]).encode())
    for name, values in sorted(localizer.state_dict().items()):
        digest.update(name.encode())
        digest.update(values.cpu().contiguous().numpy().tobytes())
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "radiofix" / f"{digest.hexdigest()[:32]}{SUFFIX}"


def seconds(model: Locates, size: tuple[int, int] | None, calls: int = CALLS) -> float:
    """Of a call with a full batch, at best: what else the machine does only adds to it.

    Args:
        model: to be timed.
        size: antennas and subcarriers of a model that takes no others.
        calls: the first of which does not count.
    """
    antennas, subcarriers = size or (32, 128)
    turn = torch.rand(LINKS, antennas, subcarriers, generator=torch.Generator().manual_seed(0))
    station = Station(torch.zeros(3, dtype=torch.float64), torch.zeros(3).double(), 3.5e9, "0")
    channel = Channel(bandwidth=20e6, subcarriers=subcarriers, array=ula(antennas))
    sounding = channel.describe(torch.polar(torch.full_like(turn, 1e-4), 6.28 * turn), station)
    times = []
    for _ in range(1 + calls):
        start = time.perf_counter()
        model.fix(sounding)
        times.append(time.perf_counter() - start)
    return min(times[1:])


def _torch(localizer: Localizer, model: str) -> Engine:
    # A folder's place is nothing that clients should know.
    told = f"torch {torch.__version__}"
    return Engine(Path(model).name, localizer, told, _count(localizer))


def _opened(path: Path, name: str, threads: int | None, parameters: int | None = None) -> Engine:
    model = OnnxLocalizer(path, threads)
    return Engine(name, model, f"ONNX Runtime {version('onnxruntime')}", parameters)


def _count(localizer: Localizer) -> int:
    return sum(parameter.numel() for parameter in localizer.parameters())


@contextmanager
def _threads(threads: int | None) -> Iterator[None]:
    """Has torch compute with so many for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
