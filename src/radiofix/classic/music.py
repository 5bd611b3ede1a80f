"""MUSIC in delay and direction together, with spatial-frequency smoothing."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Complex, Float, Int
from torch import Tensor

from radiofix.classic.omp import Grid, blocks
from radiofix.classic.waves import Observed, Waves
from radiofix.physics.panels import in_line
from radiofix.types import Sounding

_BLOCK = {"cpu": 64, "cuda": 1024}
"""Links that are worked on at a time, by the kind of device."""
Order = Callable[[Float[Tensor, "link value"], Float[Tensor, " link"]], Int[Tensor, " link"]]
"""From eigenvalues, largest first, and the number of snapshots to the number of waves."""

_ZOOMS = 14
"""Times that the cell about a peak is halved: 16,000 places within a bin."""


def mdl(
    values: Float[Tensor, "link value"], snapshots: Float[Tensor, " link"]
) -> Int[Tensor, " link"]:
    """Number of waves of the least description length (Wax and Kailath)."""
    return _least(values, snapshots, 0.5 * snapshots.log())


def aic(
    values: Float[Tensor, "link value"], snapshots: Float[Tensor, " link"]
) -> Int[Tensor, " link"]:
    """Number of waves by Akaike's criterion: more of them than `mdl` from 8 snapshots on."""
    return _least(values, snapshots, torch.ones_like(snapshots))


@dataclass(frozen=True, slots=True)
class Given:
    """The same number of waves in every link."""

    waves: int

    def __call__(
        self, values: Float[Tensor, "link value"], snapshots: Float[Tensor, " link"]
    ) -> Int[Tensor, " link"]:
        """That number."""
        return torch.full_like(snapshots, self.waves, dtype=torch.int64)


