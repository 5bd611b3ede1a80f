"""What travels between the rooms: links made of paths, stations, and measured CSI."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Complex, Float, Int, Int8
from torch import Tensor

SPEED_OF_LIGHT = 299_792_458.0
"""Speed of light in vacuum [m/s]."""
HANDHELD = 1.5
"""Height of users of whom nothing is known [m]."""


@dataclass(frozen=True, slots=True, init=False)
class Station:
    """One base station: where it stands, where it looks, on which carrier.

    Its ULA lies along its local y axis; its broadside is its local x axis.
    """

    position: Float[Tensor, "3"]
    """Scene frame, in float64 [m]."""
    orientation: Float[Tensor, "3"]
    """Yaw, pitch, roll [rad], applied as Rz(yaw) Ry(pitch) Rx(roll)."""
    carrier_frequency: float
    """[Hz]."""
    name: str = ""

    def __init__(
        self,
        position: Any,
        orientation: Any,
        carrier_frequency: float,
        name: str = "",
    ) -> None:
        """Takes a place and an orientation in any form that holds three numbers.

        Args:
            position: x, y, z in the scene's frame [m].
            orientation: yaw, pitch, roll [rad].
            carrier_frequency: [Hz].
            name: what people call it.
        """
        if not 0 < carrier_frequency < math.inf:
            raise ValueError(f"carrier_frequency must be positive, got {carrier_frequency:g}")
        set_ = object.__setattr__
        set_(self, "position", _three("position", "x, y, z [m]", position))
        set_(self, "orientation", _three("orientation", "yaw, pitch, roll [rad]", orientation))
        set_(self, "carrier_frequency", carrier_frequency)
        set_(self, "name", name)


def _three(name: str, what: str, values: Any) -> Float[Tensor, "3"]:
    """Three finite numbers in float64, out of whatever holds three."""
    try:
        given = values if isinstance(values, Tensor) else np.array(values, dtype=float)
        three = torch.as_tensor(given, dtype=torch.float64).detach()
    except (TypeError, ValueError, RuntimeError):
        three = torch.zeros(0)
    if three.shape != (3,) or not bool(torch.isfinite(three).all()):
        raise ValueError(f"{name} must be three numbers, {what}, got {values!r}")
    return three


@dataclass(frozen=True, slots=True)
class Paths:
    """The propagation paths of a batch of links (one link: one user and one station).

    Paths are sorted strongest first; where a link has fewer than others, gain and delay are 0
    and `interactions` is -1. Angles are those under which a path leaves an end, scene frame.
    """

    gain: Complex[Tensor, "link path"]
    """Linear amplitude with isotropic elements, carrier phase included."""
    delay: Float[Tensor, "link path"]
    """Absolute delay [s]."""
    station_azimuth: Float[Tensor, "link path"]
    station_zenith: Float[Tensor, "link path"]
    user_azimuth: Float[Tensor, "link path"]
    user_zenith: Float[Tensor, "link path"]
    interactions: Int8[Tensor, "link path"]
    """0: line of sight; n: n bounces; -1: no path."""
    diffracted: Bool[Tensor, "link path"]
    user_position: Float[Tensor, "link 3"]
    """[m]."""
    station_position: Float[Tensor, "link 3"]
    """[m]."""
    station_orientation: Float[Tensor, "link 3"]
    """Yaw, pitch, roll [rad]."""
    carrier_frequency: Float[Tensor, " link"]
    """[Hz]."""
    user: Int[Tensor, " link"]
    """Row of the user in its store: links of one user share that user's clock."""
    station: Int[Tensor, " link"]
    """Column of the station in its store."""

    def __len__(self) -> int:
        return len(self.gain)

    def _map(self, change: Any) -> Paths:
        fields = {f.name: change(getattr(self, f.name)) for f in dataclasses.fields(self)}
        return dataclasses.replace(self, **fields)

    def __getitem__(self, links: Any) -> Paths:
        """The chosen links, by a slice, a mask or indices."""
        if isinstance(links, int):
            links = slice(links, links + 1 or None)
        return self._map(lambda tensor: tensor[links])

    def to(self, device: torch.device | str) -> Paths:
        """The same links on another device."""
        return self._map(lambda tensor: tensor.to(device))

    def strongest(self, count: int) -> Paths:
        """The same links with their `count` strongest paths only."""
        if count < 1:
            raise ValueError(f"count must be at least 1, got {count}")
        per_path = {f.name for f in dataclasses.fields(self)} - PER_LINK
        kept = {name: getattr(self, name)[:, :count] for name in per_path}
        return dataclasses.replace(self, **kept)

    @property
    def present(self) -> Bool[Tensor, "link path"]:
        """Where there is a path at all."""
        return self.interactions >= 0

    @property
    def line_of_sight(self) -> Bool[Tensor, " link"]:
        """Links whose user sees the station: by interactions, never by the first path."""
        return (self.interactions == 0).any(-1)


