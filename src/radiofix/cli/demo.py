"""`radiofix demo`: labelled points of one street, a table, and a page to look at."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from radiofix.cli.terminal import add_command, output_path, positive_int, say


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds `demo`."""
    command = add_command(
        commands, "demo", run, "Learn a street from few points, find phones in it, draw a page."
    )
    command.add_argument("--out", type=output_path, default=Path("demo.html"), metavar="PAGE.html")
    command.add_argument("--labels", type=positive_int, default=200, help="points that are known")
    command.add_argument("--seed", type=int, default=0, help="which points, and the order")
    command.add_argument(
        "--steps", type=positive_int, default=None, help="of learning; None: the recipe's"
    )
    command.add_argument(
        "--phones", type=positive_int, default=None, help="to be found; None: all 398"
    )


def run(options: argparse.Namespace) -> int:
    """Prints the table and writes the page."""
    if options.out.suffix != ".html":
        raise ValueError(f"{options.out} is no page's name: end it in .html")
    from radiofix.demo.contest import hold
    from radiofix.demo.page import page
    from radiofix.demo.table import plain, rows
    from radiofix.files import write_whole

    begun = time.monotonic()
    contest = hold(
        options.labels,
        options.seed,
        options.steps,
        options.phones,
        lambda line: print(f"{line} ...", file=sys.stderr, flush=True),
        options.json or not sys.stderr.isatty(),
    )
    table = rows(contest)
    write_whole(options.out, page(contest, table))
    figures = {
        "page": str(options.out),
        "phones": len(contest.links.users),
        "labels": contest.labels,
        "seconds": {entry.key: round(entry.seconds, 1) for entry in contest.entries},
        "methods": {
            row.name: {"median": row.median, "mean": row.mean, "p90": row.p90} for row in table
        },
    }
    told = (
        f"\n{len(contest.links.users):,} phones, {contest.labels:,} labelled points, none of them "
        f"in the same stretch of street; errors on the ground:\n\n{plain(table)}\n\n"
        f"{options.out}: open it in a browser ({time.monotonic() - begun:.0f} s)"
    )
    say(options, figures, told)
    return 0
