"""From a channel to its delay-angle view, and to a profile finer than its band."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.linalg import dft

from models.soundings import gradient, random_latent
from objectives.views import Answer, any_grid, generator, random_views, small_objectives
from radiofix.objectives.dti import SuperResolution, dissimilarity, profile


def test_the_target_is_the_true_transform_of_the_view_which_is_handed_on_as_it_is() -> None:
    views, objective = random_views(), small_objectives()["dti"]
    prepared = objective.prepare(views, generator())
    angles, delays = dft(8, scale="sqrtn"), dft(16, scale="sqrtn")
    expected = np.stack([angles.conj().T @ h @ delays.conj() for h in views.first.csi.numpy()])
    power = np.mean(np.abs(views.first.csi.numpy()) ** 2, (1, 2), keepdims=True)
    np.testing.assert_allclose(
        prepared.targets[0].numpy(), expected / np.sqrt(power), rtol=1e-3, atol=1e-4
    )
    assert prepared.soundings[0] is views.first


def test_the_loss_is_equation_10() -> None:
    target, guess = any_grid(seed=1), any_grid(seed=2)
    expected = [
        1 - abs(np.vdot(t, g)) / np.linalg.norm(t) / np.linalg.norm(g)
        for t, g in zip(target.numpy(), guess.numpy(), strict=True)
    ]
    np.testing.assert_allclose(dissimilarity(guess, target).numpy(), expected, rtol=1e-5)


def test_a_common_phase_and_a_common_gain_cost_nothing_but_the_plain_channel_does() -> None:
    objective = small_objectives()["dti"]
    prepared = objective.prepare(random_views(), generator())
    latent, (target,) = random_latent(dim=32), prepared.targets
    objective.decoder = Answer(12, 7 * target * torch.exp(torch.tensor(2.1j)))
    assert float(objective([latent], prepared)) == pytest.approx(0, abs=1e-6)
    objective.decoder = Answer(12, random_views().first.csi)
    assert float(objective([latent], prepared)) > 0.5


def test_silence_is_as_far_off_as_can_be_and_has_a_finite_gradient() -> None:
    guess = torch.zeros_like(any_grid()).requires_grad_()
    loss = dissimilarity(guess, any_grid()).mean()
    loss.backward()
    assert float(loss.detach()) == 1
    assert bool(torch.view_as_real(guess.grad).isfinite().all())


def test_gradient_reaches_the_decoder_and_its_own_part_of_the_latent_only() -> None:
    objective, latent = small_objectives()["dti"], random_latent(dim=32)
    objective([latent], objective.prepare(random_views(), generator())).backward()
    assert all(size > 0 for size in gradient(objective).values())
    for slope in (latent.summary.grad, latent.tokens.grad):
        assert float(slope[..., 12:24].abs().min()) > 0
        assert float(slope[..., :12].abs().max()) == 0
        assert float(slope[..., 24:].abs().max()) == 0


def wave(antennas: int, subcarriers: int, angle: float, delay: float) -> torch.Tensor:
    """A path in an angle cell and a delay cell, both as a share of the whole transform."""
    antenna = torch.arange(antennas, dtype=torch.float64)[:, None]
    phase = -antenna * angle - torch.arange(subcarriers, dtype=torch.float64) * delay
    return torch.polar(torch.ones_like(phase), 2 * math.pi * phase)[None]


@pytest.mark.parametrize(("antennas", "subcarriers"), [(16, 32), (4, 52), (64, 13), (8, 16)])
def test_a_path_has_its_power_in_the_same_cell_for_every_array_and_band(
    antennas: int, subcarriers: int
) -> None:
    cells = profile(wave(antennas, subcarriers, 5.5 / 8, 3.5 / 16), 8, 16)[0]
    assert float(cells.sum()) == pytest.approx(1)
    row, column = divmod(int(cells.argmax()), 16)
    # A cell of the coarsest transform begins at its bin: 5.5 of 8 lies between 5 and 6.
    assert row in (5, 6)
    assert column in (3, 4)


def test_the_profile_is_the_power_of_the_transform_added_up_in_cells() -> None:
    csi = any_grid()
    power = np.abs(np.fft.ifft2(csi.numpy())) ** 2
    cells = power.reshape(6, 4, 2, 8, 2).sum((2, 4))
    expected = cells / cells.sum((1, 2), keepdims=True)
    np.testing.assert_allclose(profile(csi, 4, 8).numpy(), expected, rtol=1e-4)


def test_super_resolution_is_the_cross_entropy_with_the_widest_views_profile() -> None:
    torch.manual_seed(0)
    objective, views = SuperResolution((4, 20), 4, 8, width=16), random_views()
    prepared = objective.prepare(views, generator())
    latent = random_latent(dim=32)
    logits = objective.predictor(latent.summary[:, 4:20]).detach().double().numpy()
    target = profile(views.widest.csi, 4, 8).flatten(1).numpy()
    log_share = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    expected = -(target * log_share).sum(1).mean()
    assert float(objective([latent], prepared).detach()) == pytest.approx(expected, rel=1e-5)
    assert prepared.soundings[0] is views.first


def test_super_resolution_learns_by_the_widest_view_through_its_part_of_the_summary() -> None:
    torch.manual_seed(0)
    objective, views = SuperResolution((4, 20), 4, 8, 16), random_views()
    latent = random_latent(dim=32)
    loss = objective([latent], objective.prepare(views, generator()))
    loss.backward()
    assert all(size > 0 for size in gradient(objective).values())
    assert float(latent.summary.grad[:, 4:20].abs().min()) > 0
    assert float(latent.summary.grad[:, :4].abs().max()) == 0
    other = replace(views, widest=views.second)
    moved = objective([latent], objective.prepare(other, generator()))
    assert float(moved.detach()) != float(loss.detach())
    with pytest.raises(ValueError, match=r"part=\(3, 3\) of the latent is empty"):
        SuperResolution((3, 3))
