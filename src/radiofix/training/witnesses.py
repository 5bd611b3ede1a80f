"""Where the users of a pool were, as several stations together tell: no label is looked at."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float
from torch import Tensor

from radiofix.classic.multilateration import Heard, Placed, Trust, multilaterate
from radiofix.physics.panels import in_line
from radiofix.physics.strongest import strongest_wave
from radiofix.training.batches import Receiver
from radiofix.training.pool import Pool
from radiofix.types import HANDHELD, Sounding

_TOGETHER = 512
"""Users that are placed at a time."""


@dataclass(frozen=True)
class Witnesses:
    """How stations are asked, and whom to believe."""

    kept: float = 0.9
    """Share of users whose place is taken: those on whom stations agree best."""
    trust: Trust = field(default_factory=Trust)
    """How far ranges and directions may be off."""
    height: float = HANDHELD
    """Of users in the scene [m]."""

    def __post_init__(self) -> None:
        if not 0 < self.kept <= 1:
            raise ValueError(f"kept must be above 0 and at most 1, got {self.kept:g}")

    def places(self, pool: Pool, receiver: Receiver, seed: int) -> Float[Tensor, "user 3"]:
        """Each user's place by all its stations at the widest bandwidth [m]; NaN: not known.

        Args:
            pool: whose users and stations.
            receiver: of the channels, with its noise and faults.
            seed: of noise and faults.
        """
        generator = torch.Generator(pool.reachable.device).manual_seed(seed)
        users = torch.arange(len(pool.reachable), device=pool.reachable.device)
        placed = [
            multilaterate(self._heard(user, pool, receiver, generator), self.trust, self.height)
            for user in torch.split(users, _TOGETHER)
        ]
        return self._believed(placed)

    def _believed(self, placed: list[Placed]) -> Float[Tensor, "user 3"]:
        cost = torch.cat([p.cost for p in placed])
        position = torch.cat([p.position for p in placed])
        known = cost.isfinite()
        if not bool(known.any()):
            raise ValueError("no user was heard by any station: there is nobody to place")
        kept = known & (cost <= cost[known].quantile(self.kept))
        place = torch.nn.functional.pad(position, (0, 1), value=self.height)
        return place.masked_fill(~kept[:, None], torch.nan)

    def _heard(
        self, user: Tensor, pool: Pool, receiver: Receiver, generator: torch.Generator
    ) -> Heard:
        reachable = pool.reachable[user]
        row, station = reachable.nonzero(as_tuple=True)
        links = pool.take(user[row], station)
        widest = replace(receiver, bandwidths=(max(receiver.bandwidths),), pilots=None)
        sounding = widest.sound(links, torch.zeros_like(row), generator)
        line = in_line(sounding)
        wave = strongest_wave(line.csi, line.frequency, line.antenna)
        unheard = torch.full(reachable.shape, torch.nan, dtype=torch.float64, device=row.device)
        position, orientation = _stations(sounding, station, reachable.shape[1])
        return Heard(
            range=unheard.index_put((row, station), wave.range.double()),
            direction=unheard.index_put((row, station), wave.direction.double()),
            position=position,
            orientation=orientation,
        )


def _stations(
    sounding: Sounding, station: Tensor, count: int
) -> tuple[Float[Tensor, "station 3"], Float[Tensor, "station 3"]]:
    """Where each station stands and looks; one that heard nobody stands anywhere."""
    nowhere = torch.zeros(count, 3, dtype=torch.float64, device=station.device)
    return (
        nowhere.index_put((station,), sounding.station_position.double()),
        nowhere.index_put((station,), sounding.station_orientation.double()),
    )
