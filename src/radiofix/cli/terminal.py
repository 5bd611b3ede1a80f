"""What all commands share: JSON for machines, words for people, arguments written as KEY=VALUE."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

Commands = "argparse._SubParsersAction[argparse.ArgumentParser]"
"""What `add_subparsers` gives."""


def add_command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    run: Callable[[argparse.Namespace], int],
    description: str,
) -> argparse.ArgumentParser:
    """Adds a command with `--json`; returns its parser for the arguments of its own."""
    command = commands.add_parser(
        name,
        help=description,
        description=description,
        allow_abbrev=False,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    command.add_argument("--json", action="store_true", help="print JSON, for machines")
    command.set_defaults(run=run)
    return command


def say(options: argparse.Namespace, for_machines: Any, for_people: str) -> None:
    """Prints the one or the other, as `--json` has it."""
    print(json.dumps(for_machines, indent=1) if options.json else for_people.rstrip("\n"))


def positive_float(text: str) -> float:
    """A number above zero."""
    value = _number(text, float)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a positive number, got {text}")
    return float(value)


def positive_int(text: str) -> int:
    """A whole number above zero."""
    return _at_least(1, text)


def count(text: str) -> int:
    """A whole number, which may be zero."""
    return _at_least(0, text)


def _at_least(least: int, text: str) -> int:
    value = _number(text, int)
    if value < least:
        raise argparse.ArgumentTypeError(f"must be at least {least}, got {text}")
    return int(value)


def whole_numbers(text: str) -> tuple[int, ...]:
    """Whole numbers with commas between."""
    return tuple(int(_number(part, int)) for part in text.split(","))


def _number(text: str, kind: Callable[[str], float]) -> float:
    try:
        return kind(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a number, got {text!r}") from None


def key_values(pairs: Sequence[str]) -> dict[str, Any]:
    """KEY=VALUE, each value read as JSON where it is JSON, else as text."""
    values = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not (key and equals):
            raise ValueError(f"{pair!r} is not of the form KEY=VALUE")
        try:
            values[key] = json.loads(text)
        except json.JSONDecodeError:
            values[key] = text
    return values


def plain_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: Any = None,
    line: str | None = None,
) -> None:
    """Shows a warning as one line, without the place in the code."""
    print(f"radiofix: {message}", file=sys.stderr)


def output_path(text: str) -> Path:
    """A path to write to, whose folder is there."""
    path = Path(text)
    if not path.absolute().parent.is_dir():
        raise argparse.ArgumentTypeError(f"folder {path.absolute().parent} does not exist: make it")
    return path
