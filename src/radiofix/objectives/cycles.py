"""Cycle-adaptive masking (SigMap, eq. 6 and 13 to 20): bands that run with a channel's ripples."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Complex, Float, Int
from torch import Tensor

from radiofix.objectives.masking import Mask

FLAT = 1e-12
"""Energy of an amplitude's ripples, beside its own, below which they are rounding."""
NEARER = 0.005
"""What the furthest shift must do better than none, of what lies between best and worst."""
NOTHING = 1e-18
"""Product of two energies, beside the square of all, below which nothing was compared."""


@dataclass(frozen=True, slots=True)
class CycleMask(Mask):
    """Slanted bands of hidden entries, each link's at the slope of its own ripples.

    Rows are antennas, columns subcarriers. From a row to the next the amplitude's ripples move by a
    shift d, found link by link; a band moves by d too and is 2 floor(|d|/2) + 1 wide, so that its
    pieces in neighbouring rows meet and no row shows what another hides.

    The paper calls its 128 rows antennas and its 32 columns subcarriers, but has 32 antennas and
    128 subcarriers; read as 128 rows of subcarriers, d is 0 for nearly all links at 10 MHz, and
    eq. 19 then puts all bands on one column. Hence antennas are rows and |d| is at least 1. Eq. 6
    lets bands go up with d, eq. 16 and 19 down: here they go the way the ripples do.
    """

    share: float | None = None
    """Of each link's entries, hidden exactly: bands are drawn one by one in the proportion of the
    two numbers below, and the last is cut short. None: as published, those numbers of bands. Eight
    antennas and 32 subcarriers in straight strips hide 7/16, these bands about as much on o1."""
    antenna_bands: int = 8
    """N_a of eq. 13: bands that begin at an antenna, on the first column they can."""
    subcarrier_bands: int = 32
    """N_s of eq. 13: bands that begin at a subcarrier, in the first row."""
    reach: float = 0.25
    """Largest shift that is looked for, as a share of the subcarriers."""

    def __post_init__(self) -> None:
        if self.share is not None and not 0 < self.share < 1:
            raise ValueError(f"share must lie between 0 and 1, got {self.share:g}")
        for name in ("antenna_bands", "subcarrier_bands"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0 < self.reach < 1:
            raise ValueError(f"reach must lie between 0 and 1, got {self.reach:g}")

    def __call__(
        self, csi: Complex[Tensor, "link antenna subcarrier"], generator: torch.Generator
    ) -> Bool[Tensor, "link antenna subcarrier"]:
        """Draws what is hidden (True) of each link."""
        _, antennas, subcarriers = csi.shape
        shift = row_shift(csi, max(1, int(self.reach * subcarriers)))
        bands = (self.antenna_bands, self.subcarrier_bands)
        return cycle_mask(shift, antennas, subcarriers, *bands, generator, self.share)


def row_shift(
    csi: Complex[Tensor, "link antenna subcarrier"], furthest: int, least: int = 1
) -> Int[Tensor, " link"]:
    """The shift d that makes each row most like the next, appendix B.4: from `least` to `furthest`.

    Row a + 1 at column k + d is like row a at column k. Ripples look alike again a period on, so
    that of shifts that do all but equally well the nearest to 0 is taken. A shift too small is made
    `least`, with the sign that fits better; with `least` 0 it may be 0, as in the paper.
    """
    if not 0 <= least <= furthest < csi.shape[2]:
        raise ValueError(
            f"shifts from {least} to {furthest} cannot be looked for in {csi.shape[2]} subcarriers"
        )
    like = row_correlation(csi, furthest)
    lag = torch.arange(-furthest, furthest + 1, device=csi.device)
    # Above 0 also where nothing can be compared: then no shift is better than 0.
    between = (like.amax(-1, keepdim=True) - like.amin(-1, keepdim=True)).clamp(min=1e-9)
    nearest = lag[(like - NEARER * between * lag.abs() / max(1, furthest)).argmax(-1)]
    up = like[:, furthest + least] >= like[:, furthest - least]
    return torch.where(nearest.abs() < least, torch.where(up, least, -least), nearest)


def row_correlation(
    csi: Complex[Tensor, "link antenna subcarrier"], furthest: int
) -> Float[Tensor, "link lag"]:
    """Correlation coefficient of each row's amplitude with the next row's, over all rows together.

    Only where both were observed: neither past the ends of a row nor off the pilots. Amplitudes are
    taken from the link's mean, which stays sure of the slope where a band holds less than a ripple.
    Lags go from -furthest to furthest; 0 where nothing can be compared.
    """
    amplitude = csi.abs().double()
    if not len(csi):
        # An FFT of nothing is refused.
        return amplitude.new_zeros(0, 2 * furthest + 1)
    seen = (csi != 0).double()
    mean = amplitude.sum((1, 2), keepdim=True) / seen.sum((1, 2), keepdim=True).clamp(min=1)
    ripple = (amplitude - mean) * seen
    total = ripple.square().sum((1, 2))[:, None]
    flat = total <= FLAT * amplitude.square().sum((1, 2))[:, None]
    length = csi.shape[2] + furthest
    ripples, there, energy = (
        torch.fft.rfft(rows, length) for rows in (ripple, seen, ripple.square())
    )

    def slid(rows: Tensor, past: Tensor) -> Tensor:
        """Sums over rows and columns of one times the next row of the other, lag by lag."""
        sums = torch.fft.irfft((rows[:, :-1].conj() * past[:, 1:]).sum(1), length)
        return torch.cat([sums[:, length - furthest :], sums[:, : furthest + 1]], -1)

    energies = slid(energy, there) * slid(there, energy)
    nothing = flat | (energies <= NOTHING * total.square())
    coefficient = slid(ripples, ripples) * energies.masked_fill(nothing, 1).rsqrt()
    return coefficient.masked_fill(nothing, 0)


def cycle_mask(
    shift: Int[Tensor, " link"],
    antennas: int,
    subcarriers: int,
    antenna_bands: int,
    subcarrier_bands: int,
    generator: torch.Generator,
    share: float | None = None,
) -> Bool[Tensor, "link antenna subcarrier"]:
    """True on slanted bands: of the published numbers, or as many as hide a share of the entries.

    For a share every possible band is given a random time, subcarriers' and antennas' at the rates
    of the published numbers; what is hidden first is hidden, until the share is met to the entry.
    """
    links, device = len(shift), generator.device
    if not links:
        return torch.zeros(0, antennas, subcarriers, dtype=torch.bool, device=shift.device)
    times = torch.empty(links, antennas + subcarriers, device=device)
    times = times.exponential_(generator=generator).to(shift.device)
    from_antenna, from_subcarrier = torch.split(times, [antennas, subcarriers], -1)
    if share is None:
        first = (
            _first(from_antenna, antenna_bands, "antennas"),
            _first(from_subcarrier, subcarrier_bands, "subcarriers"),
        )
        return hidden_since(shift, *first).isfinite()
    count = round(share * antennas * subcarriers)
    if not 0 < count < antennas * subcarriers:
        raise ValueError(
            f"share={share:g} of {antennas} x {subcarriers} entries is none or all: some must be "
            "hidden, some stay visible"
        )
    since = hidden_since(
        shift,
        from_antenna * (antennas / antenna_bands),
        from_subcarrier * (subcarriers / subcarrier_bands),
    )
    return _earliest(since.flatten(1), count).view_as(since)


def hidden_since(
    shift: Int[Tensor, " link"],
    from_antenna: Float[Tensor, "link antenna"],
    from_subcarrier: Float[Tensor, "link subcarrier"],
) -> Float[Tensor, "link antenna subcarrier"]:
    """When each entry is hidden first, given when each possible band is drawn: eq. 6, 15 to 20.

    A band from subcarrier k is at column k + a d in row a. One from antenna a is there at the first
    column if d is positive, at the last if it is negative, so that the two kinds share out the
    grid; the paper begins at the first column always, and leaves a corner bare for one sign.
    """
    antennas, subcarriers = from_antenna.shape[1], from_subcarrier.shape[1]
    device, step = shift.device, shift.abs()[:, None]
    row = torch.arange(antennas, device=device)
    column = torch.arange(subcarriers, device=device)
    # Where ripples go down, columns are counted from the last: then all bands go up.
    down = (shift < 0)[:, None]
    counted = torch.where(down, subcarriers - 1 - column, column)
    # A band is known by the column at which it meets the first row, or would before the first one.
    before = (antennas - 1) * int(step.max())
    drawn = from_subcarrier.new_full((len(shift), before + subcarriers), torch.inf)
    drawn = drawn.scatter_reduce(1, before - row * step, from_antenna, "amin")
    known = from_subcarrier.gather(1, counted)
    drawn[:, before:] = torch.minimum(drawn[:, before:], known)
    nearby = _least_around(drawn, step // 2)
    place = counted[:, None] - row[:, None] * step[..., None]
    since = nearby.gather(1, (place + before).flatten(1))
    return since.view(len(shift), antennas, subcarriers)


def _least_around(
    values: Float[Tensor, "link place"], half: Int[Tensor, "link 1"]
) -> Float[Tensor, "link place"]:
    """The least of the values at most `half` places away, as the least of two powers of two."""
    width, margin = 2 * half + 1, int(half.max())
    level = width.double().log2().long()
    table = [F.pad(values, (margin, margin), value=torch.inf)]
    for power in range(int(level.max())):
        further = F.pad(table[-1][:, 2**power :], (0, 2**power), value=torch.inf)
        table.append(torch.minimum(table[-1], further))
    stacked = torch.stack(table, 1)
    start = torch.arange(values.shape[1], device=values.device) + margin - half
    ends = torch.stack([start, start + width - 2**level], 1)
    chosen = stacked.gather(1, level[..., None].expand(-1, 1, stacked.shape[-1]))
    return chosen.expand(-1, 2, -1).gather(2, ends).amin(1)


def _first(
    times: Float[Tensor, "link start"], count: int, what: str
) -> Float[Tensor, "link start"]:
    """The `count` earliest times of each link; the others never come."""
    if count > times.shape[1]:
        raise ValueError(f"{count} bands cannot begin at {times.shape[1]} {what}: ask for fewer")
    return times.masked_fill(times > times.kthvalue(count).values[:, None], torch.inf)


def _earliest(times: Float[Tensor, "link entry"], count: int) -> Bool[Tensor, "link entry"]:
    """True for exactly `count` entries of each link: the earliest, ties in their order."""
    last = times.kthvalue(count).values[:, None]
    earlier, tied = times < last, times == last
    left = count - earlier.sum(-1, keepdim=True)
    return earlier | (tied & (tied.cumsum(-1) <= left))
