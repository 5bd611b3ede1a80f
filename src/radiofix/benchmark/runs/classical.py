"""Methods without networks: waves and geometry, and fingerprints."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from radiofix.benchmark.runs.answers import Links
from radiofix.benchmark.runs.learned import Learned, held_out_links, labelled_links
from radiofix.benchmark.runs.lessons import Lesson, Trial
from radiofix.benchmark.runs.outcomes import Run
from radiofix.benchmark.runs.scales import Scale
from radiofix.benchmark.runs.site import Site
from radiofix.classic.fingerprint import Fingerprint, fit
from radiofix.classic.multilateration import Heard, Trust, multilaterate
from radiofix.classic.placing import place
from radiofix.classic.waves import Waves
from radiofix.data.store import open_paths
from radiofix.models.heads import Estimate
from radiofix.physics.strongest import Wave
from radiofix.types import SPEED_OF_LIGHT, Sounding

LEAST = -20.0
"""Logit of a station that has nothing to say."""
Finder = Callable[[Sounding], Waves]
OFFSETS = 3.0
"""Deviations of a user's clock that its offset is looked for within."""


@dataclass(frozen=True)
class Known:
    """What geometry is told of users."""

    height: float
    """[m]."""
    offset: float = 0.0
    """Largest that a user's clock may be off by [m]."""


Placing = Callable[[Sounding, Wave, Known], Estimate]
"""Where the first wave of each link puts its user."""


def placed(sounding: Sounding, wave: Wave, known: Known) -> Estimate:
    """Each link by itself."""
    return Estimate(place(sounding, wave.delay, wave.direction, known.height))


def averaged(sounding: Sounding, wave: Wave, known: Known) -> Estimate:
    """The plain mean over a user's stations, as in the paper."""
    alone = placed(sounding, wave, known)
    return replace(alone, logit=torch.zeros_like(alone.position[:, 0]))


def weighed_by_distance(sounding: Sounding, wave: Wave, known: Known) -> Estimate:
    """The mean with weights 1 / range^2: a wrong angle moves what is far away the more."""
    alone = placed(sounding, wave, known)
    ranges = (SPEED_OF_LIGHT * wave.delay.double()).clamp(min=1.0)
    return replace(alone, logit=-2 * ranges.log())


def multilaterated(sounding: Sounding, wave: Wave, known: Known) -> Estimate:
    """All ranges and directions of a user joined robustly, its clock's offset solved for."""
    users, row = torch.unique(sounding.user, return_inverse=True)
    stations, column = torch.unique(sounding.station, return_inverse=True)
    position = sounding.station_position.new_zeros(len(stations), 3)
    orientation = torch.zeros_like(position)
    position[column] = sounding.station_position
    orientation[column] = sounding.station_orientation
    told = position.new_full((2, len(users), len(stations)), torch.nan, dtype=torch.float64)
    told[0, row, column] = SPEED_OF_LIGHT * wave.delay.double()
    told[1, row, column] = wave.direction.double()
    heard = Heard(told[0], told[1], position, orientation)
    trust = Trust(clock_offset=known.offset)
    found = multilaterate(heard, trust, known.height).position
    level = torch.nn.functional.pad(found, (0, 1), value=known.height)[row]
    return Estimate(level, logit=torch.zeros_like(level[:, 0]))


