"""`radiofix export`: a model as ONNX, for who has ONNX Runtime alone."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

from radiofix.cli.terminal import add_command, output_path, positive_float, positive_int, say


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds `export`."""
    command = add_command(
        commands, "export", run, "Write a model as ONNX, checked against torch before it is there."
    )
    command.add_argument("model", metavar="NAME_OR_RUN", help="radiofix-nano, or a finished run")
    command.add_argument("--out", type=output_path, required=True, metavar="MODEL.onnx")
    command.add_argument(
        "--int8", action="store_true", help="weights in 8 bits, if --check shows little cost"
    )
    command.add_argument(
        "--check", type=Path, default=None, metavar="STORE", help="labelled users to be found"
    )
    command.add_argument("--bandwidth", type=positive_float, default=10e6, help="of --check [Hz]")
    command.add_argument("--antennas", type=positive_int, default=32, help="likewise")
    command.add_argument("--subcarriers", type=positive_int, default=128, help="likewise")
    command.add_argument("--snr-db", type=float, default=None, help="likewise; None: no noise")


def run(options: argparse.Namespace) -> int:
    """Exports, and tells how well the file agrees; 1 where it is refused."""
    from radiofix.data.store import open_paths
    from radiofix.demo.contest import STORE
    from radiofix.models.pretrained import load
    from radiofix.serving.export import RefusedError, export
    from radiofix.serving.soundings import Reading

    check = None if options.check is None else open_paths(options.check)
    names = ("bandwidth", "antennas", "subcarriers", "snr_db")
    heard = {} if check is None or check.measured else {k: getattr(options, k) for k in names}
    try:
        made = export(
            load(options.model),
            options.out,
            open_paths(STORE),
            title=Path(options.model).name,
            int8=options.int8,
            check=check,
            reading=Reading(**heard),
        )
    except RefusedError as refusal:
        print(f"radiofix: not written: {refusal}", file=sys.stderr)
        return 1
    told = f"{made.path}: {made.bytes / 1e6:.1f} MB; as torch on {made.agreement}"
    if made.cost is not None:
        told += f"\nint8: {made.cost}"
    elif made.accuracy is not None:
        found = made.accuracy
        told += f"\nmedian {found.median:.3f} m, mean {found.mean:.3f} m on {found.links:,} links"
    say(options, {**asdict(made), "path": str(made.path)}, told)
    return 0
