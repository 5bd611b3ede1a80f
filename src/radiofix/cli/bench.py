"""`radiofix bench`: how fast, and how good."""

from __future__ import annotations

import argparse

from radiofix.benchmark.channel import measure
from radiofix.cli.terminal import add_command, positive_int, say


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds `bench channel`."""
    description = "Measure speed and accuracy."
    kinds = commands.add_parser(
        "bench", help=description, description=description, allow_abbrev=False
    ).add_subparsers(
        metavar="WHAT", required=True, parser_class=type(next(iter(commands.choices.values())))
    )
    command = add_command(kinds, "channel", channel, "Links synthesised a second, noise included.")
    command.add_argument("--links", type=positive_int, default=512)
    command.add_argument("--paths", type=positive_int, default=5)
    command.add_argument("--antennas", type=positive_int, default=32)
    command.add_argument("--subcarriers", type=positive_int, default=128)
    command.add_argument("--repeats", type=positive_int, default=101)
    command.add_argument("--device", default="cpu")


def channel(options: argparse.Namespace) -> int:
    """Prints the rate, the bytes written, and their share of the memory bandwidth."""
    found = measure(
        options.links,
        options.paths,
        options.antennas,
        options.subcarriers,
        options.repeats,
        options.device,
    )
    say(
        options,
        found,
        f"{found['links_per_s']:,.0f} links a second ({options.antennas} antennas, "
        f"{options.subcarriers} subcarriers, {options.paths} paths, noise included, float32, "
        f"{found['device']}, {found['threads']} threads)\n"
        f"{found['gigabytes_per_s']:.2f} GB/s of CSI written, "
        f"{100 * found['share_of_memory_bandwidth']:.0f} % of the "
        f"{found['copy_gigabytes_per_s']:.1f} GB/s that a copy reads and writes here",
    )
    return 0
