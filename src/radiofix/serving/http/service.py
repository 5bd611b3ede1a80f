"""One server's parts: a model, its stations, the batches, the counters, the stream."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from starlette.requests import Request

from radiofix.models.localizer import Localizer
from radiofix.serving.fixes import Fixes
from radiofix.serving.http.answers import answer, fixes_json
from radiofix.serving.http.asking import Question, understand
from radiofix.serving.http.batching import Batcher
from radiofix.serving.http.bodies import Decoder, Intake, decoder_of, from_json
from radiofix.serving.http.limits import Limits
from radiofix.serving.http.metrics import Metrics
from radiofix.serving.http.refusals import Refusal
from radiofix.serving.http.schemas import EXAMPLES
from radiofix.serving.http.streaming import Broadcast
from radiofix.serving.locating import locate
from radiofix.serving.sites import Site
from radiofix.serving.soundings import Heard

USUAL = Limits()
T = TypeVar("T")


class Service:
    """Answers requests; HTTP's words are left to the routes."""

    def __init__(
        self,
        name: str,
        model: Localizer,
        site: Site | None = None,
        limits: Limits = USUAL,
        threads: int | None = None,
    ) -> None:
        """Takes a model under a name, and what it is to be asked of.

        Args:
            name: that clients are told.
            model: with a position head, on the CPU.
            site: stations that requests need not bring along.
            limits: of what is taken.
            threads: that the model computes with; None: as many as torch takes.
        """
        self.name, self.model, self.site, self.limits = name, model, site, limits
        self.metrics = Metrics()
        self.broadcast = Broadcast(limits.listeners)
        self._batcher = Batcher(self._located, limits, self.metrics, threads)
        self._intake = Intake(limits)
        # Bodies are unpacked and packed beside the loop, a few at a time.
        self._packers = ThreadPoolExecutor(2, "radiofix-body")
        self.metrics.watch(
            lambda: self._batcher.waiting,
            lambda: self.broadcast.listeners,
        )

    def warm(self) -> None:
        """Has the example located: the first call of a model takes far longer than the others."""
        body = json.dumps(EXAMPLES["one link"]["value"]).encode()
        try:
            self._located(understand(from_json(body, self.limits), None, self.limits).heard)
        except ValueError as error:
            logging.getLogger(__name__).warning("the example cannot be located: %s", error)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Answers in between; what was taken is finished at the end."""
        self._batcher.start()
        try:
            yield
        finally:
            await self._batcher.stop()
            self._packers.shutdown()

    def expect_room(self) -> None:
        """Refuses one more request where those in hand would overfill the queue."""
        self._batcher.expect_room(self._intake.count + 1)

    async def locate(self, request: Request) -> bytes:
        """The answer to `POST /v1/locate`."""
        start = time.perf_counter()
        decode = decoder_of(request)
        async with self._intake.body(request) as body:
            question = await self._beside(self._understood, decode, body)
        try:
            fixes = await self._batcher.ask(question.heard)
        except ValueError as error:
            raise Refusal(422, str(error)) from error
        self.metrics.made(fixes)
        told = await self._beside(fixes_json, fixes, question.site)
        self.broadcast.tell(told, time.perf_counter() - start)
        return answer(self.name, question.site, told)

    def _understood(self, decode: Decoder, body: bytes) -> Question:
        try:
            return understand(decode(body, self.limits), self.site, self.limits)
        except ValueError as error:
            raise Refusal(422, str(error)) from error

    def _located(self, heard: Heard) -> Fixes:
        (fixes,) = locate(self.model, [heard])
        return fixes

    async def _beside(self, work: Callable[..., T], *arguments: Any) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._packers, work, *arguments)