PER_LINK = {
    "user_position",
    "station_position",
    "station_orientation",
    "carrier_frequency",
    "user",
    "station",
}
"""Fields of `Paths` without a path dimension."""


@dataclass(frozen=True, slots=True)
class Csi:
    """Measured channels of a batch of links, with what is needed to read them."""

    values: Complex[Tensor, "link antenna subcarrier"]
    """Linear amplitude, as measured."""
    frequency: Float[Tensor, " subcarrier"]
    """Absolute frequency of each subcarrier [Hz]."""
    antenna_position: Float[Tensor, "antenna 3"]
    """In the station's frame [m]."""
    user_position: Float[Tensor, "link 3"]
    """NaN where nobody wrote it down [m]."""
    station_position: Float[Tensor, "link 3"]
    """[m]."""
    station_orientation: Float[Tensor, "link 3"]
    """Yaw, pitch, roll [rad]."""
    user: Int[Tensor, " link"]
    station: Int[Tensor, " link"]

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True, slots=True)
class Sounding:
    """Channels as a receiver hands them to a model: CSI, its band, its array, its station.

    What was not observed (off the pilots, hidden by a mask) is exactly 0.
    """

    csi: Complex[Tensor, "link antenna subcarrier"]
    """Linear amplitude."""
    frequency: Float[Tensor, "link subcarrier"]
    """Of each subcarrier, from the carrier [Hz]."""
    antenna: Float[Tensor, "link antenna 3"]
    """Antenna positions in the station's frame [wavelengths]."""
    station_position: Float[Tensor, "link 3"]
    """[m]."""
    station_orientation: Float[Tensor, "link 3"]
    """Yaw, pitch, roll [rad]."""
    user: Int[Tensor, " link"]
    """Row of the user in its store."""
    station: Int[Tensor, " link"]
    """Column of the station in its store."""

    def __len__(self) -> int:
        return len(self.csi)

    def __getitem__(self, links: Any) -> Sounding:
        """The chosen links, by a slice, a mask or indices."""
        fields = dataclasses.fields(self)
        return Sounding(**{f.name: getattr(self, f.name)[links] for f in fields})

    def to(self, device: torch.device | str) -> Sounding:
        """The same links on another device."""
        fields = dataclasses.fields(self)
        return Sounding(**{f.name: getattr(self, f.name).to(device) for f in fields})

    def with_csi(self, csi: Complex[Tensor, "link antenna subcarrier"]) -> Sounding:
        """The same links with other CSI."""
        return dataclasses.replace(self, csi=csi)

    @property
    def station_pose(self) -> Float[Tensor, "link 6"]:
        """Where each link's station stands [m] and looks [rad]."""
        return torch.cat([self.station_position, self.station_orientation], -1).double()

    @property
    def bandwidth(self) -> Float[Tensor, " link"]:
        """Subcarriers times their spacing [Hz]."""
        span = self.frequency[:, -1] - self.frequency[:, 0]
        subcarriers = self.frequency.shape[1]
        return span * subcarriers / max(1, subcarriers - 1)

    @staticmethod
    def join(soundings: Sequence[Sounding]) -> Sounding:
        """Links of several soundings with equal numbers of antennas and subcarriers, in order."""
        fields = dataclasses.fields(Sounding)
        return Sounding(
            **{f.name: torch.cat([getattr(s, f.name) for s in soundings]) for f in fields}
        )


@dataclass(frozen=True, slots=True)
class Truth:
    """What is known of a batch of links beside their channels: the labels."""

    position: Float[Tensor, "link 3"]
    """Of the user, scene frame [m]."""
    line_of_sight: Bool[Tensor, " link"]
    """Whether the user sees the station; ToA and AoA are asked of these links alone."""

    def __len__(self) -> int:
        return len(self.position)

    def __getitem__(self, links: Any) -> Truth:
        """The chosen links, by a slice, a mask or indices."""
        return Truth(self.position[links], self.line_of_sight[links])

    def to(self, device: torch.device | str) -> Truth:
        """The same labels on another device."""
        return Truth(self.position.to(device), self.line_of_sight.to(device))


