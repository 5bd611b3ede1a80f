"""People who walk through the packaged street, heard and located again and again."""

from __future__ import annotations

import asyncio
import heapq
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import Delaunay

from radiofix.data.store import PathStore, open_paths
from radiofix.demo.contest import STORE
from radiofix.physics.arrays import ula
from radiofix.physics.channel import Channel
from radiofix.physics.impairments import Impairments
from radiofix.serving.http.asking import Question
from radiofix.serving.http.refusals import Refusal
from radiofix.serving.http.scene import Scene
from radiofix.serving.http.service import Service
from radiofix.serving.sites import site_of
from radiofix.serving.soundings import Heard, Labels
from radiofix.types import Paths

Floats = NDArray[np.float64]

MODEL = "radiofix-nano-o1"
ABOUT = (
    "A replay: people walk through O1, a ray-traced street; their channels are made from its "
    "paths, with new noise each time."
)
STRETCH = (480.0, 760.0)
"""Of the street, from south to north, that is walked: from the first stations to the last [m]."""
STEP = 8.0
"""Neighbours along the way lie no farther apart [m]."""
LANE = 3.0
"""A way this far off one's lane counts double [m]."""
BEHIND = 1.0
"""Steps that are late by more are left out: a slow machine shows fewer, not older ones [s]."""


@dataclass(frozen=True, slots=True)
class Step:
    """Somebody comes to where a packaged user stands."""

    at: float
    """From the beginning [s]."""
    walker: int
    row: int
    """Of the user, in the store."""


@dataclass(frozen=True, slots=True, eq=False)
class Walks:
    """Endless walks from neighbour to neighbour among the users of a store.

    Everybody has a lane and a speed, and goes from one far place of the lane to the next, by the
    shortest way over users that stand next to each other.
    """

    position: Floats
    """(user, 2) of the store [m]."""
    speeds: tuple[float, ...]
    """Of each walker [m/s]."""
    seed: int = 0
    stretch: tuple[float, float] = STRETCH
    _edges: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        sides = Delaunay(self.position).simplices[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
        edges = np.unique(np.sort(sides, 1), axis=0).astype(np.int64)
        long = np.linalg.norm(np.diff(self.position[edges], axis=1)[:, 0], axis=1) > STEP
        low, high = self.stretch
        along = self.position[edges, 1]
        outside = ((along < low) | (along > high)).any(1)
        object.__setattr__(self, "_edges", edges[~long & ~outside])

    def steps(self) -> Iterator[Step]:
        """Of all walkers, in the order of their times, without an end."""
        walks = [self._walk(number, speed) for number, speed in enumerate(self.speeds)]
        return heapq.merge(*walks, key=lambda step: step.at)

    def _walk(self, walker: int, speed: float) -> Iterator[Step]:
        generator = np.random.default_rng([self.seed, walker])
        reached = np.unique(self._edges)
        lane = generator.uniform(*np.quantile(self.position[reached, 0], [0.05, 0.95]))
        near = reached[np.abs(self.position[reached, 0] - lane) < 2 * LANE]
        costs = self._costs(lane)
        here, now = int(generator.choice(near)), float(generator.uniform(0, 2.0))
        while True:
            far = near[np.abs(self.position[near, 1] - self.position[here, 1]) > self._far]
            _, before = dijkstra(costs, directed=False, indices=here, return_predecessors=True)
            way = _way(before, here, int(generator.choice(far)))
            for there in way:
                now += float(np.linalg.norm(self.position[there] - self.position[here])) / speed
                here = there
                yield Step(now, walker, here)

    @property
    def _far(self) -> float:
        low, high = self.stretch
        return (high - low) / 4

    def _costs(self, lane: float) -> csr_array:
        """Lengths of the edges, longer off the lane."""
        ends = self.position[self._edges]
        length = np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1)
        off = (ends[..., 0].mean(1) - lane) / LANE
        users = len(self.position)
        return csr_array((length * (1 + off**2), tuple(self._edges.T)), (users, users))


class Replay:
    """Walks through a store of paths, each step of which a server is asked to locate."""

    def __init__(
        self,
        store: PathStore,
        walks: Walks,
        channel: Channel,
        seed: int = 0,
    ) -> None:
        """Reads all paths of the store.

        Args:
            store: of paths.
            walks: among its users.
            channel: through which they are heard.
            seed: of the noise.
        """
        self.walks, self.channel, self.site = walks, channel, site_of(store)
        self._position = store.dataset["user_position"].values
        self._paths = store.links()
        self._generator = torch.Generator().manual_seed(seed)
        self._stations = len(self.site.stations)

    def question(self, step: Step) -> Question:
        """What the stations hear of a step, drawn anew, and where it was."""
        sounding = self.channel.sound(self._heard(step.row), self._generator)
        links = np.zeros(len(sounding), dtype=np.int64)
        walker = np.array([step.walker], dtype=np.int64)
        labels = Labels(walker, np.array([step.at]), walker)
        heard = Heard("replay", sounding, links, labels)
        return Question(heard, self.site, named=True, truth=self._position[[step.row]])

    async def run(self, service: Service) -> None:
        """Asks at the time of each step, for as long as the server runs."""
        begun = time.monotonic()
        asked: set[asyncio.Task[None]] = set()
        for step in self.walks.steps():
            ahead = step.at - (time.monotonic() - begun)
            if ahead > 0:
                await asyncio.sleep(ahead)
            elif ahead < -BEHIND:
                continue
            task = asyncio.create_task(self._ask(service, step))
            asked.add(task)
            task.add_done_callback(asked.discard)

    async def _ask(self, service: Service, step: Step) -> None:
        start = time.perf_counter()
        try:
            await service.fixed(self.question(step), start)
        except Refusal as refusal:
            # Others have filled the queue: a step less is shown.
            logging.getLogger(__name__).info("a step was left out: %s", refusal)

    def _heard(self, row: int) -> Paths:
        paths = self._paths[row * self._stations : (row + 1) * self._stations]
        return paths[paths.present.any(1)]


def usual(seed: int = 0) -> tuple[Scene, Replay]:
    """Twelve people on foot and two on bicycles in the street that the package carries."""
    store = open_paths(STORE)
    generator = np.random.default_rng(seed)
    speeds = (*generator.uniform(1.0, 1.7, 12), *generator.uniform(3.5, 5.5, 2))
    walks = Walks(store.dataset["user_position"].values[:, :2], tuple(map(float, speeds)), seed)
    channel = Channel(
        bandwidth=20e6,
        subcarriers=128,
        array=ula(32),
        snr_db=20.0,
        impairments=Impairments(common_phase=True),
    )
    low, high = walks.stretch
    scene = Scene.of(store, ABOUT)
    users = scene.users
    assert users is not None
    users[:, 1] = np.clip(users[:, 1], low, high)
    return scene, Replay(store, walks, channel, seed)


def _way(before: NDArray[np.int32], start: int, end: int) -> list[int]:
    """From a start, left out, to an end, by each place's predecessor."""
    way = [end]
    while way[-1] != start:
        way.append(int(before[way[-1]]))
    return way[-2::-1]
