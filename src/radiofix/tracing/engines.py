"""Where units of a trace are worked off: in this process, in several, or on a Ray cluster."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache
from itertools import islice
from multiprocessing import get_context

from radiofix.scenes import catalogue
from radiofix.scenes.scene import FloatArray
from radiofix.tracing.plan import TracePlan
from radiofix.tracing.solver import PathArrays, Tracer

Engine = Callable[[TracePlan, Iterable[int]], Iterator[tuple[int, PathArrays]]]
"""Takes a plan and the numbers of the units to do; gives each unit's paths as it is done."""

RETRIES = 10
"""How often Ray may move a unit from a machine that died."""


@lru_cache(maxsize=1)
def _prepared(plan_json: str) -> tuple[TracePlan, Tracer, FloatArray]:
    """The scene of a plan, loaded once a process."""
    plan = TracePlan.from_json(plan_json)
    scene = catalogue.scene(plan.scene, **plan.arguments)
    tracer = Tracer(
        scene,
        plan.station_numbers(scene),
        plan.frequency,
        plan.bounces,
        plan.diffraction,
        plan.paths,
        plan.rays,
        plan.seed,
    )
    return plan, tracer, scene.user_position[plan.user_rows(scene)]


def trace_unit(plan_json: str, number: int) -> PathArrays:
    """Traces one unit of a plan; it depends on nothing but these two."""
    plan, tracer, position = _prepared(plan_json)
    rows = dict(plan.units(len(position)))[number]
    return tracer.trace(position[rows])


def in_process(plan: TracePlan, units: Iterable[int]) -> Iterator[tuple[int, PathArrays]]:
    """One unit after another, here; the tracer itself uses every core."""
    for number in units:
        yield number, trace_unit(plan.to_json(), number)


def local(workers: int) -> Engine:
    """Several processes of this machine, the cores shared out among them."""
    if workers < 1:
        raise ValueError(f"workers must be at least 1, got {workers}")
    if workers == 1:
        return in_process

    def run(plan: TracePlan, units: Iterable[int]) -> Iterator[tuple[int, PathArrays]]:
        threads = max(1, (os.cpu_count() or 1) // workers)
        with ProcessPoolExecutor(
            workers, mp_context=get_context("spawn"), initializer=_share_cores, initargs=(threads,)
        ) as pool:
            waiting = iter(units)
            running: dict[Future[PathArrays], int] = {}
            try:
                while True:
                    for number in islice(waiting, 2 * workers - len(running)):
                        running[pool.submit(trace_unit, plan.to_json(), number)] = number
                    if not running:
                        return
                    done, _ = wait(running, return_when=FIRST_COMPLETED)
                    for future in done:
                        yield running.pop(future), future.result()
            except BrokenProcessPool as error:
                raise ValueError(
                    "a tracing process died (memory, or libLLVM): "
                    "go on with --resume and fewer --workers"
                ) from error

    return run


def _share_cores(threads: int) -> None:
    from radiofix.tracing.llvm import use_llvm

    use_llvm()
    import drjit

    drjit.set_thread_count(threads)


def ray(workers: int) -> Engine:
    """A Ray cluster: the one named in RAY_ADDRESS, else one made here for the trace."""
    if importlib.util.find_spec("ray") is None:
        raise ValueError("the engine ray needs Ray: pip install 'radiofix[cluster]'")

    def run(plan: TracePlan, units: Iterable[int]) -> Iterator[tuple[int, PathArrays]]:
        import ray

        if not ray.is_initialized():
            ray.init(
                num_cpus=None if os.environ.get("RAY_ADDRESS") else workers, log_to_driver=False
            )
        task = ray.remote(num_cpus=1, max_retries=RETRIES)(trace_unit)
        waiting = iter(units)
        running: dict[object, int] = {}
        while True:
            for number in islice(waiting, 2 * workers - len(running)):
                running[task.remote(plan.to_json(), number)] = number
            if not running:
                return
            done, _ = ray.wait(list(running), num_returns=1)
            for reference in done:
                yield running.pop(reference), ray.get(reference)

    return run


ENGINES: dict[str, Callable[[int], Engine]] = {"local": local, "ray": ray}
"""By the name that `radiofix trace --engine` takes; each is given the number of workers."""