@dataclass(frozen=True, slots=True)
class Mixture:
    """Several places where the user of each link may be."""

    weight: Float[Tensor, "link part"]
    """Logarithm of how probable each is; minus infinity where there is none."""
    place: Float[Tensor, "link part 2"]
    """Scene frame [m]."""
    scale: Float[Tensor, "link part 2 2"]
    """Lower Cholesky factor of each covariance, scene frame [m]."""

    def __getitem__(self, links: Any) -> Mixture:
        """Of the chosen links, by a slice, a mask or indices."""
        return Mixture(self.weight[links], self.place[links], self.scale[links])

    def strongest(self, parts: int) -> Mixture:
        """So many parts of each link, the most probable first; of fewer, empty ones beside them."""
        missing = parts - self.weight.shape[1]
        if missing > 0:
            empty = Mixture.empty(len(self.weight), missing, self.weight.device)
            names = ("weight", "place", "scale")
            pairs = ((getattr(self, name), getattr(empty, name)) for name in names)
            return Mixture(*(torch.cat([a, b.to(a.dtype)], 1) for a, b in pairs))
        best = self.weight.topk(parts, 1).indices
        rows = torch.arange(len(best), device=best.device)[:, None]
        return Mixture(self.weight[rows, best], self.place[rows, best], self.scale[rows, best])

    @staticmethod
    def empty(links: int, parts: int, device: torch.device | str = "cpu") -> Mixture:
        """Of links that nothing is known of."""
        weight = torch.full((links, parts), -torch.inf, dtype=torch.float64, device=device)
        scale = torch.eye(2, dtype=torch.float64, device=device).repeat(links, parts, 1, 1)
        return Mixture(weight, weight.new_zeros(links, parts, 2), scale)

    @staticmethod
    def join(mixtures: Sequence[Mixture]) -> Mixture:
        """Of several soundings, in order."""
        most = max(mixture.weight.shape[1] for mixture in mixtures)
        alike = [mixture.strongest(most) for mixture in mixtures]
        names = ("weight", "place", "scale")
        return Mixture(*(torch.cat([getattr(m, name) for m in alike]) for name in names))


@dataclass(frozen=True, slots=True)
class Fix:
    """Positions with an honest uncertainty."""

    position: Float[Tensor, "link 3"]
    """NaN where the station heard nothing; scene frame [m]."""
    covariance: Float[Tensor, "link 3 3"]
    """Likewise; scene frame [m^2]."""
    trusted: Bool[Tensor, " link"]
    """False where the channel is unlike what the model knows, or no more than noise."""
    mixture: Mixture | None = None
    """The places that were summed up, where a model weighs several: as it said, not calibrated."""

    def __len__(self) -> int:
        return len(self.position)

    def __getitem__(self, links: Any) -> Fix:
        """Of the chosen links, by a slice, a mask or indices."""
        mixture = None if self.mixture is None else self.mixture[links]
        return Fix(self.position[links], self.covariance[links], self.trusted[links], mixture)

    @staticmethod
    def nowhere(links: int, device: torch.device | str = "cpu") -> Fix:
        """Of links that nothing is known of."""
        position = torch.full((links, 3), torch.nan, dtype=torch.float64, device=device)
        trusted = torch.zeros(links, dtype=torch.bool, device=device)
        return Fix(position, position[:, :, None].repeat(1, 1, 3), trusted)

    def among(self, heard: Bool[Tensor, " all"]) -> Fix:
        """These as the fixes of the links that were heard, nowhere for the others."""
        found = Fix.nowhere(len(heard), heard.device)
        found.position[heard] = self.position
        found.covariance[heard] = self.covariance
        found.trusted[heard] = self.trusted
        if self.mixture is None:
            return found
        mixture = Mixture.empty(len(heard), self.mixture.weight.shape[1], heard.device)
        mixture.weight[heard] = self.mixture.weight
        mixture.place[heard] = self.mixture.place
        mixture.scale[heard] = self.mixture.scale
        return dataclasses.replace(found, mixture=mixture)

    @staticmethod
    def join(fixes: Sequence[Fix]) -> Fix:
        """Of several soundings, in order."""
        names = ("position", "covariance", "trusted")
        told = [fix.mixture for fix in fixes if fix.mixture is not None]
        mixture = None
        if told:
            nothing = (Mixture.empty(len(f), 1, f.position.device) for f in fixes)
            either = zip(fixes, nothing, strict=True)
            mixture = Mixture.join([n if f.mixture is None else f.mixture for f, n in either])
        position, covariance, trusted = (torch.cat([getattr(f, n) for f in fixes]) for n in names)
        return Fix(position, covariance, trusted, mixture)