@dataclass(frozen=True, slots=True)
class Music:
    """Waves where the noise of a smoothed covariance has none, for uniform line arrays and panels.

    A window slides over antennas and subcarriers and gives many looks at the same waves, forward
    and backward, so that coherent waves come apart. Within it delays are looked at through a few
    beams about the strongest wave: waves much later or earlier are not seen.
    """

    waves: int = 5
    """At most."""
    order: Order = mdl
    """How many waves a link has: `mdl`, `aic` or `Given(number)`."""
    antenna_share: float = 0.5
    """Of the antennas, in the sliding window."""
    subcarrier_share: float = 0.66
    """Of the subcarriers, in the sliding window."""
    delay_beams: int = 6
    """Neighbouring delays that are looked at, each as wide as the window resolves."""
    range_db: float = 20.0
    """Eigenvalues below the largest by more are noise: without any, a crowd of waves too close to
    be told apart fills the whole space of signals, and its spectrum has no peaks [dB]."""

    def __post_init__(self) -> None:
        for name in ("waves", "delay_beams"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("antenna_share", "subcarrier_share"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"{name} must be between 0 and 1, got {getattr(self, name):g}")

    def __call__(self, sounding: Sounding) -> Waves:
        """The waves of each link, strongest peak of the spectrum first."""
        sounding = _pilots_alone(in_line(sounding))
        return Waves.join([self._block(Observed.of(sounding[b])) for b in blocks(sounding, _BLOCK)])

    def _block(self, observed: Observed) -> Waves:
        looks = _Looks(observed, self)
        values, vectors = torch.linalg.eigh(looks.covariance)
        values, vectors = values.flip(-1), vectors.flip(-1)
        snapshots = torch.full_like(values[:, 0], float(looks.independent))
        most = min(self.waves, values.shape[1] - 1)
        above = (values > values[:, :1] * 10 ** (-self.range_db / 10)).sum(-1)
        count = self.order(values, snapshots).minimum(above).clamp(max=most)
        used = torch.arange(most, device=count.device) < count[:, None]
        signal = vectors[..., :most] * used[:, None]
        spectrum = _Spectrum(looks, signal.mT.unflatten(-1, (looks.antennas, -1)))
        turn, direction, found = spectrum.peaks(most)
        found = found & used
        turn, direction = spectrum.zoomed(turn, direction)
        gain = observed.gains(turn, direction, found)
        return observed.waves(turn, direction, gain)


class _Looks:
    """The window's covariance, its delays through beams about the strongest wave."""

    def __init__(self, observed: Observed, music: Music) -> None:
        antennas, subcarriers = observed.csi.shape[1:]
        self.antennas = min(antennas, max(2, round(music.antenna_share * antennas)))
        self.width = min(subcarriers, max(2, round(music.subcarrier_share * subcarriers)))
        self.spacing = (observed.antenna[:, -1, 1] - observed.antenna[:, 0, 1]) / max(
            1, antennas - 1
        )
        beams = min(music.delay_beams, self.width)
        steering = observed.over_antennas(Grid().directions(observed)[None])
        self.middle, _ = Grid().highest(observed.csi, observed, steering)
        place = torch.arange(beams, device=observed.csi.device) - (beams - 1) / 2
        # Orthonormal beams leave the noise white.
        self.beams = self.subcarrier_steering(
            self.middle[:, None] + place / self.width
        ) / math.sqrt(self.width)
        self.reach = (beams - 1) / 2 / self.width
        csi = observed.csi.to(torch.complex128)
        # Backward: the array and the band read from their other ends, conjugated.
        both = torch.cat([self._windows(csi), self._windows(csi.flip(1, 2).conj())], 1)
        self.covariance = both.mT @ both.conj() / both.shape[1]
        # Windows that overlap are not new looks: as many count as would fit side by side.
        self.independent = max(2.0, antennas * subcarriers / (self.antennas * self.width))

    def _windows(
        self, csi: Complex[Tensor, "link antenna subcarrier"]
    ) -> Complex[Tensor, "link shift look"]:
        """What each place of the window sees, antennas outside, beams inside."""
        narrow = csi.unfold(2, self.width, 1) @ self.beams.conj().mT[:, None]
        windows = narrow.unfold(1, self.antennas, 1).permute(0, 1, 2, 4, 3)
        return windows.flatten(3).flatten(1, 2)

    def subcarrier_steering(
        self, turn: Float[Tensor, "link wave"]
    ) -> Complex[Tensor, "link wave subcarrier"]:
        """Of the window."""
        place = torch.arange(self.width, device=turn.device, dtype=torch.float64)
        cycles = turn[..., None] * (place - (self.width - 1) / 2)
        return torch.polar(torch.ones_like(cycles), -2 * math.pi * cycles)

    def delay_steering(self, turn: Float[Tensor, "link wave"]) -> Complex[Tensor, "link wave beam"]:
        """Of the window, through the beams."""
        return self.subcarrier_steering(turn) @ self.beams.conj().mT

    def antenna_steering(
        self, direction: Float[Tensor, "link wave"]
    ) -> Complex[Tensor, "link wave antenna"]:
        """Of the window."""
        place = torch.arange(self.antennas, device=direction.device, dtype=torch.float64)
        place = place - (self.antennas - 1) / 2
        cycles = (direction * self.spacing[:, None].double())[..., None] * place
        return torch.polar(torch.ones_like(cycles), 2 * math.pi * cycles)


class _Spectrum:
    """How much of a wave lies in the signal's space, between 0 and 1; its peaks are the waves."""

    def __init__(self, looks: _Looks, signal: Complex[Tensor, "link wave antenna beam"]) -> None:
        self.looks = looks
        self.signal = signal

    def over(
        self, turn: Float[Tensor, "link delay"], direction: Float[Tensor, "link angle"]
    ) -> Float[Tensor, "link angle delay"]:
        """On a grid of each link's own."""
        a = self.looks.antenna_steering(direction).conj()
        c = self.looks.delay_steering(turn)
        inside = (a[:, None] @ self.signal @ c.conj().mT[:, None]).abs().square().sum(1)
        size = a.shape[-1] * c.abs().square().sum(-1)
        return inside / size[:, None]

    def peaks(self, most: int) -> tuple[Tensor, Tensor, Bool[Tensor, "link wave"]]:
        """The highest local maxima of a grid four times as fine as the window resolves."""
        looks = self.looks
        across = 8 * looks.antennas
        direction = (torch.arange(across, device=looks.middle.device).double() + 0.5) * (
            2 / across
        ) - 1
        steps = max(1, round(8 * looks.reach * looks.width))
        offset = torch.linspace(-1, 1, steps + 1, device=direction.device).double() * looks.reach
        turn = looks.middle[:, None] + offset
        map_ = self.over(turn, direction.expand(len(turn), -1))
        # Antennas further apart than half a wavelength hear a wave once in each alias: the one
        # before them is meant.
        alias = 1 / looks.spacing.double().abs().clamp(min=0.5)
        map_ = map_.masked_fill((direction.abs() > alias[:, None] / 2)[..., None], 0.0)
        around = F.max_pool2d(map_[:, None], 3, 1, 1)[:, 0]
        height = torch.where(map_ >= around, map_, 0.0).flatten(1)
        height, place = height.topk(most, dim=-1)
        row, column = place // turn.shape[1], place % turn.shape[1]
        return turn.gather(1, column), direction[row], height > 0

    def zoomed(
        self, turn: Float[Tensor, "link wave"], direction: Float[Tensor, "link wave"]
    ) -> tuple[Float[Tensor, "link wave"], Float[Tensor, "link wave"]]:
        """Each peak on ever finer grids of five by five places about it."""
        looks = self.looks
        around = torch.linspace(-1, 1, 5, device=turn.device).double()
        for wave in range(turn.shape[1]):
            t, u = turn[:, wave, None], direction[:, wave, None]
            reach_t, reach_u = 0.25 / looks.width, 0.25 / looks.antennas
            for _ in range(_ZOOMS):
                near_t, near_u = t + reach_t * around, (u + reach_u * around).clamp(-1, 1)
                best = self.over(near_t, near_u).flatten(1).argmax(-1, keepdim=True)
                t, u = near_t.gather(1, best % 5), near_u.gather(1, best // 5)
                reach_t, reach_u = reach_t / 2, reach_u / 2
            turn, direction = turn.clone(), direction.clone()
            turn[:, wave], direction[:, wave] = t[:, 0], u[:, 0]
        return turn, direction


def _least(
    values: Float[Tensor, "link value"],
    snapshots: Float[Tensor, " link"],
    price: Float[Tensor, " link"],
) -> Int[Tensor, " link"]:
    """Order at which the smallest eigenvalues are alike, for the price of a parameter."""
    size = values.shape[1]
    values = values.clamp(min=1e-300)
    order = torch.arange(size, device=values.device)
    rest = size - order
    tail = values.flip(-1).cumsum(-1).flip(-1) / rest
    logs = values.log().flip(-1).cumsum(-1).flip(-1) / rest
    unlike = snapshots[:, None] * rest * (tail.log() - logs)
    return (unlike + price[:, None] * order * (2 * size - order)).argmin(-1)


def _pilots_alone(sounding: Sounding) -> Sounding:
    """Observed antennas and subcarriers only: evenly spaced, the same in all links."""
    observed = sounding.csi != 0
    seen = observed.any(0)
    heard = observed.any((1, 2))
    unlike = (observed.any(2) != seen.any(1)).any(1) | (observed.any(1) != seen.any(0)).any(1)
    if bool((heard & unlike).any()):
        raise ValueError("MUSIC needs the same pilots in all links: ask it of one kind at a time")
    rows, columns = seen.any(1).nonzero()[:, 0], seen.any(0).nonzero()[:, 0]
    for name, index in (("antennas", rows), ("subcarriers", columns)):
        if bool((index.diff(n=2) != 0).any()):
            raise ValueError(f"MUSIC needs evenly spaced {name}, got pilots on {index.tolist()}")
    antenna = sounding.antenna[:, rows]
    if antenna.shape[1] > 2:
        bend = antenna.diff(dim=1).diff(dim=1).abs().max()
        if bool(bend > 1e-3) or bool(antenna.diff(dim=1)[..., 0].abs().max() > 1e-3):
            raise ValueError("MUSIC needs a uniform line array along y: use NOMP for others")
    return Sounding(
        csi=sounding.csi[:, rows][:, :, columns],
        frequency=sounding.frequency[:, columns],
        antenna=antenna,
        station_position=sounding.station_position,
        station_orientation=sounding.station_orientation,
        user=sounding.user,
        station=sounding.station,
    )
