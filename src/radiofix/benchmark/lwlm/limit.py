"""What channels allow, and what a survey of every place would: posterior means over a grid."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial import KDTree
from torch import Tensor

from radiofix.benchmark.runs.learned import Learned
from radiofix.benchmark.runs.lessons import NOISE_FIGURE_DB, Lesson, Trial
from radiofix.benchmark.runs.outcomes import Run
from radiofix.benchmark.runs.questions import POSITION
from radiofix.benchmark.runs.recipes import asked_receiver
from radiofix.benchmark.runs.scales import Scale
from radiofix.benchmark.runs.site import Site
from radiofix.classic.posterior import Places, noise_of_snr, posterior
from radiofix.data.store import PathStore, open_paths
from radiofix.models.heads import Estimate
from radiofix.physics.impairments import noise_variance
from radiofix.training.pool import HeldPool
from radiofix.training.users import station_columns
from radiofix.types import Sounding

LIMIT, SURVEY = "limit", "survey"
"""Names in tables."""
BLOCK = 512
"""Places whose channels are in memory at a time."""
LOOKED_AT = 2_000
"""Users by whose neighbours a store is judged dense."""


@dataclass(frozen=True)
class Limit:
    """A fingerprint that knows the channel of every place of the store, and the noise.

    With the user's own place among them no method has a smaller root mean square for users of the
    store: the noise alone makes errors. Without it, what a survey as dense as the store leaves.
    """

    name: str = LIMIT
    own: bool = True
    """Whether the user's own place is among those that are known."""
    family: str = "lookup"

    def lacks(self, site: Site) -> str | None:
        """A dense store: over a thin one each user is told by its own channel alone."""
        away = _spacing(site.stores["o1"])
        if away <= site.scale.grid_spacing:
            return None
        most = site.scale.grid_spacing
        return f"users of the store are {away:.1f} m apart, {most:g} m at most make a grid"

    def lesson(self, lesson: Lesson) -> Lesson | None:
        """None of the labels, where there is noise and no fault that it would have to know."""
        alike = lesson.question == POSITION and len(lesson.stations) == len(lesson.pilots) == 1
        return replace(lesson, labels=0) if alike and lesson.noisy and not lesson.clock else None

    def seeds(self, seeds: Sequence[int]) -> Sequence[int]:
        """The first: nothing is learnt, and each takes minutes."""
        return seeds[:1]

    def rates(self, scale: Scale) -> Sequence[float | None]:
        """None."""
        return (None,)

    def hears(self, lesson: Lesson, test: Trial) -> bool:
        """The station of the lesson."""
        return test.stations == lesson.stations

    def most(self, scale: Scale) -> int:
        """Some: each is held against every place of the store."""
        return scale.limit_users

    def learn(self, run: Run, site: Site) -> Learned:
        """Takes the links of all places, without noise."""
        lesson = run.lesson
        store = open_paths(site.store(lesson.users))
        columns = station_columns(store, lesson.stations)
        pool = HeldPool(store, np.arange(store.users), columns, site.device)

        def answer(sounding: Sounding) -> Estimate:
            noise = _noise(lesson, sounding)
            left_out = None if self.own else sounding.user
            found = posterior(sounding.csi, noise, _grid(pool, lesson), left_out)
            return Estimate(found.position)

        return Learned(answer)


@lru_cache(maxsize=8)
def _spacing(path: str) -> float:
    return spacing(open_paths(path))


def spacing(store: PathStore) -> float:
    """Median distance of a user from its nearest neighbour [m]."""
    position = store.dataset["user_position"].values[:, :2]
    some = np.random.default_rng(0).permutation(position)[:LOOKED_AT]
    return float(np.median(KDTree(position).query(some, 2)[0][:, 1]))


def _noise(lesson: Lesson, sounding: Sounding) -> Float[Tensor, " link"]:
    """Variance that the receiver knows of."""
    if lesson.snr_db is not None:
        return noise_of_snr(sounding.csi, lesson.snr_db)
    assert lesson.power_dbm is not None
    subcarriers = sounding.csi.shape[2]
    each = (sounding.bandwidth / subcarriers).double()
    return noise_variance(each, subcarriers, lesson.power_dbm, NOISE_FIGURE_DB)


def _grid(pool: HeldPool, lesson: Lesson) -> Iterator[Places]:
    """Channels of all places as the lesson's receiver would have them without noise."""
    receiver = asked_receiver(lesson, Trial(lesson.stations, lesson.pilots[0]))
    channel = receiver.channel(lesson.bandwidth, None).noiseless
    places = pool.reachable[:, 0].nonzero()[:, 0]
    for some in torch.split(places, BLOCK):
        paths = receiver.chosen(pool.take(some, torch.zeros_like(some)))
        yield Places(channel.synthesize(paths), paths.user_position, paths.user)
