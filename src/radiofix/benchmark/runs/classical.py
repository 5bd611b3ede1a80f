"""Methods without networks: waves and geometry, and fingerprints."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from radiofix.benchmark.runs.answers import Links
from radiofix.benchmark.runs.learned import Learned, Undemanding, held_out_links, labelled_links
from radiofix.benchmark.runs.lessons import Lesson, Trial
from radiofix.benchmark.runs.outcomes import Run
from radiofix.benchmark.runs.site import Site
from radiofix.classic.fingerprint import Fingerprint, Remembered, fit, join
from radiofix.classic.multilateration import Heard, Trust, multilaterate
from radiofix.classic.placing import place, place_within
from radiofix.classic.waves import Observed, Waves
from radiofix.data.store import open_paths
from radiofix.models.heads import Estimate
from radiofix.physics.rotation import rotation
from radiofix.physics.strongest import Wave
from radiofix.types import SPEED_OF_LIGHT, Sounding

Finder = Callable[[Sounding], Waves]


@dataclass(frozen=True)
class Known:
    """What geometry is told of users."""

    height: float
    """[m]."""
    offset: float = 0.0
    """Deviation of a user's clock [m]."""
    area: Float[Tensor, "2 2"] | None = None
    """Lowest x and y, highest x and y of the street that users are in [m]; None: anywhere."""
    front: bool = True
    """Whether none is told to stand behind a station."""

    def guessed(
        self, position: Float[Tensor, "link 3"], lost: Bool[Tensor, " link"]
    ) -> Float[Tensor, "link 3"]:
        """Where no wave was found, the middle of the street."""
        if self.area is None:
            return position
        middle = torch.nn.functional.pad(self.area.mean(0), (0, 1), value=self.height)
        return torch.where(lost[:, None], middle.to(position), position)


_NOTHING = -1e6
"""Logit of what does not count."""
_SOMEWHERE = 100.0
"""How far users are taken to be of whom a direction alone is told [m]."""

Placing = Callable[[Sounding, Wave, Known], Estimate]
"""Where the first wave of each link puts its user."""


def placed(sounding: Sounding, wave: Wave, known: Known) -> Estimate:
    """Each link by itself; of directions that look alike, by one that leads into the street."""
    lost = wave.delay.isnan() & wave.direction.isnan()
    # One subcarrier tells a direction and no delay: what is asked may be the direction.
    delay = torch.where(lost, 0.0, wave.delay.nan_to_num(_SOMEWHERE / SPEED_OF_LIGHT))
    told = (sounding, delay, wave.direction.nan_to_num())
    if known.area is None:
        return Estimate(place(*told, known.height))
    alias = Observed.of(sounding).direction_alias
    found = place_within(*told, alias, known.area, known.height)
    return Estimate(known.guessed(found, lost))


def averaged(sounding: Sounding, wave: Wave, known: Known) -> Estimate:
    """The plain mean over a user's stations, as in the paper."""
    alone = placed(sounding, wave, known)
    # A link without a wave says nothing.
    return replace(alone, logit=torch.where(wave.delay.isnan(), _NOTHING, 0.0).double())


def weighed_by_distance(sounding: Sounding, wave: Wave, known: Known) -> Estimate:
    """The mean with weights 1 / range^2: a wrong angle moves what is far away the more."""
    alone = placed(sounding, wave, known)
    ranges = (SPEED_OF_LIGHT * wave.delay.double()).clamp(min=1.0)
    return replace(alone, logit=(-2 * ranges.log()).nan_to_num(_NOTHING))


def multilaterated(sounding: Sounding, wave: Wave, known: Known) -> Estimate:
    """All ranges and directions of a user joined robustly, its clock's offset solved for.

    Who is heard by a single station is placed as anybody there, in its front.
    """
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
    trust = Trust(clock_offset=known.offset, front=known.front)
    found = multilaterate(heard, trust, known.height).position
    level = torch.nn.functional.pad(found, (0, 1), value=known.height)[row]
    level = known.guessed(level, level.isnan().any(-1))
    single = torch.bincount(row)[row] == 1
    level[single] = placed(sounding, wave, known).position[single]
    return Estimate(level, logit=torch.zeros_like(level[:, 0]))


def sided(known: Known, finder: Finder, links: Links) -> Known:
    """Whether users may stand behind stations: as brings some whose places are known nearer.

    It is not asked where the street does not reach behind any station.
    """
    heard = [(sounding, truth) for sounding, truth in links if _reaches_behind(sounding, known)]
    if not heard:
        return known
    waves = [finder(sounding).first() for sounding, _ in heard]

    def error(known: Known) -> float:
        found = [
            multilaterated(sounding, wave, known).position[:, :2] - truth.position[:, :2]
            for (sounding, truth), wave in zip(heard, waves, strict=True)
        ]
        return float(torch.cat(found).norm(dim=-1).mean())

    return min(known, replace(known, front=False), key=error)


