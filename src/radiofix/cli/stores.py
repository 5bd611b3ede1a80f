"""`radiofix info` and `radiofix check`: what a store holds, and whether it is sound."""

from __future__ import annotations

import argparse
from pathlib import Path

from radiofix.cli.terminal import add_command, say
from radiofix.data.check import check
from radiofix.data.store import open_paths
from radiofix.data.summary import summarise, table
from radiofix.scenes.outdoors import inside_buildings


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds `info` and `check`."""
    for name, run, description in (
        ("info", info, "Tell what a store holds."),
        ("check", check_store, "Look for damage and for what physics forbids; 1 if there is any."),
    ):
        command = add_command(commands, name, run, description)
        command.add_argument("store", type=Path)


def info(options: argparse.Namespace) -> int:
    """Prints the summary of a store."""
    summary = summarise(open_paths(options.store))
    say(options, summary, table(summary))
    return 0


def check_store(options: argparse.Namespace) -> int:
    """Prints every finding; exit status 1 if one is bad."""
    if not options.store.exists():
        raise ValueError(f"{options.store} does not exist: name a store")
    report = check(options.store, inside_buildings)
    findings = [{"name": f.name, "ok": f.ok, "detail": f.detail} for f in report.findings]
    lines = [f"{'ok ' if f.ok else 'BAD'}  {f.name}: {f.detail}" for f in report.findings]
    say(
        options,
        {"store": str(options.store), "ok": report.ok, "findings": findings},
        "\n".join(lines),
    )
    return 0 if report.ok else 1
