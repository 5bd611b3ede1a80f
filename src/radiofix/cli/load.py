"""`radiofix bench serve`: what a server and `locate` can do on this machine."""

from __future__ import annotations

import argparse
import json
import sys
from importlib import resources
from pathlib import Path
from typing import Any

from radiofix.cli.engines import STREET, add_engine_to
from radiofix.cli.terminal import add_command, output_path, positive_float, positive_int, say

BUSY_SHARE = 0.05
"""Of the processors that others may use before figures mean little."""


def add_command_to(kinds: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds `bench serve`."""
    command = add_command(
        kinds, "serve", run, "A fix from Python, locate, a server at its capacity and past it."
    )
    command.add_argument("--model", default="radiofix-nano", help="a name, a run, or a .onnx file")
    add_engine_to(command)
    command.add_argument("--threads", type=positive_int, default=None, help="of the model")
    command.add_argument("--clients", type=positive_int, default=32)
    command.add_argument("--links", type=positive_int, default=1, help="of a request")
    command.add_argument("--located", type=positive_int, default=4096, help="links, by locate")
    command.add_argument("--seconds", type=positive_float, default=10.0, help="at capacity [s]")
    command.add_argument(
        "--overload-seconds", type=positive_float, default=20.0, help="at twice that [s]"
    )
    command.add_argument("--out", type=output_path, default=None, help="a JSON file for all of it")


def run(options: argparse.Namespace) -> int:
    """Prints the figures; 1 where the server failed at a request."""
    from radiofix.files import write_whole
    from radiofix.serving.load.measuring import Plan, measure

    names = ("model", "engine", "threads", "clients", "links", "located", "seconds")
    plan = Plan(
        **{name: getattr(options, name) for name in names},
        overload_seconds=options.overload_seconds,
    )
    with resources.as_file(STREET) as street:
        found = measure(plan, Path(street), lambda what: print(f"{what} ...", file=sys.stderr))
    found = {"command": "radiofix bench serve " + " ".join(sys.argv[3:]), **found}
    if options.out is not None:
        write_whole(options.out, json.dumps(found, indent=1) + "\n")
    say(options, found, told(found))
    failed = [found[phase]["statuses"].get("500", 0) for phase in ("capacity", "overload")]
    return int(any(failed))


def told(found: dict[str, Any]) -> str:
    """For people."""
    one, located = found["one_fix"], found["locate"]
    full, over = found["capacity"], found["overload"]
    lines = [
        f"{found['engine']}, {found['machine']['processor']}, {found['machine']['cores']} cores",
        f"one fix from raw CSI in Python: {one['p50_ms']} ms (median)",
        f"locate: {located['links_per_s']:,.0f} links a second, whole command of "
        f"{located['links']:,} links {located['command_s']} s, {located['command_memory_mb']} MB",
        f"server, {full['clients']} clients: {full['links_per_s']:,.0f} links a second, "
        f"p99 {full['p99_ms']} ms",
        f"at {over['sent_per_s']:,.0f} requests a second: {over['links_per_s']:,.0f} links a "
        f"second, {100 * over['shed_share']:.0f} % sent away, p99 of the others "
        f"{over['p99_ms']} ms, memory +{over['memory_mb']['growth']} MB",
    ]
    phases = (one, located, full, over)
    if (share := max(phase["others_share"] for phase in phases)) > BUSY_SHARE:
        lines.append(
            f"others used {100 * share:.0f} % of the processors meanwhile: measure again alone"
        )
    return "\n".join(lines)
