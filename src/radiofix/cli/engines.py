"""`--engine`: what runs the model of `locate` and `serve`."""

from __future__ import annotations

import argparse
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from radiofix.serving.engines import Engine

STREET = resources.files("radiofix.demo") / "o1"
"""Store that comes with the package."""


def add_engine_to(command: argparse.ArgumentParser) -> None:
    """Adds `--engine`."""
    command.add_argument(
        "--engine",
        choices=("faster", "torch", "onnx"),
        default="faster",
        help="of the model: onnx exports it the first time, half a minute, and keeps that; faster "
        "takes the faster one where an export is kept, else torch",
    )


def engine(options: argparse.Namespace, model: str, threads: int | None = None) -> Engine:
    """The model that was asked for, ready to locate.

    Args:
        options: of the command.
        model: a name, a run, or a file of `radiofix export`.
        threads: of the engine; None: its own choice.
    """
    from radiofix.serving.engines import engine_of

    with resources.as_file(STREET) as street:
        return engine_of(model, options.engine, Path(street), threads)
