"""`Channel`: everything between the propagation paths and the CSI a station sees."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Complex, Float
from numpy.typing import ArrayLike
from torch import Tensor

from radiofix.physics import ofdm
from radiofix.physics.arrays import Array, ula
from radiofix.physics.given import given_csi, given_stations
from radiofix.physics.impairments import Impairments, add_noise, mean_power, noise_variance
from radiofix.physics.ofdm import Pilots, subcarrier_index
from radiofix.physics.synthesis import Wavefront, element_positions, response
from radiofix.types import SPEED_OF_LIGHT, Paths, Sounding, Station

_BLOCK_ELEMENTS = {"cpu": 2**19, "cuda": 2**26}
"""Antennas times subcarriers made at a time: on a CPU what fits its cache."""


class AliasWarning(UserWarning):
    """Paths too long for the spacing of the pilots show up at wrong, shorter delays."""


@dataclass(frozen=True, slots=True, eq=False)
class Channel:
    """A station's receiver: band, array, pilots, noise and faults, applied to any paths."""

    bandwidth: float | Float[Tensor, " link"]
    """One for all links or one for each [Hz]."""
    subcarriers: int = 128
    array: Array = field(default_factory=lambda: ula(32))
    snr_db: float | Float[Tensor, " link"] | None = None
    """Mean |H|^2 of a link, over all its antennas and subcarriers, against the noise."""
    noise_figure_db: float | None = None
    """With `tx_power_dbm`: noise from a link budget instead of an SNR."""
    tx_power_dbm: float | None = None
    """Of the whole transmission, spread evenly over the subcarriers."""
    pilots: Pilots = field(default_factory=Pilots)
    """Where there is CSI at all; zeros elsewhere."""
    impairments: Impairments = field(default_factory=Impairments)
    wavefront: Wavefront = "planar"
    """With "spherical" each path comes from its image, c tau away (near field)."""
    squint: bool = False
    """Steer at each subcarrier's own frequency instead of the carrier's."""
    first_subcarrier: int | None = None
    """Index of the lowest subcarrier; None: -floor(subcarriers / 2), the carrier in the middle."""

    def __post_init__(self) -> None:
        _expect_positive("bandwidth", self.bandwidth)
        for name in ("subcarriers", "first_subcarrier"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
                raise ValueError(f"{name} must be a whole number, got {value!r}")
        if self.subcarriers < 1:
            raise ValueError(f"subcarriers must be at least 1, got {self.subcarriers}")
        if self.wavefront not in ("planar", "spherical"):
            raise ValueError(f'wavefront must be "planar" or "spherical", got {self.wavefront!r}')
        if self.snr_db is not None:
            _expect_finite("snr_db", self.snr_db)
        for name, other in (
            ("noise_figure_db", "tx_power_dbm"),
            ("tx_power_dbm", "noise_figure_db"),
        ):
            value = getattr(self, name)
            if value is None:
                continue
            _expect_finite(name, value)
            if getattr(self, other) is None:
                raise ValueError(f"{name}={value:g} needs {other} too: give both or neither")
            if self.snr_db is not None:
                raise ValueError(f"{name}={value:g} and snr_db both set the noise: give one")
        if self.noise_figure_db is not None and self.noise_figure_db < 0:
            raise ValueError(f"noise_figure_db must be at least 0, got {self.noise_figure_db:g}")

    @classmethod
    def nr_srs(
        cls, numerology: int, resource_blocks: int, comb: int = 2, offset: int = 0, **others: Any
    ) -> Channel:
        """A channel sounded with 5G NR's SRS.

        Args:
            numerology: mu, from 0 to 6: the spacing is 15 kHz * 2^mu.
            resource_blocks: sounded, of 12 subcarriers each.
            comb: 2, 4 or 8: every n-th subcarrier has a pilot, zeros between.
            offset: of the comb, from 0 to comb - 1.
            others: what `Channel` takes beside bandwidth, subcarriers and pilots.
        """
        subcarriers = ofdm.nr_subcarriers(resource_blocks)
        return cls(
            bandwidth=ofdm.nr_spacing(numerology) * subcarriers,
            subcarriers=subcarriers,
            pilots=ofdm.srs_pilots(comb, offset),
            **others,
        )

    @property
    def spacing(self) -> float | Float[Tensor, " link"]:
        """Between subcarriers, bandwidth / subcarriers [Hz]."""
        return self.bandwidth / self.subcarriers

    @property
    def baseband_frequency(self) -> Float[Tensor, "*link subcarrier"]:
        """f_k of the subcarriers, for each link if the bandwidth is (float64) [Hz]."""
        spacing = torch.as_tensor(self.spacing, dtype=torch.float64)
        index = subcarrier_index(self.subcarriers, self.first_subcarrier, spacing.device)
        return spacing[..., None] * index

    @property
    def noiseless(self) -> Channel:
        """The same channel, faults included, without noise."""
        return dataclasses.replace(self, snr_db=None, noise_figure_db=None, tx_power_dbm=None)

    def synthesize(
        self, paths: Paths, generator: torch.Generator | None = None
    ) -> Complex[Tensor, "link antenna subcarrier"]:
        """The CSI of each link: complex64, or complex128 where `paths.gain` is; zeros off pilots.

        Args:
            paths: of the links; a link without paths gives zeros, and noise only from a budget.
            generator: of noise and faults, on the paths' device. None seeds a new one with 0, so
                that the same call gives the same numbers; hand over your own to draw on.
        """
        links, device = len(paths), paths.gain.device
        spacing = _per_link("bandwidth", self.bandwidth, links, device) / self.subcarriers
        floor = self._noise_floor(links, spacing)
        self._warn_of_aliases(paths, spacing)
        generator = _generator_on(device, generator)
        antennas = len(self.array)
        faults = self.impairments.draw(paths.user, paths.station, antennas, generator)
        index = subcarrier_index(self.subcarriers, self.first_subcarrier, device)
        csi = _empty((links, antennas, self.subcarriers), paths.gain.dtype, device)
        for block in self._blocks(links, antennas, paths.gain.shape[1], device):
            clean = response(
                paths[block],
                self.array,
                spacing[block],
                index,
                self.wavefront,
                self.squint,
                faults.block(block),
            )
            if floor is None:
                csi[block] = clean
            else:
                power = 1.0 if self.snr_db is None else mean_power(clean)
                add_noise(clean, power * floor[block], generator, out=csi[block])
        if not self.pilots.everywhere:
            csi *= self.pilots.mask(antennas, self.subcarriers, device)
        return csi

    def sound(self, paths: Paths, generator: torch.Generator | None = None) -> Sounding:
        """The CSI of each link together with the band, the array and the station it belongs to."""
        device = paths.gain.device
        frequency = self.baseband_frequency.to(device).expand(len(paths), -1)
        wavelength = SPEED_OF_LIGHT / paths.carrier_frequency.double()
        position = element_positions(self.array, paths.carrier_frequency)
        return Sounding(
            csi=self.synthesize(paths, generator),
            frequency=frequency.float(),
            antenna=(position / wavelength[:, None, None]).float(),
            station_position=paths.station_position,
            station_orientation=paths.station_orientation,
            user=paths.user,
            station=paths.station,
        )

    def describe(self, csi: Tensor | ArrayLike, stations: Station | Sequence[Station]) -> Sounding:
        """Given CSI together with this channel's band and array, and its stations.

        Args:
            csi: complex (link, antenna, subcarrier), a tensor or an array; zeros where nothing was
                observed.
            stations: one for all links or one for each.
        """
        csi = given_csi(csi, len(self.array), self.subcarriers)
        each, device = given_stations(stations, len(csi)), csi.device
        numbers: dict[int, int] = {}
        number = [numbers.setdefault(id(s), len(numbers)) for s in each]
        carrier = torch.tensor([s.carrier_frequency for s in each], dtype=torch.float64)
        spacing = _per_link("bandwidth", self.bandwidth, len(csi), device) / self.subcarriers
        index = subcarrier_index(self.subcarriers, self.first_subcarrier, device)
        position = element_positions(self.array, carrier)
        wavelength = SPEED_OF_LIGHT / carrier
        threes = {
            name: torch.stack([torch.zeros(3).double(), *(getattr(s, name) for s in each)])[1:]
            for name in ("position", "orientation")
        }
        return Sounding(
            csi=csi,
            frequency=(spacing[:, None] * index).float(),
            antenna=(position / wavelength[:, None, None]).float().to(device),
            station_position=threes["position"].to(device),
            station_orientation=threes["orientation"].to(device),
            user=torch.arange(len(csi), device=device),
            station=torch.tensor(number, dtype=torch.int64, device=device),
        )

    def _noise_floor(
        self, links: int, spacing: Float[Tensor, " link"]
    ) -> Float[Tensor, " link"] | None:
        """Variance of the noise: with an SNR in units of the link's own power, else absolute."""
        if self.snr_db is not None:
            return 10 ** (-_per_link("snr_db", self.snr_db, links, spacing.device) / 10)
        if self.tx_power_dbm is None or self.noise_figure_db is None:
            return None
        power, figure = self.tx_power_dbm, self.noise_figure_db
        return noise_variance(spacing, self.subcarriers, power, figure)

    def _blocks(self, links: int, antennas: int, paths: int, device: torch.device) -> list[slice]:
        """Slices of links that are worked on at a time, for the sake of cache and memory."""
        elements = antennas * self.subcarriers * (paths if self.squint else 1)
        count = max(1, _BLOCK_ELEMENTS.get(device.type, _BLOCK_ELEMENTS["cuda"]) // elements)
        return [slice(start, start + count) for start in range(0, links, count)]

    def _warn_of_aliases(self, paths: Paths, spacing: Float[Tensor, " link"]) -> None:
        pilot_spacing = spacing[:, None] * self.pilots.every_subcarrier
        aliased = paths.delay * pilot_spacing > 1
        if not aliased.any():
            return
        delay = float(paths.delay.masked_fill(~aliased, 0).max())
        narrowest = SPEED_OF_LIGHT / float(pilot_spacing.max())
        warnings.warn(
            f"delays alias: the largest is {delay * 1e6:.3g} us ({SPEED_OF_LIGHT * delay:.4g} m), "
            f"but pilots tell ranges apart only up to c / spacing = {narrowest:.4g} m",
            AliasWarning,
            stacklevel=3,
        )


def _expect_positive(name: str, value: float | Tensor) -> None:
    _expect_finite(name, value)
    lowest = float(torch.as_tensor(value).min())
    if lowest <= 0:
        raise ValueError(f"{name} must be positive, got {lowest:g}")


def _expect_finite(name: str, value: float | Tensor) -> None:
    values = torch.as_tensor(value)
    if values.ndim > 1 or values.numel() == 0 or values.is_complex():
        shape = tuple(values.shape)
        raise ValueError(f"{name} must be one number or one for each link, got shape {shape}")
    if not bool(torch.isfinite(values).all()):
        worst = values.flatten()[~torch.isfinite(values.flatten())][0]
        hint = ": None is no noise" if name == "snr_db" else ""
        raise ValueError(f"{name} must be finite, got {float(worst):g}{hint}")


def _per_link(
    name: str, value: float | Tensor, links: int, device: torch.device
) -> Float[Tensor, " link"]:
    values = torch.as_tensor(value, dtype=torch.float64).to(device)
    if values.ndim and len(values) != links:
        raise ValueError(f"{name} has {len(values)} values for {links} links: give one for each")
    return values.expand(links)


def _empty(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    if device.type != "cpu":
        return torch.empty(shape, dtype=dtype, device=device)
    # NumPy asks Linux for huge pages; torch's own fresh pages cost more than the channels on them.
    kind = np.complex128 if dtype == torch.complex128 else np.complex64
    return torch.from_numpy(np.empty(shape, dtype=kind))


def _generator_on(device: torch.device, generator: torch.Generator | None) -> torch.Generator:
    if generator is None:
        return torch.Generator(device).manual_seed(0)
    if generator.device.type != device.type:
        raise ValueError(
            f"generator is on {generator.device}, the paths on {device}: "
            f'make it with torch.Generator("{device}")'
        )
    return generator
