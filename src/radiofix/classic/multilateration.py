"""Where several stations together place a user: ranges and directions, robustly joined.

Ways round a corner are too long, never too short, so a range that is longer than the others say
costs little, a shorter one much; a direction that does not fit costs little either way. Where all
is believed in (`Trust(robust=False)`), what is found is the weighted least squares of ranges and of
directions (each as its nearest alias), from starts in front of the stations.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from radiofix.physics.rotation import rotation, unit_vector
from radiofix.types import HANDHELD

_AZIMUTHS = 17
"""Directions tried from each station, over its front; all round twice as many."""
_STARTS, _STARTS_UNSURE = 4, 8
"""Best of all places tried that are refined; where clocks may be off, or users behind stations."""
_STEPS = 12
"""Of Levenberg and Marquardt."""
_OFFSETS = 7
"""Clock offsets tried, where there may be any,"""
_REACH = 3.0
"""up to so many of their deviations."""
_WIDE = 50.0
"""Deviation of clocks beyond which a few offsets tried leave gaps: places are tried instead [m]."""
_ALONG, _ALL_OVER = 24, 24
"""Places tried along each direction, and on each side of a square about the stations."""
_NEAREST, _AROUND = 3.0, 100.0
"""The nearest place along a direction, and how far about the stations places are tried at least
[m]."""
_ALIASED = 1.0
"""Cost of a direction that is an alias away from the one told: alike, but the other was told."""
_BEHIND = 10.0
"""Cost of standing behind a station that does not look there,"""
_UNLIKELY = 1.0
"""and of standing there where it may be heard as well."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What the stations of a scene tell of users; NaN where a station did not hear one."""

    range: Float[Tensor, "user station"]
    """Length of the first way [m]."""
    direction: Float[Tensor, "user station"]
    """Cosine of the angle to the array's y axis, as of `strongest_wave`."""
    position: Float[Tensor, "station 3"]
    """Of the stations [m]."""
    orientation: Float[Tensor, "station 3"]
    """Yaw, pitch, roll [rad]."""
    range_deviation: Float[Tensor, "user station"] | None = None
    """Of each range, as of a bound at its SNR [m]; None: that of `Trust`, of all alike."""
    direction_deviation: Float[Tensor, "user station"] | None = None
    """Of each direction's cosine; None: that of `Trust`."""

    def __getitem__(self, users: slice) -> Heard:
        """What is told of some users."""
        told = (self.range, self.direction, self.range_deviation, self.direction_deviation)
        ranges, directions, *deviations = (None if t is None else t[users] for t in told)
        assert ranges is not None
        assert directions is not None
        return Heard(ranges, directions, self.position, self.orientation, *deviations)


@dataclass(frozen=True)
class Trust:
    """How far what is heard may be off."""

    range: float = 0.7
    """Deviation [m]."""
    direction: float = 0.03
    """Deviation of the cosine."""
    clock_offset: float = 0.0
    """Deviation of a user's clock, whose offset is the same to all stations and solved for [m]; 0:
    there is none."""
    alias: float = 2.0
    """Cosines so far apart look alike: the wavelength over the antennas' distance."""
    front: bool = True
    """Whether stations serve only what is in front of them: a line array cannot tell. Otherwise the
    front is what is taken where a place behind fits no better."""
    robust: bool = True
    """Whether what does not fit costs little; otherwise its square, as in least squares."""

    def __post_init__(self) -> None:
        for name in ("range", "direction", "alias"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name):g}")
        if self.clock_offset < 0:
            raise ValueError(f"clock_offset must be at least 0, got {self.clock_offset:g}")


@dataclass(frozen=True, slots=True)
class Placed:
    """Where users are."""

    position: Float[Tensor, "user 2"]
    """NaN where no station heard the user [m]."""
    covariance: Float[Tensor, "user 2 2"]
    """Of the position, by the curvature of the cost [m^2]."""
    offset: Float[Tensor, " user"]
    """Of the user's clock [m]."""
    cost: Float[Tensor, " user"]
    """How badly the stations agree: 0 where all fit."""


