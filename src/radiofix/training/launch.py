"""Processes and devices: Fabric as a run needs it."""

from __future__ import annotations

import logging
import math
import os
import warnings
from collections.abc import Callable
from functools import cache, partial
from time import perf_counter
from typing import Any, TypeVar

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy
from lightning_fabric.strategies.single_device import SingleDeviceStrategy
from lightning_fabric.strategies.strategy import Strategy

from radiofix.training.settings import Settings

Result = TypeVar("Result")
CASTS = 1.2
"""What bfloat16 must gain in products, since values are cast before and after them."""

# Fabric tells of every process that joins; here, since spawned processes come by this line too.
logging.getLogger("lightning_fabric").setLevel(logging.WARNING)


class PrecisionWarning(UserWarning):
    """Another precision than the recipe's is worked in."""


def launch(
    work: Callable[..., Result], device: str, processes: int, precision: str, *arguments: Any
) -> Result:
    """Runs `work(fabric, *arguments)` in each process; what the first one returns.

    A mistake of the user's in any process is raised here, in one line.
    """
    fabric = fabric_of(device, processes, precision)
    if isinstance(fabric.strategy, SingleDeviceStrategy):
        fabric.launch()
        return work(fabric, *arguments)
    # In a partial, since Fabric looks through arguments as well, and refuses frozen dataclasses.
    ending: Ending = fabric.launch(partial(_guarded, work=work, arguments=arguments))
    if ending.problem is not None:
        raise ValueError(ending.problem)
    result: Result = ending.result
    return result


def fabric_of(device: str, processes: int, precision: str) -> Fabric:
    """Fabric on cpu, cuda or cuda:N, with so many processes on this machine.

    Under torchrun or SLURM the processes are those that it has started.
    """
    kind, _, index = device.partition(":")
    if kind not in ("cpu", "cuda") or (index and not index.isdigit()):
        raise ValueError(f"device={device!r} is none: give cpu, cuda or cuda:1")
    if kind == "cuda" and torch.cuda.device_count() < max(processes, int(index or 0) + 1):
        raise ValueError(
            f"device={device} with processes={processes} needs more than the "
            f"{torch.cuda.device_count()} GPUs that torch sees here"
        )
    outside = TorchElasticEnvironment.detect() or SLURMEnvironment.detect()
    strategy: Strategy | str = "auto"
    if processes > 1 or outside:
        # Layers that an objective leaves unused have no gradient to wait for; where there are none,
        # torch warns in every process, unless it is told before the process begins.
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
        strategy = DDPStrategy(
            find_unused_parameters=True, start_method="popen" if outside else "spawn"
        )
    return Fabric(
        accelerator=kind,
        devices=[int(index)] if index else processes,
        strategy=strategy,
        precision=precision_on(kind, precision),  # type: ignore[arg-type]  # a literal of the recipe
    )


def precision_on(kind: str, asked: str) -> str:
    """The precision that a device works in: 32 bits where bfloat16 would not be faster."""
    if asked == "32-true" or bfloat16_pays(kind):
        return asked
    gain = bfloat16_gain()
    why = f"multiplies in bfloat16 at {gain:.1f} times the speed of 32 bits, which casts would eat"
    warnings.warn(
        f"precision={asked}, but this processor {why if gain else 'only imitates bfloat16'}: "
        "working in 32 bits",
        PrecisionWarning,
        stacklevel=2,
    )
    return "32-true"


def bfloat16_pays(kind: str) -> bool:
    """Whether a device is faster in bfloat16 than in 32 bits."""
    return kind == "cuda" or bfloat16_gain() > CASTS


@cache
def bfloat16_gain() -> float:
    """How many times as fast as in 32 bits this processor multiplies in bfloat16; 0: it imitates.

    Measured once a process, in a tenth of a second: some that have bfloat16 are slower in it.
    """
    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return 0.0
    left, right = torch.ones(2048, 256), torch.ones(256, 1024)
    taken = {torch.float32: math.inf, torch.bfloat16: math.inf}
    with torch.inference_mode():
        for _ in range(6):
            for kind in taken:
                one, other = left.to(kind), right.to(kind)
                start = perf_counter()
                one @ other
                taken[kind] = min(taken[kind], perf_counter() - start)
    return taken[torch.float32] / taken[torch.bfloat16]


def single(settings: Settings, device: str = "cpu") -> Fabric:
    """Fabric in this process alone, for runs within a larger work."""
    fabric = fabric_of(device, 1, settings.precision)
    fabric.launch()
    return fabric


class Ending:
    """What a process came back with; no dataclass, since Fabric refuses to pass frozen ones on."""

    def __init__(self, result: Any = None, problem: str | None = None) -> None:
        self.result, self.problem = result, problem


def _guarded(fabric: Fabric, work: Callable[..., Any], arguments: tuple[Any, ...]) -> Ending:
    """Mistakes as values: an exception of a spawned process would come as a traceback."""
    try:
        return Ending(work(fabric, *arguments))
    except (ValueError, OSError) as error:
        return Ending(problem=str(error))
