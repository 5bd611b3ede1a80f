"""`radiofix bench pretraining` and `witnesses`: does pretraining pay, and what it learns from."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from radiofix.cli.terminal import (
    add_command,
    key_values,
    output_path,
    positive_float,
    positive_int,
    say,
    whole_numbers,
)

if TYPE_CHECKING:
    from radiofix.benchmark.pretraining import Result, Run

STORES = ("o1", "cross")


def add_command_to(kinds: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds `bench pretraining`."""
    command = add_command(
        kinds, "pretraining", pretraining, "The same network from scratch and pretrained."
    )
    command.add_argument(
        "--stores",
        nargs="+",
        default=[],
        metavar="NAME=STORE",
        help=f"traced stores named {' and '.join(STORES)}",
    )
    command.add_argument(
        "--pretrained",
        nargs="+",
        default=[],
        metavar="METHOD=RUN",
        help="pretraining runs; METHOD@STORE=RUN where a method has one of its own for a store",
    )
    command.add_argument(
        "--recipe",
        type=Path,
        default=Path("radiofix/position.yaml"),
        help="of fine-tuning: a YAML file, or a name of `radiofix recipes`",
    )
    command.add_argument("--out", type=Path, default=Path("results/pretraining"))
    command.add_argument("--conditions", nargs="+", default=None, help="None: all")
    command.add_argument(
        "--labels", type=whole_numbers, default=None, help="None: those of each condition"
    )
    command.add_argument(
        "--compare", action="store_true", help="no training: a line a method, by its most seeds"
    )
    command.add_argument(
        "--table", action="store_true", help="no training: every result that is there, rate by rate"
    )


def add_witnesses_to(kinds: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds `bench witnesses`."""
    command = add_command(
        kinds, "witnesses", witnesses, "Where several stations together place users, unlabelled."
    )
    command.add_argument("--store", type=Path, required=True)
    command.add_argument("--bandwidths", nargs="+", type=positive_float, default=[10e6, 50e6])
    command.add_argument("--users", type=positive_int, default=2000)
    command.add_argument("--snr-db", type=float, default=None, help="None: no noise")
    command.add_argument(
        "--clock-offset", type=float, default=0.0, help="deviation of users' clocks, solved for [m]"
    )
    command.add_argument("--out", type=output_path, default=None, help="a .json file")


def witnesses(options: argparse.Namespace) -> int:
    """Prints how far off the places are that stations agree on."""
    import torch

    from radiofix.benchmark.witnesses import markdown, measure, plain
    from radiofix.data.store import open_paths
    from radiofix.files import write_whole
    from radiofix.training.checkpoints import provenance

    store = open_paths(options.store)
    asked = {
        name: getattr(options, name) for name in ("bandwidths", "users", "snr_db", "clock_offset")
    }
    table = measure(store, **asked)
    found = {**asked, "rows": plain(table), **provenance(store, 0, torch.device("cpu"))}
    if options.out is not None:
        write_whole(options.out, json.dumps(found, indent=1) + "\n")
    say(options, found, markdown(table))
    return 0


def pretraining(options: argparse.Namespace) -> int:
    """Goes on with the protocol from the results that are there, and prints their table."""
    import yaml

    from radiofix.benchmark.pretraining import (
        CONDITIONS,
        Bench,
        every,
        protocol,
    )
    from radiofix.benchmark.pretraining_table import compared, markdown, rows
    from radiofix.training.recipe_files import found

    known = [condition.name for condition in CONDITIONS]
    conditions = options.conditions or known
    strange = sorted(set(conditions) - set(known))
    if strange:
        raise ValueError(f"no condition {', '.join(strange)}: there are {', '.join(known)}")
    stores = {k: str(v) for k, v in key_values(options.stores).items()}
    needed = {c.store for c in CONDITIONS if c.name in (*conditions, known[0])}
    missing = sorted(needed - set(stores))
    reading = options.table or options.compare
    if missing and not reading:
        raise ValueError(f"--stores lacks {', '.join(missing)}: name each as {missing[0]}=STORE")
    methods = {k: str(v) for k, v in key_values(options.pretrained).items()}

    names = list(dict.fromkeys(method.partition("@")[0] for method in methods))

    def tell(run: Run, result: Result) -> None:
        error = sum(result.errors) / len(result.errors)
        print(f"{run.file}: {error:.2f} m in {result.seconds:.0f} s", file=sys.stderr, flush=True)

    bench = Bench(
        recipe=yaml.safe_load(found(options.recipe).read_text()),
        stores=stores,
        pretrained=methods,
        out=options.out,
        tell=tell,
    )
    results: list[Result] = []
    if reading:
        results = [r for r in every(options.out) if r.run.condition in conditions]
    else:
        for condition in CONDITIONS:
            if condition.name in conditions:
                for count in options.labels or condition.labels:
                    results.extend(protocol(bench.do, names, condition.name, count))
    table = rows(results)
    told = compared(results) if options.compare else markdown(table)
    say(options, [dataclasses.asdict(row) for row in table], told)
    return 0