def multilaterate(heard: Heard, trust: Trust | None = None, height: float = HANDHELD) -> Placed:
    """The place of least cost for each user, from many starts.

    Args:
        heard: by each station.
        trust: how far it may be off.
        height: of the users in the scene [m].
    """
    problem = _Problem(heard, trust or Trust(), height)
    state, cost = problem.starts()
    sure = problem.trust.front and not problem.trust.clock_offset
    starts = _STARTS if sure else _STARTS_UNSURE
    state, cost = problem.refined(state, cost, starts)
    users = torch.arange(len(state), device=state.device)
    chosen = cost.argmin(1)
    place, lowest = state[users, chosen], cost[users, chosen]
    unheard = ~problem.heard_at_all
    return Placed(
        position=place[:, :2].masked_fill(unheard[:, None], torch.nan),
        covariance=problem.covariance(place).masked_fill(unheard[:, None, None], torch.nan),
        offset=place[:, 2].masked_fill(unheard, torch.nan),
        cost=lowest.masked_fill(unheard, torch.inf),
    )


class _Problem:
    """Residuals of places (x, y, clock offset), their robust cost, and steps downhill."""

    def __init__(self, heard: Heard, trust: Trust, height: float) -> None:
        self.trust = trust
        self.range, self.direction = heard.range.double(), heard.direction.double()
        self.has_range, self.has_direction = self.range.isfinite(), self.direction.isfinite()
        self.certain_of_range = _certainty(self.has_range, heard.range_deviation, trust.range)
        self.certain_of_direction = _certainty(
            self.has_direction, heard.direction_deviation, trust.direction
        )
        self.heard_at_all: Bool[Tensor, " user"] = (self.has_range | self.has_direction).any(-1)
        self.range = self.range.nan_to_num()
        self.direction = self.direction.nan_to_num()
        self.station = heard.position.double()
        self.turn = rotation(heard.orientation.double())
        self.height = height

    def starts(self) -> tuple[Float[Tensor, "user start 3"], Float[Tensor, "user start"]]:
        """Where to begin: where each station tells, and all about if this leaves much open.

        Returns:
            The places and their cost.
        """
        state = self._round()
        cost = self.cost(state)
        without = (self.has_direction & ~self.has_range).any(1)
        if bool(without.any()):
            along = self._at_best_offset(self._along())
            # Of whom every range is known, nobody is looked for elsewhere.
            dear = self.cost(along).masked_fill(~without[:, None], torch.inf)
            state, cost = torch.cat([state, along], 1), torch.cat([cost, dear], 1)
        if self.trust.clock_offset > _WIDE:
            anywhere = self._at_best_offset(self._all_over().expand(len(self.range), -1, 2))
            # Between those places all ranges look like liars: at first each is believed less.
            easier = self._eased()
            ends, _ = easier.refined(anywhere, easier.cost(anywhere), _STARTS_UNSURE)
            state, cost = torch.cat([state, ends], 1), torch.cat([cost, self.cost(ends)], 1)
        return state, cost

    def refined(
        self,
        state: Float[Tensor, "user start 3"],
        cost: Float[Tensor, "user start"],
        starts: int,
    ) -> tuple[Float[Tensor, "user best 3"], Float[Tensor, "user best"]]:
        """Where the best of all places lead to, and what it costs there."""
        best = cost.topk(min(starts, cost.shape[1]), dim=1, largest=False).indices
        state = state.gather(1, best[..., None].expand(-1, -1, state.shape[-1]))
        cost = cost.gather(1, best)
        damping = torch.full_like(cost, 1e-2)
        for _ in range(_STEPS):
            trial = state + self.step(state, damping)
            trial_cost = self.cost(trial)
            better = trial_cost < cost
            state = torch.where(better[..., None], trial, state)
            cost = torch.where(better, trial_cost, cost)
            damping = torch.where(better, damping * 0.3, damping * 5).clamp(1e-9, 1e9)
        return state, cost

    def _eased(self) -> _Problem:
        """The same with deviations at least as large as places tried lie apart."""
        _, size = self._extent()
        eased = copy.copy(self)
        eased.certain_of_range = self.certain_of_range.clamp(max=_ALL_OVER / (2 * size))
        eased.certain_of_direction = self.certain_of_direction.clamp(max=_ALL_OVER / 2)
        return eased

    def _round(self) -> Float[Tensor, "user start 3"]:
        """Places round each station at the distance that it tells, over its front or all round."""
        reach, count = (math.pi / 2, _AZIMUTHS) if self.trust.front else (math.pi, 2 * _AZIMUTHS)
        azimuth = torch.linspace(-1, 1, count, device=self.range.device).double() * reach * 0.99
        local = unit_vector(azimuth, torch.full_like(azimuth, math.pi / 2))
        toward = (self.turn @ local.mT).mT[..., :2]
        limit = _REACH * self.trust.clock_offset
        offset = self.range.new_tensor([0.0])
        if limit:
            offset = torch.linspace(-limit, limit, _OFFSETS, device=self.range.device).double()
        distance = (self.range[..., None] - offset).clamp(min=1.0)
        around = distance[..., None, None] * toward[:, None]
        place = (self.station[:, None, None, :2] + around).flatten(1, 3)
        told = offset[None, :, None].expand(len(self.station), -1, count).flatten()
        return torch.cat([place, told[None, :, None].expand(len(place), -1, 1)], -1)

    def _along(self) -> Float[Tensor, "user start 2"]:
        """Places near and far along each direction told, to both sides if both may be heard."""
        _, size = self._extent()
        distance = torch.logspace(
            math.log10(_NEAREST), math.log10(2 * size), _ALONG, dtype=torch.float64
        ).to(self.range.device)
        u = self.direction.clamp(-1, 1)
        front = (1 - u.square()).sqrt()
        sides = [front] if self.trust.front else [front, -front]
        local = torch.stack([torch.stack([side, u, 0 * u], -1) for side in sides], 2)
        toward = (self.turn[:, None] @ local[..., None])[..., :2, 0]
        place = self.station[:, None, None, :2] + distance[:, None] * toward[..., None, :]
        return place.flatten(1, 3)

    def _all_over(self) -> Float[Tensor, "start 2"]:
        """Places all over a square about the stations."""
        middle, size = self._extent()
        side = torch.linspace(-size, size, _ALL_OVER, device=self.range.device).double()
        return middle + torch.cartesian_prod(side, side)

    def _extent(self) -> tuple[Float[Tensor, "2"], float]:
        """The middle of the stations, and how far about it users are looked for [m]."""
        level = self.station[:, :2]
        low, high = level.amin(0), level.amax(0)
        return (low + high) / 2, max(_AROUND, float((high - low).max()))

    def _at_best_offset(
        self, place: Float[Tensor, "user start 2"]
    ) -> Float[Tensor, "user start 3"]:
        """Places with the clock offset that most ranges agree on there; without clocks, none."""
        offset = torch.zeros_like(place[..., 0])
        if self.trust.clock_offset:
            late = self._late(place).masked_fill(~self.has_range[:, None], torch.nan)
            offset = late.nanmedian(-1).values.nan_to_num()
        return torch.cat([place, offset[..., None]], -1)

    def _late(self, place: Float[Tensor, "user start 2"]) -> Float[Tensor, "user start station"]:
        """How much longer each range is than the way from there."""
        rise = self.station[:, 2] - self.height
        away: Tensor = (place[:, :, None] - self.station[:, :2]).norm(dim=-1).hypot(rise)
        return self.range[:, None] - away

    def cost(self, state: Float[Tensor, "user start 3"]) -> Float[Tensor, "user start"]:
        """Robust sum over stations of what does not fit."""
        late, aside, front, aliased, *_ = self._residuals(state)
        each = late.square() + aside.square()
        if self.trust.robust:
            ranges = torch.where(late > 0, late.square().log1p(), late.square())
            behind = (_BEHIND if self.trust.front else _UNLIKELY) * (front < -1.0)
            each = ranges + aside.square().log1p() + behind + _ALIASED * aliased
        told = each.sum(-1)
        deviation = self.trust.clock_offset
        return told + (state[..., 2] / deviation).square() if deviation else told

    def step(
        self, state: Float[Tensor, "user start 3"], damping: Float[Tensor, "user start"]
    ) -> Float[Tensor, "user start 3"]:
        """Levenberg-Marquardt, each residual weighted by how well it fits already."""
        curvature, slope = self._normal(state)
        sizes = curvature.diagonal(dim1=-2, dim2=-1) + 1e-9
        damped = curvature + torch.diag_embed(damping[..., None] * sizes + 1e-12)
        step: Tensor = torch.linalg.solve(damped, slope[..., None])
        return step[..., 0]

    def covariance(self, place: Float[Tensor, "user 3"]) -> Float[Tensor, "user 2 2"]:
        """Inverse curvature of the cost at a place."""
        curvature, _ = self._normal(place[:, None])
        loose = torch.eye(3, dtype=torch.float64, device=place.device) * 1e-8
        inverse: Tensor = torch.linalg.inv(curvature[:, 0] + loose)
        return inverse[:, :2, :2]

    def _normal(
        self, state: Float[Tensor, "user start 3"]
    ) -> tuple[Float[Tensor, "user start 3 3"], Float[Tensor, "user start 3"]]:
        late, aside, _, _, by_range, by_direction = self._residuals(state)
        weight_range, weight_direction = torch.ones_like(late), torch.ones_like(aside)
        if self.trust.robust:
            weight_range = torch.where(late > 0, 1 / (1 + late.square()), 1.0)
            weight_direction = 1 / (1 + aside.square())
        slopes = torch.cat([by_range, by_direction], 2)
        weights = torch.cat([weight_range, weight_direction], 2)[..., None]
        residual = torch.cat([late, aside], 2)[..., None]
        weighted = weights * slopes
        curvature, slope = slopes.mT @ weighted, -(weighted.mT @ residual)[..., 0]
        if self.trust.clock_offset:
            # What is known of clocks before any is heard.
            certainty = self.trust.clock_offset**-2
            curvature[..., 2, 2] += certainty
            slope[..., 2] -= certainty * state[..., 2]
        return curvature, slope

    def _residuals(self, state: Float[Tensor, "user start 3"]) -> tuple[Tensor, ...]:
        """Of ranges and directions, in deviations; who is in front, who is aliased; and slopes."""
        place = torch.nn.functional.pad(state[..., :2], (0, 1), value=self.height)
        away = place[:, :, None] - self.station
        distance = away.norm(dim=-1).clamp(min=0.1)
        toward = away / distance[..., None]
        local = (self.turn.mT @ toward[..., None])[..., 0]
        axis = self.turn[:, :, 1]
        aside = self.direction[:, None] - local[..., 1]
        turns = (aside / self.trust.alias).round()
        aside = aside - self.trust.alias * turns
        late = self.range[:, None] - distance - state[..., None, 2]
        turning = axis - local[..., 1:2] * toward
        by_range = torch.cat([-toward[..., :2], -torch.ones_like(distance)[..., None]], -1)
        by_range[..., 2] = -1.0 if self.trust.clock_offset else 0.0
        by_direction = -turning[..., :2] / distance[..., None]
        by_direction = torch.nn.functional.pad(by_direction, (0, 1))
        at_range = self.certain_of_range[:, None]
        at_direction = self.certain_of_direction[:, None]
        return (
            late * at_range,
            aside * at_direction,
            local[..., 0] * distance,
            self.has_direction[:, None] & (turns != 0),
            by_range * at_range[..., None],
            by_direction * at_direction[..., None],
        )


def _certainty(
    there: Bool[Tensor, "user station"],
    deviation: Float[Tensor, "user station"] | None,
    usual: float,
) -> Float[Tensor, "user station"]:
    """One over the deviation of what was heard, 0 of what was not."""
    if deviation is None:
        return there.double() / usual
    wrong = deviation[there & ~((deviation > 0) & deviation.isfinite())]
    if len(wrong):
        raise ValueError(f"deviations must be positive and finite, got {float(wrong[0]):g}")
    return torch.where(there, 1 / deviation.double(), 0.0)
