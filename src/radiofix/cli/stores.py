"""`radiofix info`, `check`, `pack` and `join`: a store told, examined, made smaller or larger."""

from __future__ import annotations

import argparse
from pathlib import Path

from radiofix.cli.terminal import add_command, output_path, positive_int, say
from radiofix.data.check import check
from radiofix.data.joining import join
from radiofix.data.packing import pack
from radiofix.data.store import open_paths
from radiofix.data.summary import summarise, table
from radiofix.scenes.outdoors import inside_buildings


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds `info`, `check`, `pack` and `join`."""
    for name, run, description in (
        ("info", info, "Tell what a store holds."),
        ("check", check_store, "Look for damage and for what physics forbids; 1 if there is any."),
    ):
        command = add_command(commands, name, run, description)
        command.add_argument("store", type=Path)
    command = add_command(commands, "pack", pack_store, "Copy some users and paths of a store.")
    command.add_argument("store", type=Path)
    command.add_argument("--out", type=output_path, required=True, metavar="STORE")
    command.add_argument("--users", type=positive_int, default=None, help="None: all")
    command.add_argument("--paths", type=positive_int, default=None, help="None: all")
    command.add_argument("--user-angles", action="store_true", help="keep directions at the user")
    command.add_argument("--seed", type=int, default=0)
    command = add_command(commands, "join", join_stores, "Put scenes beside each other in one.")
    command.add_argument("stores", type=Path, nargs="+", metavar="STORE")
    command.add_argument("--out", type=output_path, required=True, metavar="STORE")


def join_stores(options: argparse.Namespace) -> int:
    """Writes the joined store and tells its size."""
    stores = [open_paths(path) for path in options.stores]
    users = join(stores, options.out)
    stations = sum(len(store.stations) for store in stores)
    say(
        options,
        {"store": str(options.out), "users": users, "stations": stations},
        f"{options.out}: {users:,} users and {stations} stations of {len(stores)} scenes",
    )
    return 0


def pack_store(options: argparse.Namespace) -> int:
    """Writes the smaller store and tells its size."""
    store = open_paths(options.store)
    users = pack(
        store, options.out, options.users, options.paths, options.user_angles, options.seed
    )
    size = sum(file.stat().st_size for file in options.out.rglob("*") if file.is_file())
    say(
        options,
        {"store": str(options.out), "users": users, "bytes": size},
        f"{options.out}: {users:,} users, {size / 1e6:.1f} MB",
    )
    return 0


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
