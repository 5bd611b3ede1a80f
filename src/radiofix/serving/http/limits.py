"""How much is taken from clients at a time."""

from __future__ import annotations

from dataclasses import dataclass

ELEMENTS = 4096
"""Antennas times subcarriers that count as one link: 32 antennas, 128 subcarriers."""
MEGABYTE = 10**6


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on batches, on what waits, and on one request."""

    batch_links: int = 64
    """Located in one go; larger channels count as several links."""
    batch_seconds: float = 0.005
    """The longest that a request waits for others to join it."""
    queue_links: int = 256
    """Waiting at most; a larger request waits piece by piece."""
    wait_seconds: float = 0.1
    """In which whoever is taken may expect an answer: on a slow machine fewer are."""
    body_bytes: int = 32 * MEGABYTE
    """Of a request, as sent and unpacked."""
    json_bytes: int = 8 * MEGABYTE
    """Of a request in JSON, whose numbers take ten times as much memory."""
    bodies: int = 4
    """Largest bodies that are held at a time, all requests that are read or unpacked together, and
    requests of several batches that take turns."""
    links: int = 4096
    """Of a request."""
    antennas: int = 1024
    subcarriers: int = 4096
    elements: int = 2**17
    """Antennas times subcarriers of a link."""
    read_seconds: float = 30.0
    """In which a body must have come."""
    listeners: int = 64
    """Of the stream of fixes."""

    def __post_init__(self) -> None:
        for name in ("batch_links", "queue_links", "body_bytes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0 <= self.batch_seconds <= 10:
            raise ValueError(
                f"batch_seconds must lie between 0 and 10 s, got {self.batch_seconds:g}"
            )
