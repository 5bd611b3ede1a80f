"""Whether a link holds a wave at all, or no more than white noise would show by chance."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Complex, Float, Shaped
from torch import Tensor

from radiofix.physics.strongest import FINER, Wave, count_beams

FALSE_ALARMS = 1e-3
"""Share of links of white noise that may show a wave somewhere on the grids that are searched."""
AMPLITUDES = (1e-14, 1e14)
"""Between which single precision can square and sum a link's CSI."""


def readable(power: Float[Tensor, " link"]) -> Bool[Tensor, " link"]:
    """Links that hold numbers to work with: something was observed, and all of it is finite.

    Args:
        power: mean |H|^2 over what was observed.
    """
    return (power >= AMPLITUDES[0] ** 2) & (power <= AMPLITUDES[1] ** 2)


def shows_a_wave(
    csi: Complex[Tensor, "link antenna subcarrier"],
    frequency: Float[Tensor, "link subcarrier"],
    antenna: Float[Tensor, "link antenna 3"],
    wave: Wave,
) -> Bool[Tensor, " link"]:
    """Links whose strongest wave holds more of their energy than it would of white noise.

    Args:
        csi: zeros where nothing was observed.
        frequency: of each subcarrier, from the carrier [Hz].
        antenna: in the station's frame [wavelengths].
        wave: the strongest of each link.
    """
    turns = frequency.double() * wave.delay.double()[:, None]
    phase = 2 * math.pi * (turns - turns.round()).to(wave.delay.dtype)
    late = torch.polar(torch.ones_like(phase), phase).to(csi.dtype)
    return beyond_chance(
        gain=_squared(wave.gain),
        matched=_squared((csi @ late[..., None])[..., 0]),
        energy=_squared(csi).sum((1, 2)),
        seen=(csi != 0).sum(-1),
        cells=csi.real.new_tensor([count_beams(antenna), FINER * csi.shape[2]]),
    )


def beyond_chance(
    gain: Float[Tensor, " link"],
    matched: Float[Tensor, "link antenna"],
    energy: Float[Tensor, " link"],
    seen: Shaped[Tensor, "link antenna"],
    cells: Float[Tensor, "2"],
) -> Bool[Tensor, " link"]:
    """Whether a wave holds more energy than white noise would let it, in `FALSE_ALARMS` at most.

    Either as a plane wave, one dimension of the n that were observed, the best of all beams and
    delays; or by its delay alone, one dimension an antenna, the best of all delays: what comes from
    above to a panel, or to antennas with phases of their own, is no level plane wave.

    Args:
        gain: |g|^2 of the wave.
        matched: |sum over subcarriers of H exp(+j 2 pi f tau)|^2 of each antenna.
        energy: sum of |H|^2.
        seen: how many subcarriers were observed.
        cells: beams and delays among which the wave was the strongest.
    """
    seen, energy = seen.double(), energy.double()
    entries, antennas = seen.sum(-1), (seen > 0).double().sum(-1)
    as_wave = gain.double() * entries / energy
    by_delay = (matched.double() / seen.clamp(min=1)).sum(-1) / energy
    beams, delays = cells.double().unbind()
    enough = -math.log(FALSE_ALARMS / 2)
    return (
        surprise(as_wave, torch.ones_like(entries), entries) > enough + (beams * delays).log()
    ) | (surprise(by_delay, antennas, entries) > enough + delays.log())


def surprise(
    share: Float[Tensor, " link"],
    dimensions: Float[Tensor, " link"],
    entries: Float[Tensor, " link"],
) -> Float[Tensor, " link"]:
    """-log of a bound on the probability that so much white noise lies in so few dimensions.

    The share of n entries' energy in d dimensions is Beta(d, n - d); it exceeds s as often as a
    binomial of n - 1 trials of probability s stays below d, at most exp(-(n - 1) KL(p, s)) with
    p = (d - 1) / (n - 1) < s (Chernoff's bound; for d = 1 it is the probability itself).
    """
    trials = (entries - 1).clamp(min=1)
    usual = (dimensions - 1) / trials
    share, rest = share.clamp(1e-12, 1 - 1e-12), (1 - usual).clamp(min=1e-12)
    divergence = usual * (usual.clamp(min=1e-12) / share).log() + rest * (rest / (1 - share)).log()
    return torch.where((share > usual) & (entries > 1), trials * divergence, 0.0)


def _squared(values: Complex[Tensor, "..."]) -> Float[Tensor, "..."]:
    return torch.view_as_real(values).square().sum(-1)
