"""Measured channels as soundings: each with the band, the array and the place of its station."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor

from radiofix.physics.panels import columns
from radiofix.physics.presence import AMPLITUDES
from radiofix.physics.strongest import LONGEST
from radiofix.types import SPEED_OF_LIGHT, Sounding, Station

MEND = "give it as linear amplitude"
CARRIERS = (1e8, 1e12)
"""Of radio [Hz]."""
BANDS = (1e4, 1e11)
"""That tell distances of some kilometres to some millimetres [Hz]."""
HIGH = 0.75
"""Antennas that span more than this in height are told of [wavelengths]."""


@dataclass(frozen=True, slots=True)
class Reception:
    """The stations of measured CSI, each with its band and its array."""

    stations: tuple[Station, ...]
    frequency: Float[Tensor, "station subcarrier"]
    """From the station's carrier [Hz]."""
    antenna: Float[Tensor, "station antenna 3"]
    """In the station's frame [wavelengths]."""

    def checked(self, name: str) -> Reception:
        """Itself; what is told in another unit is refused: fixes of it would look like others.

        Of an array of which much is not made use of it warns.

        Args:
            name: of where it is from, for messages.
        """
        for station in self.stations:
            carrier, turn = station.carrier_frequency, float(station.orientation.abs().max())
            if not CARRIERS[0] <= carrier <= CARRIERS[1]:
                raise ValueError(
                    f"{name}: station {station.name} has carrier_frequency={carrier:g}: give it in "
                    f"Hz, between {CARRIERS[0]:g} and {CARRIERS[1]:g}"
                )
            if turn > 2 * math.pi + 1e-6:
                raise ValueError(
                    f"{name}: station {station.name} has an orientation of {turn:g}: give it in "
                    "radians"
                )
        several = self.frequency.shape[1] > 1
        widths = self.frequency.amax(1) - self.frequency.amin(1) if several else ()
        for width in map(float, widths):
            if not BANDS[0] <= width <= BANDS[1]:
                raise ValueError(
                    f"{name}: the subcarriers span {width:g} Hz: give bandwidth or frequency in "
                    f"Hz, spanning {BANDS[0]:g} to {BANDS[1]:g}"
                )
        spans = (self.antenna.amax(1) - self.antenna.amin(1)).amax(-1).tolist()
        for station, span in zip(self.stations, spans, strict=True):
            if not span <= LONGEST:
                raise ValueError(
                    f"{name}: the antennas of station {station.name} span {span:.4g} wavelengths, "
                    f"at most {LONGEST:g} are looked through: give places in metres, ula_spacing "
                    "in wavelengths"
                )
        self._warn_of_height(name)
        return self

    def _warn_of_height(self, name: str) -> None:
        """Tells of antennas at many heights that are no columns of a panel.

        A wave from below is looked for by them as if it were level, and may vanish.
        """
        if all(columns(antenna[None]) is not None for antenna in self.antenna):
            return
        height = self.antenna[..., 2]
        high = height.amax(1) - height.amin(1)
        worst = int(high.argmax())
        if high[worst] > HIGH:
            # Where rows half a wavelength apart, added up as for a level wave, lose half of it.
            below = math.degrees(math.asin(0.6 / (float(high[worst]) + 0.5)))
            warnings.warn(
                f"{name}: the antennas of station {self.stations[worst].name} span "
                f"{float(high[worst]):.1f} wavelengths in height, and waves are taken as level: "
                f"from {below:.0f} degrees below half of a wave is lost: give one row of antennas "
                "or like columns of them",
                stacklevel=3,
            )

    @classmethod
    def of(
        cls,
        stations: Sequence[Station],
        frequency: Float[Tensor, " subcarrier"],
        antenna_position: Float[Tensor, "antenna 3"],
    ) -> Reception:
        """From absolute frequencies [Hz] and antenna positions [m] that all stations share."""
        carrier = torch.tensor([s.carrier_frequency for s in stations], dtype=torch.float64)
        return cls(
            tuple(stations),
            frequency.double() - carrier[:, None],
            in_wavelengths(antenna_position.double(), carrier),
        )

    def sounding(
        self,
        name: str,
        csi: Complex[Tensor, "link antenna subcarrier"],
        station: Int[Tensor, " link"],
        user: Int[Tensor, " link"],
    ) -> Sounding:
        """Measured links as a model takes them, once they are known to be sound.

        Args:
            name: of where they are from, for messages.
            csi: linear amplitude; a link of zeros was not measured, and is left out.
            station: of each link.
            user: of each link.
        """
        there = (csi != 0).flatten(1).any(1)
        if not bool(there.all()):
            csi, station, user = csi[there], station[there], user[there]
        csi = csi.to(torch.complex64)
        self._refuse_broken(name, csi, station, user)
        position = torch.stack([s.position.double() for s in self.stations])
        orientation = torch.stack([s.orientation.double() for s in self.stations])
        return Sounding(
            csi=csi,
            frequency=self.frequency[station].float(),
            antenna=self.antenna[station].float(),
            station_position=position[station],
            station_orientation=orientation[station],
            user=user,
            station=station,
        )

    def _refuse_broken(
        self,
        name: str,
        csi: Complex[Tensor, "link antenna subcarrier"],
        station: Int[Tensor, " link"],
        user: Int[Tensor, " link"],
    ) -> None:
        if not len(csi):
            return
        largest = csi.abs().flatten(1).amax(1)
        if bool(((largest >= AMPLITUDES[0]) & (largest <= AMPLITUDES[1])).all()):
            return
        for wrong, what in (
            (~torch.isfinite(largest), "is not finite: set what was not measured to 0"),
            (largest > AMPLITUDES[1], f"exceeds {AMPLITUDES[1]:g}: {MEND}"),
            (largest < AMPLITUDES[0], f"stays below {AMPLITUDES[0]:g}: {MEND}"),
        ):
            if bool(wrong.any()):
                first = int(wrong.nonzero()[0, 0])
                raise ValueError(
                    f"{name}: the csi of {int(wrong.sum())} links, the first of user "
                    f"{int(user[first])} and station {self.stations[int(station[first])].name}, "
                    f"{what}"
                )


def in_wavelengths(
    antenna_position: Float[Tensor, "antenna 3"], carrier: Float[Tensor, " station"]
) -> Float[Tensor, "station antenna 3"]:
    """Antenna positions [m] in the wavelength of each station's carrier [Hz]."""
    return antenna_position * (carrier / SPEED_OF_LIGHT)[:, None, None]
