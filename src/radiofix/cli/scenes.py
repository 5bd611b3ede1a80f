"""`radiofix scenes`: what worlds there are to trace."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from radiofix.cli.terminal import add_command, say
from radiofix.pictures.scene_view import scene_picture
from radiofix.pictures.style import save
from radiofix.scenes import catalogue

NEED_A_FILE = {"osm"}
"""Scenes that cannot be drawn without a file of the user's."""
SHOWN_USERS = 4000
EXAMPLES: dict[str, dict[str, object]] = {"city": {"seed": 0}}
"""Arguments to draw a scene with, where it cannot do without."""


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds `scenes`."""
    command = add_command(commands, "scenes", run, "List the scenes that can be traced.")
    command.add_argument("--pictures", type=Path, metavar="FOLDER", help="draw each of them there")


def run(options: argparse.Namespace) -> int:
    """Lists the scenes, and draws them if asked to."""
    names = catalogue.names()
    if options.pictures is not None:
        options.pictures.mkdir(parents=True, exist_ok=True)
        for name in sorted(set(names) - NEED_A_FILE):
            save(picture(name, **EXAMPLES.get(name, {})), options.pictures / f"{name}.png")
    width = max(map(len, names))
    listing = "\n".join(f"{name:<{width}}  {text}" for name, text in names.items())
    say(options, names, listing)
    return 0


def picture(name: str, /, **arguments: object) -> Figure:
    """A scene from above: buildings, default stations, and where users may stand."""
    scene = catalogue.scene(name, **arguments)
    users = scene.user_position
    if len(users) > SHOWN_USERS:  # at random: a regular part of a grid would show stripes
        users = users[np.random.default_rng(0).choice(len(users), SHOWN_USERS, replace=False)]
    stations = [scene.stations[number] for number in scene.default_stations]
    return scene_picture(scene.meshes, stations, users, title=scene.name)
