"""What hardware does to a channel: clocks, phases, gains, and thermal noise."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor

BOLTZMANN = 1.380649e-23
"""[J/K]."""
TEMPERATURE = 290.0
"""Of the noise, by convention [K]."""


@dataclass(frozen=True, slots=True)
class Faults:
    """Impairments drawn for a batch of links; None where there is none."""

    clock: Float[Tensor, " link"] | None = None
    """User's and station's timing offsets together, added to every delay [s]."""
    factor: Complex[Tensor, "link antenna"] | None = None
    """What each antenna's signal is multiplied with."""

    def on(
        self,
        csi: Complex[Tensor, "link antenna subcarrier"],
        frequency: Float[Tensor, "link subcarrier"],
    ) -> Complex[Tensor, "link antenna subcarrier"]:
        """Channels that were received already, at frequencies from the carrier [Hz], with them."""
        turned = csi
        if self.clock is not None:
            cycles = frequency.double() * self.clock[:, None]
            turned = turned * torch.exp(-2j * math.pi * cycles)[:, None]
        if self.factor is not None:
            turned = turned * self.factor[:, :, None]
        return turned.to(csi.dtype)

    def block(self, links: slice) -> Faults:
        """The faults of some links."""
        return Faults(
            None if self.clock is None else self.clock[links],
            None if self.factor is None else self.factor[links],
        )


@dataclass(frozen=True, slots=True)
class Impairments:
    """How large the faults of the hardware are; all off by default.

    A timing offset turns the phase over the subcarriers; what it does to the carrier's own phase
    is the same on all of them: see `common_phase`.
    """

    user_timing: float = 0.0
    """Deviation of a user's clock, shared by its links to all stations [s]."""
    station_timing: float = 0.0
    """Deviation of a station's clock, shared by its links to all users [s]."""
    common_phase: bool = False
    """A uniform random phase on each link."""
    antenna_phase: float = 0.0
    """Deviation of an antenna's phase, fixed for a station [rad]."""
    antenna_gain: float = 0.0
    """Deviation of an antenna's gain, fixed for a station [dB]."""
    station_seed: int | None = None
    """A number makes a station's faults depend on it and on the station's column alone, the same
    in every batch; None draws them anew, from the generator, in each batch."""

    def __post_init__(self) -> None:
        for name in ("user_timing", "station_timing", "antenna_phase", "antenna_gain"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name} is a deviation and must be at least 0, got {value:g}")

    @property
    def none(self) -> bool:
        """Whether everything is off."""
        return self == Impairments(station_seed=self.station_seed)

    def draw(
        self,
        user: Int[Tensor, " link"],
        station: Int[Tensor, " link"],
        antennas: int,
        generator: torch.Generator,
    ) -> Faults:
        """Draws the faults of a batch of links, in float64, where the links are."""
        if self.none:
            return Faults()
        device = user.device
        log_factor = torch.zeros(len(user), antennas, dtype=torch.complex128, device=device)
        clock = torch.zeros(len(user), dtype=torch.float64, device=device)
        if self.user_timing:
            users, row = torch.unique(user, return_inverse=True)
            clock = clock + self.user_timing * _normal((len(users),), generator, device)[row]
        if self.station_timing or self.antenna_phase or self.antenna_gain:
            stations, row = torch.unique(station, return_inverse=True)
            unit = self._station_draws(stations, antennas, generator)[row]
            clock = clock + self.station_timing * unit[:, 0]
            gain, phase = unit[:, 1 : 1 + antennas], unit[:, 1 + antennas :]
            nepers = self.antenna_gain * math.log(10) / 20
            log_factor = log_factor + torch.complex(nepers * gain, self.antenna_phase * phase)
        if self.common_phase:
            turn = torch.rand(len(user), generator=generator, device=device, dtype=torch.float64)
            log_factor = log_factor + (2j * math.pi * turn)[:, None]
        return Faults(clock, log_factor.exp())

    def _station_draws(
        self, stations: Int[Tensor, " station"], antennas: int, generator: torch.Generator
    ) -> Float[Tensor, "station draw"]:
        """Standard normal numbers of each station: its clock, its antennas' gains and phases."""
        count, device = 1 + 2 * antennas, stations.device
        if self.station_seed is None:
            return _normal((len(stations), count), generator, device)
        # Drawn on the CPU, so that a station is the same on every device.
        seeds = [_mixed(self.station_seed, column) for column in stations.tolist()]
        rows = [_normal((count,), torch.Generator().manual_seed(s), "cpu") for s in seeds]
        return torch.stack(rows).to(device)


def noise_variance(
    spacing: Float[Tensor, " link"],
    subcarriers: int,
    tx_power_dbm: float,
    noise_figure_db: float,
) -> Float[Tensor, " link"]:
    """Variance of the noise on H, in H's own units: k T spacing F / (P / subcarriers).

    Args:
        spacing: of the subcarriers [Hz].
        subcarriers: over which the power is spread evenly.
        tx_power_dbm: of the whole transmission.
        noise_figure_db: of the receiver.
    """
    power = 1e-3 * 10 ** (tx_power_dbm / 10) / subcarriers
    return BOLTZMANN * TEMPERATURE * 10 ** (noise_figure_db / 10) / power * spacing


def add_noise(
    csi: Complex[Tensor, "link antenna subcarrier"],
    variance: Float[Tensor, " link"],
    generator: torch.Generator,
    out: Complex[Tensor, "link antenna subcarrier"] | None = None,
) -> Complex[Tensor, "link antenna subcarrier"]:
    """Adds circular white Gaussian noise of one variance E|n|^2 for each link.

    Args:
        csi: the channels.
        variance: of each link, in the channels' units.
        generator: on the channels' device.
        out: where the sum is written; a new tensor by default.
    """
    signal = torch.view_as_real(csi)
    # Drawn where the sum will stand: no second buffer has to go through the cache.
    noise = torch.empty_like(signal) if out is None else torch.view_as_real(out)
    noise.normal_(generator=generator)
    deviation = (variance / 2).sqrt().to(signal.dtype)[:, None, None, None]
    return torch.view_as_complex(torch.addcmul(signal, noise, deviation, out=noise))


def mean_power(csi: Complex[Tensor, "link antenna subcarrier"]) -> Float[Tensor, " link"]:
    """Mean |H|^2 of each link over its antennas and subcarriers."""
    parts = torch.view_as_real(csi).flatten(1)
    norm: Tensor = torch.linalg.vector_norm(parts, dim=1)
    return 2 * norm.square() / parts.shape[1]


def _normal(
    shape: tuple[int, ...], generator: torch.Generator, device: torch.device | str
) -> Float[Tensor, "..."]:
    return torch.randn(shape, generator=generator, device=device, dtype=torch.float64)


def _mixed(seed: int, column: int) -> int:
    """One seed out of two: near pairs give far seeds (the finaliser of splitmix64)."""
    mask = 2**64 - 1
    z = (seed * 0x9E3779B97F4A7C15 + column * 0xD1B54A32D192ED03 + 0x632BE59BD9B4E019) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return (z ^ (z >> 31)) >> 1
