"""Many users' requests put together: one call of the model answers what came within a deadline."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from radiofix.serving.fixes import Fixes
from radiofix.serving.http.joining import Locate, Shape, answered, cost_of, cut, shape_of, whole
from radiofix.serving.http.limits import Limits
from radiofix.serving.http.refusals import Refusal
from radiofix.serving.soundings import Heard

_SMOOTHING = 0.2
"""Of the rate, a call."""


class Watch(Protocol):
    """Who is told of every call of the model."""

    def call(self, links: int, seconds: float) -> None:
        """After a call."""
        ...


@dataclass(slots=True, eq=False)
class _Waiting:
    heard: Heard
    cost: int
    since: float
    answer: asyncio.Future[Fixes]


class Batcher:
    """Takes requests, joins them, and has them located in the model's thread."""

    def __init__(
        self, locate: Locate, limits: Limits, watch: Watch, worker: ThreadPoolExecutor
    ) -> None:
        self._locate, self._limits, self._watch = locate, limits, watch
        self._worker = worker
        self._lines: dict[Shape, deque[_Waiting]] = {}
        self._costs: dict[Shape, int] = {}
        self._arrived = asyncio.Event()
        self._in_hand = 0
        self._turn = asyncio.Lock()
        self._large = 0
        self._closing = False
        self._rate = math.nan
        self._task: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """Links in the queue."""
        return sum(self._costs.values())

    def start(self) -> None:
        """Begins to answer, in the loop that runs."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Answers what was taken, then ends."""
        self._closing = True
        self._arrived.set()
        if self._task is not None:
            await self._task

    async def ask(self, heard: Heard) -> Fixes:
        """The fixes of one request; a large one takes turns with all others, batch by batch.

        Raises:
            Refusal: 503 where the queue is full.
            ValueError: where the channels do not suit the model.
        """
        pieces = cut(heard, self._limits.batch_links)
        self.expect_room(cost_of(pieces[0]))
        if len(pieces) == 1:
            return await self._queued(heard)
        if self._large >= self._limits.bodies:
            raise self._full()
        self._large += 1
        try:
            return whole([await self._in_turn(piece) for piece in pieces])
        finally:
            self._large -= 1
            self._arrived.set()

    def expect_room(self, links: int) -> None:
        """Refuses where so many more links would overfill the queue, or be answered too late."""
        if self._closing:
            raise Refusal(503, "the server is stopping: come again", {"Retry-After": "1"})
        waiting, taken = self.waiting, self.waiting + self._in_hand
        overfull = waiting and waiting + links > self._limits.queue_links
        if overfull or (taken and taken + links > self._in_time):
            raise self._full()

    async def _in_turn(self, piece: Heard) -> Fixes:
        """Of all large requests one piece at a time, so that small ones find room beside it."""
        async with self._turn:
            return await self._queued(piece)

    async def _queued(self, heard: Heard) -> Fixes:
        answer = asyncio.get_running_loop().create_future()
        waiting = _Waiting(heard, cost_of(heard), time.monotonic(), answer)
        shape = shape_of(heard)
        self._lines.setdefault(shape, deque()).append(waiting)
        self._costs[shape] = self._costs.get(shape, 0) + waiting.cost
        self._arrived.set()
        return await waiting.answer

    @property
    def _in_time(self) -> float:
        """Links that are answered in time, as far as that is known; a batch may always wait."""
        if math.isnan(self._rate):
            return math.inf
        return max(self._limits.batch_links, self._rate * self._limits.wait_seconds)

    def _full(self) -> Refusal:
        taken = self.waiting + self._in_hand
        seconds = taken / self._rate if self._rate > 0 else 1.0
        after = str(max(1, math.ceil(seconds)))
        reason = f"the queue is full, {taken} links are in it: come again in {after} s"
        return Refusal(503, reason, {"Retry-After": after})

    async def _run(self) -> None:
        while True:
            while not self._lines:
                # Who has had a part of an answer gets the rest.
                if self._closing and not self._large:
                    return
                self._arrived.clear()
                await self._arrived.wait()
            shape = min(self._lines, key=lambda one: self._lines[one][0].since)
            await self._gather(shape)
            await self._answer(self._take(shape))

    async def _gather(self, shape: Shape) -> None:
        """Waits for others until the batch is full or the first one's time is up."""
        deadline = self._lines[shape][0].since + self._limits.batch_seconds
        while self._costs[shape] < self._limits.batch_links and not self._closing:
            if (left := deadline - time.monotonic()) <= 0:
                return
            self._arrived.clear()
            try:
                async with asyncio.timeout(left):
                    await self._arrived.wait()
            except TimeoutError:
                return

    def _take(self, shape: Shape) -> list[_Waiting]:
        """The oldest of a shape, at least one, as many as a batch holds."""
        taken: list[_Waiting] = []
        line, cost = self._lines[shape], 0
        while line and (not taken or cost + line[0].cost <= self._limits.batch_links):
            taken.append(line.popleft())
            cost += taken[-1].cost
        self._costs[shape] -= cost
        if not line:
            del self._lines[shape], self._costs[shape]
        # Who has gone away needs no answer.
        return [one for one in taken if not one.answer.done()]

    async def _answer(self, batch: Sequence[_Waiting]) -> None:
        if not batch:
            return
        loop = asyncio.get_running_loop()
        start, links = time.monotonic(), sum(one.cost for one in batch)
        self._in_hand = links
        try:
            answers: Sequence[Fixes | Exception] = await loop.run_in_executor(
                self._worker, answered, [one.heard for one in batch], self._locate
            )
        except Exception as error:  # whatever it was, the others must still be answered
            answers = [error] * len(batch)
        self._in_hand = 0
        seconds = time.monotonic() - start
        self._observe(links, seconds)
        self._watch.call(sum(len(one.heard.fix) for one in batch), seconds)
        for one, answer in zip(batch, answers, strict=True):
            if one.answer.done():
                continue
            if isinstance(answer, Exception):
                one.answer.set_exception(answer)
            else:
                one.answer.set_result(answer)

    def _observe(self, links: int, seconds: float) -> None:
        rate = links / max(seconds, 1e-6)
        # A small batch costs almost as much as a larger one: it tells more than nothing, no more.
        if math.isnan(self._rate):
            self._rate = rate
        elif 2 * links >= self._limits.batch_links:
            self._rate += _SMOOTHING * (rate - self._rate)
