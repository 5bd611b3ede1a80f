"""The command line: the only room that sees all the others.

Exit status: 0 done, 1 the thing checked is not well, 2 bad input.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

from radiofix.cli.terminal import plain_warning
from radiofix.version import __version__

ROOMS = {
    "scenes": ("scenes",),
    "trace": ("trace",),
    "stores": ("info", "check", "pack", "join"),
    "importing": ("import",),
    "plot": ("plot",),
    "recipes": ("recipes",),
    "models": ("pretrain", "finetune", "evaluate"),
    "bench": ("bench",),
    "evidence": ("report",),
    "locate": ("locate",),
    "serve": ("serve",),
    "export": ("export",),
    "survey": ("survey",),
    "demo": ("demo",),
}
"""Where each command is: whoever asks for one does not wait for the others to be imported."""


class Parser(argparse.ArgumentParser):
    """Tells a mistake in one line, without the usage."""

    def error(self, message: str) -> NoReturn:
        """Says what is wrong and where help is; exit status 2."""
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def parser(rooms: Sequence[str] = tuple(ROOMS)) -> argparse.ArgumentParser:
    """The parser of every command, or of those of some rooms."""
    top = Parser(prog="radiofix", description="Radio channels into positions.", allow_abbrev=False)
    top.add_argument("--version", action="version", version=f"radiofix {__version__}")
    commands = top.add_subparsers(metavar="COMMAND", required=True, parser_class=Parser)
    for room in rooms:
        import_module(f"radiofix.cli.{room}").add_commands(commands)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; a user's mistake is one line on standard error."""
    logging.basicConfig(format="radiofix: %(message)s", level=logging.WARNING)
    warnings.showwarning = plain_warning
    arguments = sys.argv[1:] if arguments is None else arguments
    options = parser(_asked(arguments)).parse_args(arguments)
    try:
        return int(options.run(options))
    except BrokenPipeError:  # the reader, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("radiofix: interrupted", file=sys.stderr)
        return 130
    except (ValueError, OSError) as error:
        print(f"radiofix: {' '.join(str(error).split())}", file=sys.stderr)
        return 2


def _asked(arguments: Sequence[str]) -> tuple[str, ...]:
    """The rooms that the arguments need."""
    if list(arguments) == ["--version"]:
        return ()
    asked = arguments[0] if arguments else None
    return tuple(room for room, commands in ROOMS.items() if asked in commands) or tuple(ROOMS)
