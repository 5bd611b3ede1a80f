"""`radiofix serve`: fixes over HTTP, and a live map of them."""

from __future__ import annotations

import argparse
import json
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from radiofix.cli.engines import add_engine_to, engine
from radiofix.cli.terminal import add_command, positive_float, positive_int

if TYPE_CHECKING:
    from radiofix.serving.http.app import Companion
    from radiofix.serving.http.scene import Scene

NEEDED = ("fastapi", "uvicorn", "prometheus_client")
MODEL = "radiofix-nano"
MEGABYTE = 10**6
MILLISECOND = 1e-3


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds `serve`."""
    command = add_command(commands, "serve", run, "Answer CSI with fixes over HTTP.")
    command.add_argument(
        "--model",
        default=None,
        help=f"a name, a finished run, or a file of radiofix export; None: {MODEL}, or what was "
        "taught O1 with --demo",
    )
    add_engine_to(command)
    command.add_argument(
        "--demo", action="store_true", help="people walk through the street of the package"
    )
    command.add_argument(
        "--stations",
        type=Path,
        default=None,
        help="a store, or a JSON or YAML file; None: every request brings its own",
    )
    command.add_argument("--host", default="127.0.0.1", help="others need --tokens")
    command.add_argument("--port", type=_port, default=8080, help="0 takes a free one")
    command.add_argument(
        "--tokens", type=Path, default=None, help="a file with a token a line, for clients to send"
    )
    command.add_argument(
        "--batch-links", type=positive_int, default=64, help="located in one go, at most"
    )
    command.add_argument(
        "--batch-ms", type=positive_float, default=5.0, help="that a request waits for others [ms]"
    )
    command.add_argument(
        "--queue", type=positive_int, default=256, help="links that wait, at most: others get 503"
    )
    command.add_argument(
        "--max-mb", type=positive_float, default=32.0, help="of a request, unpacked [MB]"
    )
    command.add_argument(
        "--threads",
        type=positive_int,
        default=None,
        help="of the model; None: all cores but one, which talks to clients",
    )


def run(options: argparse.Namespace) -> int:
    """Serves until it is told to stop; what was taken is finished."""
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise ValueError(f"serving needs {missing[0]}: pip install 'radiofix[serve]'")
    from radiofix.serving.cores import all_but_one
    from radiofix.serving.http.app import create_app
    from radiofix.serving.http.background import model_thread
    from radiofix.serving.http.limits import Limits
    from radiofix.serving.http.running import run as serve
    from radiofix.serving.http.security import guard_of
    from radiofix.serving.http.service import Service

    guard = guard_of(options.host, options.tokens)
    limits = Limits(
        batch_links=options.batch_links,
        batch_seconds=options.batch_ms * MILLISECOND,
        queue_links=options.queue,
        body_bytes=int(options.max_mb * MEGABYTE),
    )
    model, scene, companions = _played(options)
    threads = options.threads or all_but_one()
    worker = model_thread(threads)
    ready = worker.submit(engine, options, model, threads).result()
    service = Service(ready, scene, limits, worker)
    service.warm()

    def announce(address: str) -> None:
        told = f"{ready.name} answers at {address}, a live map too (Ctrl+C stops it)"
        known = {"url": address, "model": ready.name, "engine": ready.told}
        print(json.dumps(known) if options.json else told, flush=True)

    serve(create_app(service, guard, companions), options.host, options.port, announce)
    return 0


def _played(options: argparse.Namespace) -> tuple[str, Scene, list[Companion]]:
    """The model, the scene, and who walks in it."""
    if not options.demo:
        return options.model or MODEL, _scene(options.stations), []
    if options.stations is not None:
        raise ValueError(f"--demo has stations of its own: leave --stations {options.stations} out")
    from radiofix.demo import replay

    scene, people = replay.usual()
    return options.model or replay.MODEL, scene, [people.run]


def _scene(stations: Path | None) -> Scene:
    """Of a store with its buildings, of a file, or of nothing."""
    from radiofix.data.store import open_paths
    from radiofix.serving.http.scene import Scene
    from radiofix.serving.sites import read_site

    if stations is None:
        return Scene()
    return Scene.of(open_paths(stations)) if stations.is_dir() else Scene(read_site(stations))


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"must be a number from 0 to 65535, got {text!r}")
    return int(text)
