"""Who may ask: bearers of a token, or whoever sits at this machine."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from radiofix.serving.http.refusals import Refusal, problem

OPEN = ("/healthz",)
"""What anybody may ask: load balancers carry no token."""
SHORTEST = 16
"""Characters of a token."""
SUBPROTOCOL = "bearer."
"""Before the token among a WebSocket's subprotocols: browsers can send no other header there."""


class Guard(Protocol):
    """Decides on every request."""

    def refusal(self, scope: Scope) -> Refusal | None:
        """Why a request is not let in, or None."""
        ...


class Tokens:
    """Lets in who bears one of some tokens."""

    def __init__(self, tokens: tuple[str, ...]) -> None:
        # Digests have one length: a comparison does not even tell that of a token.
        self._digests = [_digest(token.encode()) for token in tokens]

    def refusal(self, scope: Scope) -> Refusal | None:
        """401 without a token that is known."""
        given = _bearer(_headers(scope))
        if given is not None and self._known(given):
            return None
        return Refusal(
            401,
            "a token is needed: send the header Authorization: Bearer TOKEN",
            {"WWW-Authenticate": 'Bearer realm="radiofix"'},
        )

    def _known(self, given: bytes) -> bool:
        digest = _digest(given)
        # All are compared, so that the time does not tell which one was near.
        found = [hmac.compare_digest(digest, known) for known in self._digests]
        return any(found)


class SameMachine:
    """Lets in who asks this machine by its own name: no page of the web in a browser here."""

    def refusal(self, scope: Scope) -> Refusal | None:
        """421 for a strange name of the server, 403 for another page's WebSocket."""
        headers = _headers(scope)
        host = headers.get(b"host", b"").decode("latin-1")
        if not is_loopback(_name_of(host)):
            return Refusal(421, f"Host {host[:60]!r} is not this machine: ask for 127.0.0.1")
        origin = headers.get(b"origin", b"").decode("latin-1")
        if scope["type"] == "websocket" and origin and urlsplit(origin).netloc != host:
            return Refusal(403, f"Origin {origin[:60]!r} may not listen here")
        return None


class Guarded:
    """An application behind a guard."""

    def __init__(self, app: ASGIApp, guard: Guard, open_paths: Collection[str] = OPEN) -> None:
        self.app, self.guard, self.open_paths = app, guard, frozenset(open_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hands on what is let in."""
        refusal = None
        if scope["type"] in ("http", "websocket") and scope["path"] not in self.open_paths:
            refusal = self.guard.refusal(scope)
        if refusal is None:
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            response = problem(refusal.status, refusal.reason, refusal.headers)
            await response(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008, "reason": refusal.reason[:100]})


def guard_of(host: str, tokens: Path | None) -> Guard:
    """The guard for an address to listen on.

    Args:
        host: to be bound to.
        tokens: a file with a token a line, or None.
    """
    if tokens is not None:
        return Tokens(read_tokens(tokens))
    if not is_loopback(host):
        raise ValueError(
            f"{host} can be reached from outside: give --tokens, a file with a token a line, or "
            "bind to 127.0.0.1"
        )
    return SameMachine()


def read_tokens(path: Path) -> tuple[str, ...]:
    """A token a line; lines that begin with # are left out."""
    try:
        lines = [line.strip() for line in path.read_text(encoding="ascii").splitlines()]
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} holds more than ASCII: a token is letters and digits") from error
    except OSError as error:
        raise ValueError(f"{path} cannot be read as tokens: {error.strerror}") from error
    tokens = tuple(line for line in lines if line and not line.startswith("#"))
    if not tokens:
        raise ValueError(f"{path} holds no token: write one a line, {SHORTEST} characters or more")
    for number, token in enumerate(tokens, 1):
        if len(token) < SHORTEST or not token.isprintable() or " " in token:
            raise ValueError(
                f"{path}: token {number} has fewer than {SHORTEST} characters, or spaces: make one "
                "with python -c 'import secrets; print(secrets.token_urlsafe())'"
            )
    return tokens


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine alone."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def subprotocol(scope: Scope) -> str | None:
    """The WebSocket's subprotocol that carries the token, which is to be confirmed."""
    offered = _headers(scope).get(b"sec-websocket-protocol", b"").decode("latin-1").split(",")
    return next((one.strip() for one in offered if one.strip().startswith(SUBPROTOCOL)), None)


def _bearer(headers: Mapping[bytes, bytes]) -> bytes | None:
    scheme, _, given = headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() == b"bearer":
        return given.strip()
    for one in headers.get(b"sec-websocket-protocol", b"").split(b","):
        if one.strip().startswith(SUBPROTOCOL.encode()):
            return one.strip().removeprefix(SUBPROTOCOL.encode())
    return None


def _headers(scope: Scope) -> Mapping[bytes, bytes]:
    return dict(scope["headers"])


def _name_of(host: str) -> str:
    """Without the port, and without the brackets of IPv6."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()
