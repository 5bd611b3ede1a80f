"""`radiofix recipes`: the recipes that come with the package."""

from __future__ import annotations

import argparse
from pathlib import Path

from radiofix.cli.terminal import add_command, say


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds `recipes`."""
    command = add_command(
        commands, "recipes", run, "List the package's recipes, or print one to change it."
    )
    command.add_argument("name", metavar="RECIPE", nargs="?", help="print this one")


def run(options: argparse.Namespace) -> int:
    """Lists all with what each says of itself, or prints the text of one."""
    from radiofix.training.recipe_files import about, own, own_recipes

    if options.name is not None:
        text = own(Path(options.name)).read_text()
        say(options, {"name": options.name, "text": text}, text)
        return 0
    told = {name: about(text) for name, text in own_recipes()}
    width = max(map(len, told), default=0)
    say(options, told, "\n".join(f"{name:<{width}}  {text}" for name, text in told.items()))
    return 0
