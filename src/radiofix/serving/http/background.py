"""The thread in which the model is called: it gives way to the one that talks to clients."""

from __future__ import annotations

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import torch

NICENESS = 10
"""Of the model's threads: a refusal, or a body that is read, never waits for a batch."""


def model_thread(threads: int | None = None) -> ThreadPoolExecutor:
    """An executor of one thread; an engine that is made in it has its own threads as patient.

    Args:
        threads: that torch computes with; None: as many as it takes.
    """

    def begin() -> None:
        _give_way()
        # Kernels ask for the number of threads in the thread that calls them.
        if threads is not None:
            torch.set_num_threads(threads)

    return ThreadPoolExecutor(1, "radiofix-model", initializer=begin)


def _give_way() -> None:
    """Linux alone knows threads of one process that differ in this; they hand it on."""
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