@dataclass(frozen=True)
class Geometry:
    """The first wave of each link, and where it puts the user; no label is used."""

    name: str
    finder: Finder
    together: Placing = multilaterated
    """With several stations."""
    only_together: bool = False
    """Whether one station alone is another method's row."""
    family: str = "geometry"

    def lacks(self, site: Site) -> str | None:
        """It needs nothing."""
        return None

    def lesson(self, lesson: Lesson) -> Lesson | None:
        """None of the labels; it has nothing to gain from many patterns of pilots."""
        several = len(lesson.pilots) > 1
        skipped = self.only_together and not lesson.question.together
        return None if several or skipped else replace(lesson, labels=0)

    def seeds(self, seeds: Sequence[int]) -> Sequence[int]:
        """One: nothing is drawn."""
        return seeds[:1]

    def rates(self, rates: Sequence[float]) -> Sequence[float | None]:
        """None."""
        return (None,)

    def hears(self, lesson: Lesson, test: Trial) -> bool:
        """Anything."""
        return True

    def most(self, scale: Scale) -> int:
        """All."""
        return scale.test_users

    def learn(self, run: Run, site: Site) -> Learned:
        """Takes the height of users, and nothing else, from the store."""
        question = run.lesson.question
        placing = self.together if question.together else placed
        known = Known(_height(run, site), OFFSETS * SPEED_OF_LIGHT * run.lesson.clock)

        def answer(sounding: Sounding) -> object:
            return question.read(placing(sounding, self.finder(sounding).first(), known), sounding)

        return Learned(answer)


@dataclass(frozen=True)
class Lookup:
    """The nearest labelled channels, station by station."""

    name: str = "kNN"
    family: str = "lookup"

    def lacks(self, site: Site) -> str | None:
        """It needs nothing."""
        return None

    def lesson(self, lesson: Lesson) -> Lesson | None:
        """The lesson as it is, of one pattern of pilots."""
        return None if len(lesson.pilots) > 1 else lesson

    def seeds(self, seeds: Sequence[int]) -> Sequence[int]:
        """All: they draw the labelled users."""
        return seeds

    def rates(self, rates: Sequence[float]) -> Sequence[float | None]:
        """None."""
        return (None,)

    def hears(self, lesson: Lesson, test: Trial) -> bool:
        """Stations whose channels it has looked at: it knows nothing of others."""
        return set(test.stations) <= set(lesson.stations)

    def most(self, scale: Scale) -> int:
        """All."""
        return scale.test_users

    def learn(self, run: Run, site: Site) -> Learned:
        """Keeps labelled channels; a station counts by the inverse square of its own error."""
        lesson = run.lesson
        labelled = labelled_links(run, site)
        test = Trial(lesson.stations, lesson.pilots[0])
        asked = held_out_links(run, test, site, "validation")
        prints, positions = {}, []
        # One station at a time: the channels of several take gigabytes.
        for station in site.columns(lesson):
            known, aside = _of(station, labelled), _of(station, asked)
            if known is not None:
                positions.append(known[1])
            if known is not None and aside is not None:
                prints[station] = fit(*known, *aside, seed=run.seed)
        middle = torch.cat(positions).double().mean(0)
        errors = [fingerprint.validation_error for fingerprint in prints.values()]

        def answer(sounding: Sounding) -> object:
            return lesson.question.read(_looked_up(prints, sounding, middle), sounding)

        return Learned(answer, validation=float(np.mean(errors)))


def _looked_up(
    prints: dict[int, Fingerprint], sounding: Sounding, middle: Float[Tensor, "3"]
) -> Estimate:
    """By each link's station; one that no labelled user was heard by tells of the middle alone."""
    position = middle.to(sounding.station_position).expand(len(sounding), 3).clone().double()
    logit = position.new_full((len(sounding),), LEAST)
    for station in sorted(set(torch.unique(sounding.station).tolist()) & set(prints)):
        links = sounding.station == station
        found = prints[station].locate(sounding[links])
        position[links] = found
        logit[links] = -2 * math.log(max(prints[station].validation_error, 1e-3))
    return Estimate(position, logit=logit)


def _of(station: int, links: Links) -> tuple[Sounding, Float[Tensor, "link 3"]] | None:
    """The links to a station, and where their users are; None: there are none."""
    own = [
        (sounding[here], truth.position[here])
        for sounding, truth in links
        if (here := sounding.station == station).any()
    ]
    if not own:
        return None
    return Sounding.join([sounding for sounding, _ in own]), torch.cat([where for _, where in own])


def _height(run: Run, site: Site) -> float:
    """Of the store's users, over whom it hardly changes [m]."""
    dataset = open_paths(site.store(run.lesson.users)).dataset
    return float(np.nanmedian(dataset["user_position"].values[:, 2]))
