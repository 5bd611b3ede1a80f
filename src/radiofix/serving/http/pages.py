"""`/`: the live map, whose files the package carries ready to be sent."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import PurePosixPath

from starlette.requests import Request
from starlette.responses import Response

INDEX = "index.html"
FOLDER = "assets"
"""Of files whose names change with their content."""
KINDS = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
"""That are served: whatever else lies there is not."""
FOREVER, ASK_FIRST = "public, max-age=31536000, immutable", "no-cache"
POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
)
GUARDS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@dataclass(frozen=True, slots=True)
class File:
    """One file of the page, as it is sent."""

    content: bytes
    headers: Mapping[str, str]

    def response(self, request: Request) -> Response:
        """The file, or that it has not changed."""
        if self.headers["ETag"] in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=dict(self.headers))
        return Response(self.content, headers=dict(self.headers))


def page_files() -> dict[str, File]:
    """The files of the live map by their paths on the server: these, and no others, are sent."""
    folder = resources.files("radiofix.serving") / "web"
    files = {f"/{name}": file for name, file in _files(folder, ASK_FIRST).items()}
    files |= {f"/{FOLDER}/{name}": f for name, f in _files(folder / FOLDER, FOREVER).items()}
    files["/"] = files.pop(f"/{INDEX}")
    return files


def _files(folder: Traversable, caching: str) -> dict[str, File]:
    return {
        entry.name: _file(entry, caching)
        for entry in folder.iterdir()
        if PurePosixPath(entry.name).suffix in KINDS
    }


def _file(entry: Traversable, caching: str) -> File:
    content = entry.read_bytes()
    digest = hashlib.sha256(content).hexdigest()[:32]
    kind = KINDS[PurePosixPath(entry.name).suffix]
    own = {"Content-Type": kind, "Cache-Control": caching, "ETag": f'"{digest}"'}
    return File(content, {**GUARDS, **own})
