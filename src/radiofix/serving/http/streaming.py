"""What is told to whoever listens, over WebSockets; `/v1/fixes`: every fix, as it is made."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import anyio
from starlette.websockets import WebSocket, WebSocketDisconnect

from radiofix.serving.http.security import subprotocol

BACKLOG = 256
"""Messages that a slow listener may lag behind."""
TRY_AGAIN = 1013
"""Code of a WebSocket that is closed for now."""


class Listener:
    """One who listens; who is too slow misses the oldest, and is told how many."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._backlog: deque[str] = deque()
        self._missed = 0
        self._arrived = asyncio.Event()

    def tell(self, message: str) -> None:
        """Adds a message, in place of the oldest if there are too many."""
        if len(self._backlog) >= self._most:
            self._backlog.popleft()
            self._missed += 1
        self._backlog.append(message)
        self._arrived.set()

    async def next(self) -> str:
        """The next message, once there is one."""
        while not self._backlog:
            self._arrived.clear()
            await self._arrived.wait()
        if self._missed:
            missed, self._missed = self._missed, 0
            return f'{{"missed":{missed}}}'
        return self._backlog.popleft()


class Listeners:
    """Those who listen to one stream."""

    def __init__(self, most: int, backlog: int) -> None:
        """Lets in so many.

        Args:
            most: listeners at a time.
            backlog: messages that one of them may lag behind.
        """
        self._most, self._backlog = most, backlog
        self._all: set[Listener] = set()

    @property
    def count(self) -> int:
        """How many listen."""
        return len(self._all)

    @property
    def full(self) -> bool:
        """Whether nobody else may listen."""
        return len(self._all) >= self._most

    def tell(self, message: str) -> None:
        """Tells all."""
        for listener in self._all:
            listener.tell(message)

    @contextmanager
    def listener(self) -> Iterator[Listener]:
        """Somebody who listens for a while."""
        one = Listener(self._backlog)
        self._all.add(one)
        try:
            yield one
        finally:
            self._all.discard(one)


class Broadcast:
    """Hands every fix to all who listen."""

    def __init__(self, most: int) -> None:
        self.listeners = Listeners(most, BACKLOG)
        self._number = 0

    def tell(self, fixes: bytes, seconds: float) -> int:
        """Tells all of the fixes of one request, a JSON list; gives the request's number.

        Args:
            fixes: of `FixMade`.
            seconds: from the request to its fixes.
        """
        self._number += 1
        if self.listeners.count:
            head = f'{{"number":{self._number},"seconds":{seconds:.6f},"fixes":'
            self.listeners.tell(f"{head}{fixes.decode()}}}")
        return self._number


async def stream(socket: WebSocket, listeners: Listeners) -> None:
    """Sends what is told until the listener goes."""
    if listeners.full:
        await socket.close(TRY_AGAIN, "too many listen: come again")
        return
    with listeners.listener() as listener:
        await socket.accept(subprotocol(socket.scope))
        async with anyio.create_task_group() as both:
            both.start_soon(_send, socket, listener)
            await _gone(socket)
            both.cancel_scope.cancel()


async def _send(socket: WebSocket, listener: Listener) -> None:
    # Who hangs up meanwhile is noticed by who waits for that.
    with suppress(WebSocketDisconnect):
        while True:
            await socket.send_text(await listener.next())


async def _gone(socket: WebSocket) -> None:
    """Returns when the other end hangs up; what it says is not listened to."""
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass
