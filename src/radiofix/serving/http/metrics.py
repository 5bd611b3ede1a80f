"""What Prometheus is told: requests, fixes, batches, the queue."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from radiofix.serving.fixes import Fixes

SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10)
LINKS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096)
UNKNOWN = "other"
"""Path of requests to nowhere: clients do not get to name time series."""
CONTENT_TYPE = CONTENT_TYPE_LATEST


class Metrics:
    """Counters of one server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        own = self.registry
        self.requests = Counter(
            "radiofix_requests", "Requests answered", ("path", "status"), registry=own
        )
        self.seconds = Histogram(
            "radiofix_request_seconds", "Until the answer", ("path",), buckets=SECONDS, registry=own
        )
        self.fixes = Counter("radiofix_fixes", "Fixes made", ("trusted",), registry=own)
        self.calls = Counter("radiofix_model_calls", "Calls of the model", registry=own)
        self.links = Histogram(
            "radiofix_batch_links", "Links in a call of the model", buckets=LINKS, registry=own
        )
        self.model_seconds = Histogram(
            "radiofix_model_seconds", "Of a call of the model", buckets=SECONDS, registry=own
        )
        self.waiting = Gauge("radiofix_queue_links", "Links that wait", registry=own)
        self.listeners = Gauge("radiofix_listeners", "Of the stream of fixes", registry=own)
        for trusted in ("true", "false"):
            self.fixes.labels(trusted)

    def watch(self, waiting: Callable[[], int], listeners: Callable[[], int]) -> None:
        """Has two gauges read whenever somebody asks."""
        self.waiting.set_function(waiting)
        self.listeners.set_function(listeners)

    def call(self, links: int, seconds: float) -> None:
        """After a call of the model."""
        self.calls.inc()
        self.links.observe(links)
        self.model_seconds.observe(seconds)

    def made(self, fixes: Fixes) -> None:
        """After fixes were made."""
        trusted = int(fixes.trusted.sum())
        self.fixes.labels("true").inc(trusted)
        self.fixes.labels("false").inc(len(fixes) - trusted)

    def text(self) -> bytes:
        """In Prometheus's format."""
        return generate_latest(self.registry)


class Counted:
    """An application whose answers are counted and timed."""

    def __init__(self, app: ASGIApp, metrics: Metrics, paths: Collection[str]) -> None:
        self.app, self.metrics, self.paths = app, metrics, paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hands on, and looks at the status that comes back."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start = time.perf_counter()
        status = 500

        async def seen(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, seen)
        finally:
            path = scope["path"] if scope["path"] in self.paths else UNKNOWN
            self.metrics.requests.labels(path, str(status)).inc()
            self.metrics.seconds.labels(path).observe(time.perf_counter() - start)
