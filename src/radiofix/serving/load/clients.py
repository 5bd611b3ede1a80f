"""Clients that cost little: one request made beforehand, sent again and again."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field

CONNECTIONS = 1000
"""Open at a time, at most."""
PAUSE = 0.02
"""Of a client that was sent away [s]; `radiofix.Client` waits for the second that it is told."""
GOOD, BUSY, LOST = "200", "503", "lost"


@dataclass(slots=True)
class Seen:
    """What came back."""

    statuses: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    """Of the requests that were answered with fixes."""


class Connection:
    """One kept alive, so that the network costs little beside the server."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: bytes, seen: Seen) -> str:
        """Sends a request and notes what came; once more where an idle connection was closed."""
        start = time.perf_counter()
        for _ in range(2):
            try:
                status = await self._answer(request)
            except (asyncio.IncompleteReadError, ConnectionError):
                self.close()
                continue
            seen.statuses[status] += 1
            if status == GOOD:
                seen.seconds.append(time.perf_counter() - start)
            return status
        seen.statuses[LOST] += 1
        return LOST

    async def _answer(self, request: bytes) -> str:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self.port)
        reader, writer = self._streams
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1])
            for line in head.lower().split(b"\r\n")
            if line.startswith(b"content-length")
        )
        await reader.readexactly(length)
        return head.split(b" ", 2)[1].decode()

    def close(self) -> None:
        """Hangs up."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def in_turn(port: int, request: bytes, clients: int, seconds: float) -> Seen:
    """Every client asks again as soon as it is answered, a moment later where it was sent away."""
    until, seen = time.perf_counter() + seconds, Seen()

    async def one() -> None:
        connection = Connection(port)
        while time.perf_counter() < until:
            if await connection.ask(request, seen) == BUSY:
                await asyncio.sleep(PAUSE)
        connection.close()

    await asyncio.gather(*(one() for _ in range(clients)))
    return seen


async def at_a_rate(port: int, request: bytes, rate: float, seconds: float) -> Seen:
    """Requests come evenly, whether or not earlier ones were answered.

    Those that come late because this process was late are sent all the same, and what would need
    more than `CONNECTIONS` is not sent.
    """
    seen, free = Seen(), list[Connection]()
    everyone: set[asyncio.Task[None]] = set()

    async def one() -> None:
        connection = free.pop() if free else Connection(port)
        await connection.ask(request, seen)
        free.append(connection)

    start = time.perf_counter()
    for number in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, start + number / rate - time.perf_counter()))
        if len(everyone) >= CONNECTIONS:
            continue
        task = asyncio.create_task(one())
        everyone.add(task)
        task.add_done_callback(everyone.discard)
        if time.perf_counter() - start > seconds:
            break
    await asyncio.gather(*everyone)
    for connection in free:
        connection.close()
    return seen
