"""Panels as line arrays: the antennas above each other added up towards where a link comes from."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor

from radiofix.physics.strongest import Wave, strongest_waves
from radiofix.types import Fix, Sounding

LEVEL = 1e-2
"""Antennas that span less in height stand in one row [wavelengths]."""
SAME = 1e-3
"""Places this close are one [wavelengths]."""
_FINER = 8
"""Heights of a wave that are tried, for each that a column resolves."""
_NEARER = 0.2
"""By how much of its power a wave from straight above or below is taken as less likely: where rows
stand further apart than half a wavelength, it looks like one that is nearly level."""


def in_line(sounding: Sounding) -> Sounding:
    """The same links heard by one row: each column of a panel steered to the link's own height.

    What looks for waves takes them as level. The height at which a link is heard loudest is found
    from all of its antennas, and the antennas of each column, turned by as much, are averaged: a
    wave from there keeps its delay, its gain and its angle to the array's y axis, and noise loses
    what the rows average out. Waves of other heights are weakened, as by any such beam. Links of
    one row, or of antennas that stand in no columns, come back as they are.
    """
    column = columns(sounding.antenna)
    if column is None:
        return sounding
    csi, height = sounding.csi[:, column], sounding.antenna[:, column, 2]
    steering = _turned(height[:, 0], loudest(csi, height[:, 0])[:, None])[:, 0]
    seen = (csi != 0).sum(2).clamp(min=1)
    together = torch.einsum("lcrs,lr->lcs", csi, steering.conj().to(csi.dtype)) / seen
    row = sounding.antenna[:, column[:, 0]].clone()
    row[..., 2] = 0
    return dataclasses.replace(sounding, csi=together, antenna=row)


def strongest_waves_of(sounding: Sounding, count: int) -> list[Wave]:
    """The strongest waves of links, one after the other, of a panel as its row hears them."""
    row = in_line(sounding)
    return strongest_waves(row.csi, row.frequency, row.antenna, count)


def by_arrangement(sounding: Sounding, fix: Callable[[Sounding], Fix]) -> Fix:
    """Fixes of links whose arrays may differ, array by array: none depends on its company.

    Args:
        sounding: at least one link.
        fix: of links with one arrangement of antennas.
    """
    antenna = sounding.antenna
    if bool((antenna == antenna[:1]).all()):
        return fix(sounding)
    kind = torch.unique(antenna.flatten(1), dim=0, return_inverse=True)[1]
    groups = [torch.nonzero(kind == number)[:, 0] for number in range(int(kind.max()) + 1)]
    together = Fix.join([fix(sounding[group]) for group in groups])
    return together[torch.cat(groups).argsort()]


def columns(antenna: Float[Tensor, "link antenna 3"]) -> Int[Tensor, "column row"] | None:
    """Which antennas stand above each other, lowest first; None where they are no like columns.

    Args:
        antenna: of links with one arrangement of antennas, in each one's wavelengths.
    """
    if not antenna.numel() or not bool(_span(antenna[..., 2]).max() > LEVEL):
        return None
    first = antenna[0].double()
    place = torch.unique((first[:, :2] / SAME).round(), dim=0, return_inverse=True)[1]
    count = torch.bincount(place)
    rows = int(count[0])
    if rows < 2 or bool((count != rows).any()):
        return None
    order = torch.argsort(first[:, 2], stable=True)
    order = order[torch.argsort(place[order], stable=True)].reshape(-1, rows)
    # Columns as their first antennas come, so that neighbours stay neighbours.
    order = order[order.amin(1).argsort()]
    grid = antenna[:, order]
    level, height = grid[..., :2], grid[..., 2]
    upright = (level - level[:, :, :1]).abs().max() < SAME
    alike = (height - height[:, :1]).abs().max() < SAME
    apart = height.diff(dim=2).min() > SAME
    return order if bool(upright & alike & apart) else None


def loudest(
    csi: Complex[Tensor, "link column row subcarrier"], height: Float[Tensor, "link row"]
) -> Float[Tensor, " link"]:
    """Cosine to the array's z axis at which each link is heard loudest."""
    rows = torch.einsum("lcrs,lcqs->lrq", csi, csi.conj())
    tried = _FINER * max(csi.shape[2], math.ceil(2 * float(_span(height).max()) - LEVEL) + 1)
    upward = (torch.arange(tried, device=csi.device) + 0.5) * (2 / tried) - 1
    beams = _turned(height, upward.expand(len(csi), -1)).to(csi.dtype)
    power = torch.einsum("lbr,lrq,lbq->lb", beams.conj(), rows, beams).real
    power = power * (1 - _NEARER * upward.abs())
    peak = power.argmax(1, keepdim=True)
    before, here, after = (power.gather(1, (peak + n).clamp(0, tried - 1)) for n in (-1, 0, 1))
    bend = before - 2 * here + after
    shift = 0.5 * (before - after) / torch.where(bend < 0, bend, -torch.ones_like(bend))
    found = (peak[:, 0] + shift[:, 0].clamp(-0.5, 0.5) + 0.5) * (2 / tried) - 1
    return found.clamp(-1, 1)


def _turned(
    height: Float[Tensor, "link row"], upward: Float[Tensor, "link beam"]
) -> Complex[Tensor, "link beam row"]:
    """Steering vectors over the antennas of a column."""
    cycles = upward[..., None] * height[:, None].to(upward.dtype)
    return torch.polar(torch.ones_like(cycles), 2 * math.pi * cycles)


def _span(values: Float[Tensor, "*batch place"]) -> Float[Tensor, "*batch"]:
    return values.amax(-1) - values.amin(-1)