def _reaches_behind(sounding: Sounding, known: Known) -> bool:
    if known.area is None:
        return False
    corner = torch.cartesian_prod(known.area[:, 0], known.area[:, 1]).double()
    ahead = rotation(sounding.station_orientation.double())[:, :2, 0]
    away = corner[:, None] - sounding.station_position[:, :2].double()
    return bool(((away * ahead).sum(-1) < 0).any())


@dataclass(frozen=True)
class Geometry(Undemanding):
    """The first wave of each link, and where it puts the user; no label is used."""

    name: str
    finder: Finder
    together: Placing = multilaterated
    """With several stations."""
    only_together: bool = False
    """Whether one station alone is another method's row."""
    family: str = "geometry"

    def lesson(self, lesson: Lesson) -> Lesson | None:
        """None of the labels; it has nothing to gain from many patterns of pilots."""
        several = len(lesson.pilots) > 1
        skipped = self.only_together and not lesson.question.together
        return None if several or skipped else replace(lesson, labels=0, map_error=0.0)

    def learn(self, run: Run, site: Site) -> Learned:
        """Takes the height of users and the street's extent from the store.

        Nothing else, but of several stations whether users stand behind them, which validation
        users tell.
        """
        question = run.lesson.question
        placing = self.together if question.together else placed
        deviation = SPEED_OF_LIGHT * run.lesson.clock
        known = Known(height_of(run, site), deviation, area_of(run, site))
        if question.together and self.together is multilaterated:
            asked = Trial(run.lesson.stations, run.lesson.pilots[0])
            known = sided(known, self.finder, held_out_links(run, asked, site, "validation"))

        def answer(sounding: Sounding) -> object:
            return question.read(placing(sounding, self.finder(sounding).first(), known), sounding)

        return Learned(answer)


@dataclass(frozen=True)
class Lookup(Undemanding):
    """The nearest labelled channels: of one station, or of all of a user's at once."""

    name: str = "kNN"
    family: str = "lookup"

    def lesson(self, lesson: Lesson) -> Lesson | None:
        """The lesson as it is, of one pattern of pilots."""
        return None if len(lesson.pilots) > 1 else lesson

    def hears(self, lesson: Lesson, test: Trial) -> bool:
        """Stations whose channels it has looked at: it knows nothing of others."""
        return set(test.stations) <= set(lesson.stations)

    def learn(self, run: Run, site: Site) -> Learned:
        """Keeps labelled channels."""
        lesson = run.lesson
        labelled = labelled_links(run, site)
        test = Trial(lesson.stations, lesson.pilots[0])
        asked = held_out_links(run, test, site, "validation")
        prints: dict[int, Remembered] = {}
        positions = []
        # One station at a time: the channels of several take gigabytes.
        for station in site.columns(lesson):
            known, aside = _of(station, labelled), _of(station, asked)
            if known is not None:
                positions.append(known[1])
            if known is not None and aside is not None:
                found = fit(*known, *aside, seed=run.seed)
                prints[station] = Remembered.of(found, *known)
        middle = torch.cat(positions).double().mean(0)
        if lesson.question.together:
            return _joint(prints, asked, middle, lesson)
        alone = {station: known.fingerprint for station, known in prints.items()}

        def answer(sounding: Sounding) -> object:
            return lesson.question.read(_looked_up(alone, sounding, middle), sounding)

        errors = [fingerprint.validation_error for fingerprint in alone.values()]
        return Learned(answer, validation=float(np.mean(errors)))


def _joint(
    prints: Mapping[int, Remembered], asked: Links, middle: Float[Tensor, "3"], lesson: Lesson
) -> Learned:
    """Looks users up by all their stations at once."""
    heard = Sounding.join([sounding for sounding, _ in asked])
    joint = join(prints, heard, torch.cat([truth.position for _, truth in asked]))

    def answer(sounding: Sounding) -> object:
        found = joint.locate(sounding)
        found = torch.where(found.isnan(), middle.to(found), found)
        estimate = Estimate(found, logit=torch.zeros_like(found[:, 0]))
        return lesson.question.read(estimate, sounding)

    return Learned(answer, validation=joint.validation_error)


def _looked_up(
    prints: dict[int, Fingerprint], sounding: Sounding, middle: Float[Tensor, "3"]
) -> Estimate:
    """By each link's station; one that no labelled user was heard by tells of the middle alone."""
    position = middle.to(sounding.station_position).expand(len(sounding), 3).clone().double()
    for station in sorted(set(torch.unique(sounding.station).tolist()) & set(prints)):
        links = sounding.station == station
        found = prints[station].locate(sounding[links])
        position[links] = found
    return Estimate(position)


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


def height_of(run: Run, site: Site) -> float:
    """Of the store's users, over whom it hardly changes [m]."""
    dataset = open_paths(site.store(run.lesson.users)).dataset
    return float(np.nanmedian(dataset["user_position"].values[:, 2]))


def area_of(run: Run, site: Site) -> Float[Tensor, "2 2"]:
    """The upright rectangle that the store's users stand in: as much as a street map says [m]."""
    level = open_paths(site.store(run.lesson.users)).dataset["user_position"].values[:, :2]
    return torch.from_numpy(np.stack([np.nanmin(level, 0), np.nanmax(level, 0)]))
