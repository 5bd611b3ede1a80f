"""Whether a map's walls bring a user's waves together: the one trace of it that channels hold.

Two waves of a link come from one user. Each is followed to the walls, which fold its way as mirrors
do, and if the map is right both end at one place. Walls that are elsewhere, mirrored, in another
unit or of another city bring nothing together but by chance. No true place is needed for that.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from radiofix.models.echoes import BOUNCES, ground
from radiofix.models.folds import before, follow, unfolded
from radiofix.models.incoming import SIDES, Incoming, incoming
from radiofix.models.map_prompt import station_poses
from radiofix.models.site_map import SiteMap
from radiofix.models.surroundings import in_frame
from radiofix.physics.panels import strongest_waves_of
from radiofix.physics.strongest import Wave
from radiofix.types import HANDHELD, Sounding

WAVES = 4
"""Of a link that are looked for, the strongest."""
QUIET, LOUD = 0.1, 4.0
"""Amplitudes over free space's that a clear wave has: the quieter are bent round edges, and where
the strongest is louder the channels are not absolute."""
BESIDE = 0.1
"""A clear wave has so much of the strongest's amplitude."""
APART = 20.0
"""Two waves whose straight ways end nearer to each other go the same way, whatever the map [m]."""
TOGETHER = 2.0
"""Waves that end this near to each other come from one user [m]."""
ENOUGH, FEW = 20, 10
"""Fewer links than the first say nothing of a map, fewer than the second nothing of a station."""
RIGHT = 0.3
"""Share of links, the mean over stations, whose waves a right map brings together. Of eight cities
the right maps came to 0.42 to 0.93, with few antennas and in noise to 0.31; mirrored ones, turned
ones and those in feet to 0.03 at the most, those 20 and 30 m off to 0.30. O1's moved along its
street, whose fronts go on as they are, is as good as the right one."""


@dataclass(frozen=True, slots=True)
class Clear:
    """Links with two clear waves that come by different ways."""

    station: Int[Tensor, " link"]
    """Which of the distinct stations hears each."""
    met: Bool[Tensor, " link"]
    """Whether two of its waves end at one place."""

    @property
    def told(self) -> int:
        """Links of stations that have enough of them."""
        return sum(len(one) for one in self._each)

    @property
    def share(self) -> float:
        """Of the links whose waves meet, the mean over stations with links enough; NaN: none."""
        means = [one.mean() for one in self._each]
        return float(torch.stack(means).mean()) if means else math.nan

    @property
    def _each(self) -> list[Float[Tensor, " link"]]:
        """Whether waves met, of each station with links enough."""
        each = [self.met[self.station == s].double() for s in torch.unique(self.station)]
        return [one for one in each if len(one) >= FEW]


def expect_waves(
    name: str, site_map: SiteMap, sounding: Sounding, wavelength: Float[Tensor, " link"]
) -> None:
    """Holds a map against channels, and warns in one line where they do not bear it out.

    Args:
        name: by which messages call the map.
        site_map: in metres.
        sounding: of some hundred links.
        wavelength: of each [m].
    """
    clear = clear_links(site_map, sounding, wavelength)
    links, share = clear.told, clear.share
    if links < ENOUGH:
        warnings.warn(
            f"{name} is not held against the channels: {links} of {len(sounding)} links have two "
            f"clear waves by different ways, at stations with {FEW} of them: {ENOUGH} are "
            "needed",
            stacklevel=3,
        )
    elif share < RIGHT:
        warnings.warn(
            f"{name}: walls of the map bring two waves of a user together on {share:.1%} of the "
            f"links, a right map's on {RIGHT:.0%} and more: it is shifted, mirrored, in another "
            "unit or of another place, or the channels' delays and amplitudes are not absolute",
            stacklevel=3,
        )


def clear_links(site_map: SiteMap, sounding: Sounding, wavelength: Float[Tensor, " link"]) -> Clear:
    """Which links have two clear waves, and whether the map's walls bring these together."""
    found = strongest_waves_of(sounding, WAVES)
    poses, of = station_poses(sounding)
    parts = [site_map.around(pose[:3]) for pose in poses]
    grounds = [ground(near, pose) for near, pose in zip(parts, poses, strict=True)]
    height = torch.tensor(grounds, dtype=torch.float64)[of] + HANDHELD
    waves = incoming(sounding, found, height)
    pairs = _pairs(waves, _are_clear(found, wavelength))
    met = torch.zeros(len(sounding), dtype=torch.bool)
    chosen = pairs.flatten(1).any(1)
    for number, (near, pose) in enumerate(zip(parts, poses, strict=True)):
        rows = torch.where(chosen & (of == number))[0]
        rise = (height[rows] - pose[2])[:, None]
        ends = _ends(near, pose, waves.level[rows], waves.bearing[rows], rise)
        met[rows] = _meet(ends, pairs[rows])
    return Clear(of[chosen], met[chosen])


def _are_clear(found: list[Wave], wavelength: Float[Tensor, " link"]) -> Bool[Tensor, "link wave"]:
    """Waves that are loud by themselves and beside the strongest."""
    size = torch.stack([wave.gain.abs().double() for wave in found], 1)
    length = torch.stack([wave.range.double() for wave in found], 1)
    over = 4 * math.pi * size * length / wavelength[:, None]
    strongest = size.amax(1, keepdim=True)
    absolute = over.gather(1, size.argmax(1, keepdim=True)) < LOUD
    clear: Tensor = (over > QUIET) & (size > BESIDE * strongest) & absolute
    return clear


def _pairs(waves: Incoming, clear: Bool[Tensor, "link wave"]) -> Bool[Tensor, "link wave wave"]:
    """Two clear waves each that come by different ways."""
    front = unfolded(waves.level[:, ::SIDES], waves.bearing[:, ::SIDES])
    apart = (front[:, :, None] - front[:, None]).norm(dim=-1) > APART
    pairs: Tensor = apart & clear[:, :, None] & clear[:, None]
    return pairs


def _ends(
    near: SiteMap,
    pose: Float[Tensor, "6"],
    level: Float[Tensor, "link way"],
    bearing: Float[Tensor, "link way"],
    rise: Float[Tensor, "link 1"],
) -> Float[Tensor, "link way 2"]:
    """Where ways end among the walls, in the station's frame; NaN where that is not known [m]."""
    walls, levels = in_frame(near, pose)
    length = level.float().clamp(min=1.0).flatten()
    heading = unfolded(torch.ones_like(length), bearing.float().flatten())
    falling = rise.float().expand(level.shape).flatten() / length
    start, begun = torch.zeros_like(heading), torch.zeros_like(length)
    folds, _ = follow(walls.float(), levels.float(), start, heading, falling, begun, BOUNCES)
    place = folds.fold(length[:, None] * heading, length)
    known = before(folds.until, length)
    return place.masked_fill(~known[:, None], torch.nan).view(*level.shape, 2)


def _meet(
    ends: Float[Tensor, "link way 2"], pairs: Bool[Tensor, "link wave wave"]
) -> Bool[Tensor, " link"]:
    """Whether two waves of a pair end at one place, each from either of its sides."""
    near = (ends[:, :, None] - ends[:, None]).norm(dim=-1) < TOGETHER
    both = pairs.repeat_interleave(SIDES, 1).repeat_interleave(SIDES, 2)
    met: Tensor = (near & both).flatten(1).any(1)
    return met
