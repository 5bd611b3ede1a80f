"""Doing the runs of a bench, in this process or in several."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from multiprocessing.context import BaseContext
from threading import Thread

import torch

from radiofix.benchmark.runs.running import Bench, Job

Tell = Callable[[str], None]


def work(bench: Bench, processes: int, tell: Tell) -> None:
    """Does all that is left; what a run ends with is on disk as soon as it has ended."""
    for jobs in bench.stages():
        for number, line in enumerate(_done(jobs, processes), 1):
            tell(f"[{number}/{len(jobs)}] {line}")


def _context() -> BaseContext:
    """New processes that share one import of all that is needed, where the system can do that."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["radiofix.benchmark.runs.networks"])
    return context


def _done(jobs: Sequence[Job], processes: int) -> Iterator[str]:
    if processes == 1 or len(jobs) < 2:
        yield from (job() for job in jobs)
        return
    threads = max(1, torch.get_num_threads() // processes)
    with ProcessPoolExecutor(
        processes,
        mp_context=_context(),
        initializer=_begin,
        initargs=(threads,),
    ) as pool:
        ends = [pool.submit(job) for job in jobs]
        try:
            yield from (end.result() for end in as_completed(ends))
        except BrokenProcessPool:
            raise ValueError(
                "a process was killed, by lack of memory perhaps: run the same command again, "
                "with fewer --processes"
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


def _begin(threads: int) -> None:
    """Of a worker: its share of the cores, and an end together with the bench, however it ends."""
    torch.set_num_threads(threads)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
