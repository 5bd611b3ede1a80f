"""What is refused: an error with a status and one line of reason, told as RFC 9457 has it."""

from __future__ import annotations

import http
import json
from collections.abc import Mapping
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

PROBLEM = "application/problem+json"
LONGEST = 500
"""Characters of a reason."""


class Refusal(Exception):
    """A request that is not answered, and why."""

    def __init__(self, status: int, reason: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(one_line(reason))
        self.status, self.reason = status, one_line(reason)
        self.headers = dict(headers or {})


def problem(status: int, reason: str, headers: Mapping[str, str] | None = None) -> Response:
    """One line of problem+json."""
    told: dict[str, Any] = {
        "type": "about:blank",
        "title": http.HTTPStatus(status).phrase,
        "status": status,
        "detail": one_line(reason),
    }
    return Response(json.dumps(told) + "\n", status, dict(headers or {}), PROBLEM)


async def tell_refusal(request: Request, error: Exception) -> Response:
    """Of what this server refuses itself."""
    assert isinstance(error, Refusal)
    return problem(error.status, error.reason, error.headers)


async def tell_routing(request: Request, error: Exception) -> Response:
    """Of what the router refuses: a path or a method that is not there."""
    assert isinstance(error, HTTPException)
    reason = f"{request.method} {request.url.path[:100]}: {error.detail}, see /openapi.json"
    return problem(error.status_code, reason, error.headers)


async def tell_query(request: Request, error: Exception) -> Response:
    """Of a query that says what makes no sense."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"][1:]) or "the query"
    return problem(422, f"{place}: {first['msg']}")


async def tell_failure(request: Request, error: Exception) -> Response:
    """Of a mistake of ours: what it was stands in the server's log alone."""
    return problem(500, "the server failed at this request: its log says where")


def one_line(text: str) -> str:
    """A reason without line ends, and not endless."""
    return " ".join(text.split())[:LONGEST]
