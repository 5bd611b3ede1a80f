"""A link's waves followed through the map, for people to look at."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from radiofix.models.candidates import fanned, folded, likelier_side
from radiofix.models.echoes import Echoes, echoes, nearest_bearing, nearest_height
from radiofix.models.folds import unfolded
from radiofix.models.incoming import SIDES, incoming
from radiofix.models.kriging import to_scene
from radiofix.models.map_prompt import station_poses
from radiofix.models.site_map import NEAR, SiteMap
from radiofix.physics.panels import strongest_waves_of
from radiofix.types import Sounding


@dataclass(frozen=True, slots=True)
class FollowedWave:
    """Where one wave may have come from, in the scene's frame [m]."""

    folded: Float[Tensor, "point 2"]
    """From the station by the walls that it met to its end."""
    straight: Float[Tensor, "2"]
    """Its end without walls."""
    fanned: Float[Tensor, "way 2"]
    """Its ends if it turned aside at an edge."""


def followed_waves(
    sounding: Sounding, site_map: SiteMap, height: float, count: int = 3
) -> list[FollowedWave]:
    """The strongest waves of one link, the strongest first.

    Args:
        sounding: of the link.
        site_map: of its site.
        height: of the user (z in the scene) [m].
        count: of waves that are looked for.
    """
    if len(sounding) != 1:
        raise ValueError(f"waves are followed for one link at a time, got {len(sounding)}")
    poses, of = station_poses(sounding)
    seen = Echoes.stack([echoes(site_map.around(poses[0, :3], NEAR), poses[0], height)])
    found = strongest_waves_of(sounding, count)
    heights = sounding.station_position.new_full((1,), height)

    def scene(places: Float[Tensor, "place 2"]) -> Float[Tensor, "place 2"]:
        orientation = sounding.station_orientation.expand(len(places), 3)
        return to_scene(places.double(), orientation) + sounding.station_position[:, :2].double()

    told = []
    loudest = sorted(found, key=lambda wave: -float(wave.gain.abs()))
    heard = incoming(sounding, loudest, heights).present[0, ::SIDES]
    for wave in (one for one, there in zip(loudest, heard.tolist(), strict=True) if there):
        waves = incoming(sounding, [wave], heights)
        side = int(likelier_side(folded(waves, seen, of)))
        level, bearing = waves.level[0, side].float(), waves.bearing[0, side].float()
        if not level > 0:
            continue
        straight = unfolded(level, bearing)
        way = seen.ways[0, nearest_height(level), nearest_bearing(bearing)]
        aside, _ = fanned(waves, seen, of)
        kept = aside.present[0].view(SIDES, -1)[side]
        turned = aside.place[0].view(SIDES, -1, 2)[side][kept]
        told.append(
            FollowedWave(scene(way.bends(straight, level)), scene(straight[None])[0], scene(turned))
        )
    return told
