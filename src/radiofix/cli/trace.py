"""`radiofix trace`: a scene becomes a store of paths."""

from __future__ import annotations

import argparse
import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from radiofix.cli.terminal import (
    add_command,
    key_values,
    output_path,
    positive_float,
    positive_int,
    say,
    whole_numbers,
)
from radiofix.data.splits import RANDOM_SIZES
from radiofix.tracing.engines import ENGINES
from radiofix.tracing.plan import TracePlan
from radiofix.tracing.run import trace


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds `trace`."""
    command = add_command(commands, "trace", run, "Trace a scene's paths into a store.")
    command.add_argument("scene", help="a name of `radiofix scenes`, city:SEED or osm:FILE")
    command.add_argument("--out", type=output_path, required=True, metavar="STORE")
    command.add_argument(
        "--users", default="20000", help="how many to draw, 'all', or rows of the grid as 1-2700"
    )
    command.add_argument(
        "--groups",
        type=whole_numbers,
        default=(1,),
        help="user grids to take them from (o1: 1 to 3)",
    )
    command.add_argument(
        "--stations",
        type=whole_numbers,
        default=None,
        help="numbers as 3,4,9,10; None: the scene's",
    )
    command.add_argument("--frequency", type=positive_float, default=3.5e9, help="carrier [Hz]")
    command.add_argument("--bounces", type=int, default=3)
    command.add_argument("--diffraction", action="store_true")
    command.add_argument("--paths", type=positive_int, default=8, help="strongest paths to keep")
    command.add_argument("--rays", type=positive_int, default=10_000, help="shot from a station")
    command.add_argument("--seed", type=int, default=0)
    command.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        help="arguments of the scene, as wall_distance=4.5",
    )
    command.add_argument(
        "--split-sizes",
        type=whole_numbers,
        default=RANDOM_SIZES,
        help="users of the split `random` for training, validation and test",
    )
    command.add_argument("--engine", choices=sorted(ENGINES), default="local")
    command.add_argument("--workers", type=positive_int, default=1)
    command.add_argument(
        "--resume", action="store_true", help="go on with a trace that was cut off"
    )


def run(options: argparse.Namespace) -> int:
    """Traces with a bar that shows the rate and the time left."""
    plan = TracePlan(
        scene=options.scene,
        arguments=key_values(options.set),
        users=options.users,
        groups=options.groups,
        stations=options.stations,
        frequency=options.frequency,
        bounces=options.bounces,
        diffraction=options.diffraction,
        paths=options.paths,
        rays=options.rays,
        seed=options.seed,
    )
    start = time.monotonic()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("users, {task.fields[rate]:.0f} a second,"),
        TimeRemainingColumn(),
        TextColumn("left"),
    )
    bar = Progress(*columns, console=Console(stderr=True), disable=options.json)
    task = bar.add_task(options.scene, total=None, rate=0.0)

    def progress(before: int, done: int, total: int) -> None:
        bar.start()  # not before the arguments are known to be good
        rate = (done - before) / max(time.monotonic() - start, 1e-9)
        bar.update(task, completed=done, total=total, rate=rate)

    try:
        engine = ENGINES[options.engine](options.workers)
        trace(plan, options.out, engine, options.resume, options.split_sizes, progress)
    finally:
        if bar.live.is_started:
            bar.stop()
    seconds = time.monotonic() - start
    say(
        options,
        {"store": str(options.out), "seconds": seconds},
        f"{options.out} traced in {seconds:.0f} s; radiofix info {options.out} tells what is in it",
    )
    return 0
