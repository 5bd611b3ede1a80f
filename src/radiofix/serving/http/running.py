"""A server's life: a socket, uvicorn, and an end that finishes what was taken."""

from __future__ import annotations

import gc
import logging
import signal
import socket
from collections.abc import Callable
from types import FrameType

import uvicorn
from fastapi import FastAPI

STOPPING_SECONDS = 60
"""In which requests that were taken must be answered after the signal to stop."""
HANDLES = 32
"""On the one socket. uvloop takes a single new client from each at every turn of its loop: where a
turn takes milliseconds, the last of a thousand that come at once would wait for seconds."""


class _Announced(uvicorn.Server):
    """Tells that it answers once it does, and can be told to stop."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started:
            self._announce()


def run(app: FastAPI, host: str, port: int, announce: Callable[[str], None]) -> None:
    """Serves until SIGTERM or SIGINT.

    Args:
        app: of `create_app`.
        host: address to bind to.
        port: to listen on; 0 takes a free one.
        announce: is told the server's address once it listens.
    """
    listening = listen(host, port)
    config = uvicorn.Config(
        app,
        log_level=logging.WARNING,
        access_log=False,
        server_header=False,
        lifespan="on",
        timeout_graceful_shutdown=STOPPING_SECONDS,
        ws_max_size=1024,
    )
    server = _Announced(config, lambda: announce(_address(listening[0])))

    def stop(number: int, frame: FrameType | None) -> None:
        server.should_exit = True

    # A stop may be asked for before uvicorn listens to signals; and at its end it raises them
    # again, where a stop that was asked for is no failure.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    # What is there by now stays: to go through all of it for garbage halts every answer for 0.2 s.
    gc.collect()
    gc.freeze()
    server.run(sockets=listening)
    if not server.started:
        raise ValueError("the server did not start: the lines above say why")


def listen(host: str, port: int) -> list[socket.socket]:
    """A socket that listens, by so many handles that a crowd is let in at once."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        first = socket.create_server((host, port), family=family, backlog=2048)
        return [first, *(first.dup() for _ in range(HANDLES - 1))]
    except (OSError, OverflowError) as error:
        raise ValueError(f"cannot listen on {host}:{port}: {error}; try another --port") from error


def _address(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
