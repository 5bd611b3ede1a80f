"""Doing the runs of a bench, in this process or in several."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.context import BaseContext

import torch

from radiofix.benchmark.lwlm.running import Bench, Job

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
    context.set_forkserver_preload(["radiofix.benchmark.lwlm.methods"])
    return context


def _done(jobs: Sequence[Job], processes: int) -> Iterator[str]:
    if processes == 1 or len(jobs) < 2:
        yield from (job() for job in jobs)
        return
    threads = max(1, torch.get_num_threads() // processes)
    with ProcessPoolExecutor(
        processes,
        mp_context=_context(),
        initializer=torch.set_num_threads,
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
