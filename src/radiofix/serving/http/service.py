"""One server's parts: a model, its scene, the batches, the counters, what is told to listeners."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

from pydantic_core import to_json
from starlette.requests import Request

from radiofix.serving.engines import Engine
from radiofix.serving.fixes import Fixes
from radiofix.serving.http.answers import answer, fixes_json
from radiofix.serving.http.asking import Question, understand
from radiofix.serving.http.background import model_thread
from radiofix.serving.http.batching import Batcher
from radiofix.serving.http.bodies import (
    APART,
    Decoder,
    Intake,
    completed,
    decoder_of,
    from_json,
)
from radiofix.serving.http.channels import Channels, Kept, Key, channel_told, kept_of
from radiofix.serving.http.limits import Limits
from radiofix.serving.http.live import Live, drawn
from radiofix.serving.http.metrics import Metrics
from radiofix.serving.http.refusals import Refusal
from radiofix.serving.http.scene import Scene, map_told
from radiofix.serving.http.schemas import EXAMPLES
from radiofix.serving.http.streaming import Broadcast
from radiofix.serving.locating import locate
from radiofix.serving.soundings import Heard

USUAL = Limits()
SMALL_BYTES, SMALL_JSON_BYTES = 2**18, 2**14
"""Of bodies that the loop reads itself: to hand one to a thread costs more than to read it."""
SMALL_FIXES = 64
"""Likewise of an answer."""
NOWHERE = Scene()
T = TypeVar("T")


class Service:
    """Answers requests; HTTP's words are left to the routes."""

    def __init__(
        self,
        engine: Engine,
        scene: Scene = NOWHERE,
        limits: Limits = USUAL,
        worker: ThreadPoolExecutor | None = None,
    ) -> None:
        """Takes a model, and what it is to be asked of.

        Args:
            engine: a model with a position head, on the CPU, and what runs it.
            scene: with stations that requests need not bring along, and what viewers are shown.
            limits: of what is taken.
            worker: of `model_thread`, in which the model is called; None: a new one.
        """
        self.engine, self.name, self.limits = engine, engine.name, limits
        self.site, self.map = scene.site, to_json(map_told(scene))
        self.metrics = Metrics()
        self.broadcast = Broadcast(limits.listeners)
        self.live, self._channels = Live(limits.listeners), Channels()
        self._worker = model_thread() if worker is None else worker
        self._batcher = Batcher(self._located, limits, self.metrics, self._worker)
        self._intake = Intake(limits)
        self._small = dataclasses.replace(limits, body_bytes=min(SMALL_BYTES, limits.body_bytes))
        # Bodies are unpacked and packed beside the loop, a few at a time.
        self._packers = ThreadPoolExecutor(2, "radiofix-body")
        # A file may take its reader long: nobody but other files waits for that.
        self._readers = ThreadPoolExecutor(1, "radiofix-file")
        self.metrics.watch(
            lambda: self._batcher.waiting,
            lambda: self.broadcast.listeners.count + self.live.viewers.count,
        )

    def warm(self) -> None:
        """Has the example located: the first call of a model takes far longer than the others."""
        body = json.dumps(EXAMPLES["one link"]["value"]).encode()
        try:
            question = understand(from_json(body, self.limits), None, self.limits)
            self._worker.submit(self._located, question.heard).result()
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
            self._worker.shutdown()
            self._packers.shutdown()
            self._readers.shutdown()

    def expect_room(self) -> None:
        """Refuses one more request where those in hand would overfill the queue."""
        self._batcher.expect_room(self._intake.count + 1)

    async def locate(self, request: Request) -> bytes:
        """The answer to `POST /v1/locate`."""
        start = time.perf_counter()
        decode = decoder_of(request)
        async with self._intake.body(request) as body:
            question = await self._question(decode, body, request.query_params)
        number, told = await self.fixed(question, start)
        return answer(self.name, question.site, number, told)

    async def fixed(self, question: Question, start: float) -> tuple[int, bytes]:
        """The number of a request, and its fixes as JSON, once all who listen were told of them.

        Args:
            question: that was understood.
            start: when it came, by `time.perf_counter`.

        Raises:
            Refusal: where there is no room, or where the model can make nothing of it.
        """
        try:
            fixes = await self._batcher.ask(question.heard)
        except ValueError as error:
            raise Refusal(422, str(error)) from error
        seconds = time.perf_counter() - start
        self.metrics.made(fixes)
        if len(fixes) <= SMALL_FIXES:
            told = fixes_json(fixes, question.site)
        else:
            told = await self._beside(fixes_json, fixes, question.site)
        number = self.broadcast.tell(told, seconds)
        self.live.count(len(fixes))
        if self.live.watched:
            seen, kept = await self._beside(_seen, number, question, fixes)
            self._channels.keep(kept)
            self.live.tell(seen, seconds)
        return number, told

    async def channel(self, key: Key) -> bytes:
        """The answer to `GET /v1/channels`."""
        kept = self._channels.find(key)
        return await self._beside(lambda: to_json(channel_told(kept)))

    async def _question(self, decode: Decoder, body: bytes, query: Mapping[str, str]) -> Question:
        """What a body asks; a thread has the last word of all that is large, or seems wrong."""
        most = SMALL_JSON_BYTES if decode is from_json else SMALL_BYTES
        if len(body) <= most and decode not in APART:
            with suppress(Refusal):
                return self._understood(decode, body, query, self._small)
        threads = self._readers if decode in APART else self._packers
        return await asyncio.get_running_loop().run_in_executor(
            threads, self._understood, decode, body, query, self.limits
        )

    def _understood(
        self, decode: Decoder, body: bytes, query: Mapping[str, str], limits: Limits
    ) -> Question:
        try:
            return understand(completed(decode(body, limits), query), self.site, limits)
        except ValueError as error:
            raise Refusal(422, str(error)) from error

    def _located(self, heard: Heard) -> Fixes:
        (fixes,) = locate(self.engine.model, [heard])
        return fixes

    async def _beside(self, work: Callable[..., T], *arguments: Any) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._packers, work, *arguments)


def _seen(number: int, question: Question, fixes: Fixes) -> tuple[list[dict[str, Any]], list[Kept]]:
    """What viewers are told of a request, and the channels that they may ask for."""
    return drawn(number, question, fixes), kept_of(number, question)
