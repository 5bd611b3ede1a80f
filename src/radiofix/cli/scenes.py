"""`radiofix scenes`: what worlds there are to trace."""

from __future__ import annotations

import argparse
from pathlib import Path

from radiofix.pictures.scene_view import scene_picture
from radiofix.pictures.style import save
from radiofix.cli.terminal import add_command, say
from radiofix.scenes import catalogue

NEED_AN_ARGUMENT = {"osm"}
"""Scenes that cannot be drawn without a file of the user's."""


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds `scenes`."""
    command = add_command(commands, "scenes", run, "List the scenes that can be traced.")
    command.add_argument("--pictures", type=Path, metavar="FOLDER", help="draw each of them there")


def run(options: argparse.Namespace) -> int:
    """Lists the scenes, and draws them if asked to."""
    names = catalogue.names()
    if options.pictures is not None:
        options.pictures.mkdir(parents=True, exist_ok=True)
        for name in sorted(set(names) - NEED_AN_ARGUMENT):
            save(picture(name), options.pictures / f"{name}.png")
    width = max(map(len, names))
    listing = "\n".join(f"{name:<{width}}  {text}" for name, text in names.items())
    say(options, names, listing)
    return 0


def picture(name: str, **arguments: object):  # type: ignore[no-untyped-def]  # a matplotlib Figure
    """A scene from above: buildings, default stations, and where users may stand."""
    scene = catalogue.scene(name, **arguments)
    step = max(1, len(scene.user_position) // 4000)
    stations = [scene.stations[number] for number in scene.default_stations]
    return scene_picture(scene.meshes, stations, scene.user_position[::step], title=scene.name)
