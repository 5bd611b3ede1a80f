"""What is too much is sent away at the door, body unread: a refusal must cost less than a fix."""

from __future__ import annotations

from collections.abc import Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from radiofix.serving.http.refusals import Refusal, problem


class Shedding:
    """An application that takes one path's requests only where there is room for them."""

    def __init__(self, app: ASGIApp, path: str, expect_room: Callable[[], None]) -> None:
        self.app, self.path, self.expect_room = app, path, expect_room

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hands on, or refuses."""
        if scope["type"] == "http" and scope["path"] == self.path:
            try:
                self.expect_room()
            except Refusal as refusal:
                response = problem(refusal.status, refusal.reason, refusal.headers)
                await response(scope, receive, send)
                return
        await self.app(scope, receive, send)
