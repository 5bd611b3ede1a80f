"""A crowd of new clients is let in at once."""

import asyncio
import socket
from contextlib import ExitStack

import pytest

from radiofix.serving.http.running import HANDLES, listen

uvloop = pytest.importorskip("uvloop", reason="there is none for Windows")
TURNS = 3
"""Of the loop: to hear of clients, to take them, to greet them."""


def let_in(listening, clients):
    """How many of so many new clients are let in within a few turns of uvicorn's usual loop."""
    taken = []

    class Greeting(asyncio.Protocol):
        def connection_made(self, transport):
            taken.append(transport)

    async def crowd():
        loop = asyncio.get_running_loop()
        servers = [await loop.create_server(Greeting, sock=one) for one in listening]
        with ExitStack() as stack:
            # The kernel shakes hands; the loop has no turn before the first `sleep`.
            for _ in range(clients):
                stack.enter_context(socket.create_connection(listening[0].getsockname()))
            for _ in range(TURNS):
                await asyncio.sleep(0)
            count = len(taken)
        for transport in taken:
            transport.abort()
        for server in servers:
            server.close()
        return count

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(crowd())


def test_a_crowd_of_new_clients_is_let_in_within_a_few_turns_of_the_loop():
    assert let_in(listen("127.0.0.1", 0), HANDLES) == HANDLES


def test_by_one_handle_hardly_any_of_them_would_be():
    first, *others = listen("127.0.0.1", 0)
    for other in others:
        other.close()
    assert let_in([first], HANDLES) <= TURNS
