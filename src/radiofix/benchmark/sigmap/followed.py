"""Waves and the map, and no network: what an engineer with a plan of the city would do."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from radiofix.benchmark.runs.classical import Geometry, Known, area_of, height_of
from radiofix.benchmark.runs.learned import Learned
from radiofix.benchmark.runs.lessons import Lesson
from radiofix.benchmark.runs.outcomes import Run
from radiofix.benchmark.runs.site import Site
from radiofix.benchmark.runs.telling import map_of
from radiofix.models.candidates import folded, straight
from radiofix.models.echoes import Echoes, echoes
from radiofix.models.heads import Estimate
from radiofix.models.incoming import incoming
from radiofix.models.kriging import to_scene
from radiofix.models.map_prompt import station_poses
from radiofix.models.site_map import NEAR, SiteMap
from radiofix.physics.strongest import Wave
from radiofix.types import Sounding


@dataclass(frozen=True)
class Followed(Geometry):
    """The first wave of each link, followed to the walls that it meets and on from there."""

    def lesson(self, lesson: Lesson) -> Lesson | None:
        """Stations one by one, where the walls are known; none of the labels."""
        able = lesson.users.mapped and not lesson.question.together
        needed = super().lesson(lesson) if able else None
        return None if needed is None else replace(needed, map_error=lesson.map_error)

    def learn(self, run: Run, site: Site) -> Learned:
        """Takes the users' height and the walls from the store."""
        question, height = run.lesson.question, height_of(run, site)
        walls, known = Walls(map_of(run, site), height), Known(height, area=area_of(run, site))

        def answer(sounding: Sounding) -> object:
            wave = self.finder(sounding).first()
            lost = wave.delay.isnan()
            heard = Wave(wave.delay.nan_to_num(), wave.direction.nan_to_num(), wave.gain)
            placed = known.guessed(walls.place(sounding, heard).position, lost)
            return question.read(Estimate(placed), sounding)

        return Learned(answer)


class Walls:
    """The ways of waves to each station of a map, worked out when they are first asked for."""

    def __init__(self, site_map: SiteMap, height: float) -> None:
        """Takes the map, and the users' height [m]."""
        self.site_map, self.height = site_map, height
        self.known: dict[tuple[float, ...], Echoes] = {}

    def place(self, sounding: Sounding, wave: Wave) -> Estimate:
        """Where each wave has come from, if walls are mirrors.

        Of the two sides that the array takes for each other it is the front: to choose the other
        where that one has fewer walls, or is in sight alone, made its errors larger.
        """
        poses, of = station_poses(sounding)
        station = sounding.station_position.double()
        height = torch.full_like(station[:, 2], self.height)
        seen = incoming(sounding, [wave], height)
        own = straight(seen)
        ways = folded(seen, Echoes.stack([self._of(pose) for pose in poses]), of)
        level = torch.where(ways.present[..., None], ways.place, own.place)[:, 0].double()
        scene = to_scene(level, sounding.station_orientation)
        return Estimate(torch.cat([station[:, :2] + scene, height[:, None]], -1))

    def _of(self, pose: Float[Tensor, "6"]) -> Echoes:
        key = tuple(pose.tolist())
        if key not in self.known:
            near = self.site_map.around(pose[:3], NEAR)
            self.known[key] = echoes(near, pose, self.height)
        return self.known[key]
