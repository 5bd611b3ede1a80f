"""Extrapolation of a channel from what is visible, without learning."""

from __future__ import annotations

import math

import pytest
import torch

from objectives.views import any_grid, generator
from radiofix.objectives.extrapolation import baselines, strongest_path
from radiofix.objectives.masking import antenna_subcarrier_mask


def plane_waves(links: int, seed: int = 0) -> torch.Tensor:
    """One path a link, between the bins of any transform."""
    draw = torch.rand(links, 2, generator=generator(seed), dtype=torch.float64) - 0.5
    antenna, subcarrier = torch.arange(16.0)[:, None], torch.arange(32.0)
    phase = draw[:, 0, None, None] * antenna + draw[:, 1, None, None] * subcarrier
    return torch.polar(torch.ones_like(phase), 2 * math.pi * phase)


def hidden_of(links: int) -> torch.Tensor:
    return antenna_subcarrier_mask(links, 16, 32, 8, 16, generator(), torch.device("cpu"))


def test_a_single_path_is_continued_exactly() -> None:
    csi, hidden = 3j * plane_waves(20), hidden_of(20)
    got = baselines(csi, ~hidden, hidden)
    assert float(got["one path"].max()) < 1e-12
    torch.testing.assert_close(got["zero"], torch.ones(20, dtype=torch.float64))


def test_the_strongest_of_two_paths_leaves_the_energy_of_the_other() -> None:
    csi = plane_waves(40) + 0.3 * plane_waves(40, seed=1)
    hidden = hidden_of(40)
    left = baselines(csi, ~hidden, hidden)["one path"].median()
    assert float(left) == pytest.approx(0.09 / 1.09, rel=0.25)


def test_what_is_hidden_has_no_say() -> None:
    csi, hidden = plane_waves(5) + 0.5 * plane_waves(5, seed=1), hidden_of(5)
    noise = torch.nn.functional.pad(any_grid(5), (0, 16, 0, 8)).to(torch.complex128)
    other = torch.where(hidden, noise, csi)
    assert torch.equal(strongest_path(other, ~hidden), strongest_path(csi, ~hidden))


def test_a_link_without_signal_is_continued_by_nothing() -> None:
    assert float(strongest_path(torch.zeros(2, 16, 32) * 1j, ~hidden_of(2)).abs().max()) == 0
