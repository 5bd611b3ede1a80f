"""What masked modelling has to beat: simple guesses at a channel's hidden entries."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

from radiofix.objectives.sfmcm import hidden_nmse
from radiofix.physics.transforms import delay_angle

_FINER = 4
"""Bins of the search for the peak, for each bin of the transform."""
_STEPS = 8
"""Of Gauss and Newton; from a quarter of a bin three or four are enough."""


def baselines(
    target: Complex[Tensor, "link antenna subcarrier"],
    visible: Bool[Tensor, "link antenna subcarrier"],
    hidden: Bool[Tensor, "link antenna subcarrier"],
) -> dict[str, Float[Tensor, " link"]]:
    """Hidden NMSE of guessing zero and of the strongest visible path, to print beside a model's."""
    return {
        "zero": hidden_nmse(torch.zeros_like(target), target, hidden),
        "one path": hidden_nmse(strongest_path(target, visible), target, hidden),
    }


def strongest_path(
    csi: Complex[Tensor, "link antenna subcarrier"],
    visible: Bool[Tensor, "link antenna subcarrier"],
) -> Complex[Tensor, "link antenna subcarrier"]:
    """The one plane wave that fits the visible entries best, continued over all entries.

    Starts at the strongest peak of the visible entries' delay-angle view, and refines its angle,
    delay and gain by least squares over the visible entries.
    """
    seen = csi.masked_fill(~visible, 0).to(torch.complex128)
    weight = visible.double()
    turns = _peak(seen)
    wave, error = _fitted(seen, weight, turns)
    for _ in range(_STEPS):
        trial = turns + _newton_step(seen, weight, wave)
        trial_wave, trial_error = _fitted(seen, weight, trial)
        better = trial_error < error
        turns = torch.where(better[:, None], trial, turns)
        wave = torch.where(better[:, None, None], trial_wave, wave)
        error = torch.where(better, trial_error, error)
    return wave.to(csi.dtype)


def _peak(seen: Complex[Tensor, "link antenna subcarrier"]) -> Float[Tensor, "link 2"]:
    """Turns an antenna and a subcarrier at the highest bin of the finer delay-angle view."""
    antennas, subcarriers = seen.shape[1:]
    rows, columns = _FINER * antennas, _FINER * subcarriers
    padded = torch.nn.functional.pad(seen, (0, columns - subcarriers, 0, rows - antennas))
    peak = delay_angle(padded).abs().flatten(1).argmax(-1)
    row, column = peak // columns, peak % columns
    return -torch.stack([row.double() / rows, column.double() / columns], -1)


def _places(grid: Tensor) -> tuple[Float[Tensor, "antenna 1"], Float[Tensor, " subcarrier"]]:
    """Antenna and subcarrier indices from the middle, where gain and angle mix least."""
    antenna, subcarrier = (
        torch.arange(n, dtype=torch.float64, device=grid.device) - (n - 1) / 2
        for n in grid.shape[1:]
    )
    return antenna[:, None], subcarrier


def _fitted(
    seen: Complex[Tensor, "link antenna subcarrier"],
    weight: Float[Tensor, "link antenna subcarrier"],
    turns: Float[Tensor, "link 2"],
) -> tuple[Complex[Tensor, "link antenna subcarrier"], Float[Tensor, " link"]]:
    """The plane wave of these turns with the best gain, and its squared error where visible."""
    antenna, subcarrier = _places(seen)
    phase = turns[:, 0, None, None] * antenna + turns[:, 1, None, None] * subcarrier
    unit = torch.polar(torch.ones_like(phase), 2 * math.pi * phase)
    gain = (unit.conj() * seen).sum((1, 2)) / weight.sum((1, 2)).clamp(min=1)
    wave = gain[:, None, None] * unit
    return wave, ((wave - seen).abs().square() * weight).sum((1, 2))


def _newton_step(
    seen: Complex[Tensor, "link antenna subcarrier"],
    weight: Float[Tensor, "link antenna subcarrier"],
    wave: Complex[Tensor, "link antenna subcarrier"],
) -> Float[Tensor, "link 2"]:
    """Gauss-Newton change of the turns, the gain free to follow."""
    antenna, subcarrier = _places(seen)
    # Derivatives by the logarithm of the gain (real, imaginary) and by the two turns.
    slopes = [wave, 1j * wave, 2j * math.pi * antenna * wave, 2j * math.pi * subcarrier * wave]
    jacobian = torch.view_as_real((torch.stack(slopes, -1) * weight[..., None]).flatten(1, 2))
    jacobian = jacobian.transpose(2, 3).flatten(1, 2)
    residual = torch.view_as_real(((seen - wave) * weight).flatten(1)).flatten(1)[..., None]
    # The pseudo-inverse, as a link may have no signal, or a single visible antenna.
    inverse: Tensor = torch.linalg.pinv(jacobian.mT @ jacobian, hermitian=True)
    return (inverse @ (jacobian.mT @ residual))[:, 2:, 0]
