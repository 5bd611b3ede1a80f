"""Masked modelling: the loss is on what was hidden, and what was hidden stays so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from models.soundings import gradient, random_latent
from objectives.views import Answer, any_grid, decoder, generator, random_views, small_objectives
from radiofix.models.latent import from_wave
from radiofix.objectives.masking import AntennaSubcarrierMask
from radiofix.objectives.objective import Prepared
from radiofix.objectives.sfmcm import Sfmcm, hidden_nmse
from radiofix.physics.strongest import strongest_wave


def prepared_with(objective: Sfmcm, csi: torch.Tensor | None = None) -> Prepared:
    views = random_views()
    first = views.first if csi is None else views.first.with_csi(csi)
    return objective.prepare(replace(views, first=first), generator())


def test_the_loss_is_equation_9_over_the_energy_of_what_was_hidden() -> None:
    target, guess = any_grid(seed=1), any_grid(seed=2)
    hidden = torch.rand(target.shape, generator=generator()) < 0.6
    expected = []
    for h, g, m in zip(target.numpy(), guess.numpy(), hidden.numpy(), strict=True):
        error = np.linalg.norm((g - h) * m) ** 2
        expected.append(error / np.linalg.norm(h * m) ** 2)
    np.testing.assert_allclose(hidden_nmse(guess, target, hidden).numpy(), expected, rtol=1e-5)


def test_a_perfect_reconstruction_costs_nothing_and_a_guess_of_zero_costs_one() -> None:
    objective = small_objectives()["sfmcm"]
    prepared = prepared_with(objective)
    target, _ = prepared.targets
    latent = random_latent(dim=32)
    for answer, loss in ((target, 0.0), (torch.zeros_like(target), 1.0), (-target, 4.0)):
        objective.decoder = Answer(12, answer)
        assert float(objective([latent], prepared)) == pytest.approx(loss, rel=1e-6)


def test_the_target_is_on_the_scale_that_the_encoder_sees() -> None:
    prepared = prepared_with(small_objectives()["sfmcm"])
    target, hidden = prepared.targets
    seen = target.masked_fill(hidden, 0).abs().square().sum((1, 2)) / (~hidden).sum((1, 2))
    torch.testing.assert_close(seen, torch.ones(6))
    visible = prepared.soundings[0].csi
    scale = visible.abs().square().sum((1, 2)) / (visible != 0).sum((1, 2))
    torch.testing.assert_close(target * scale.sqrt()[:, None, None], random_views().first.csi)


def test_hidden_entries_do_not_leak_into_what_is_encoded() -> None:
    objective = small_objectives()["sfmcm"]
    before = prepared_with(objective)
    target, hidden = before.targets
    csi = random_views().first.csi
    after = prepared_with(objective, torch.where(hidden, 1e-4 * any_grid(), csi))
    assert bool((before.soundings[0].csi[hidden] == 0).all())
    assert torch.equal(after.soundings[0].csi, before.soundings[0].csi)
    assert torch.equal(after.targets[0][~hidden], target[~hidden])
    assert not torch.equal(after.targets[0][hidden], target[hidden])
    latent = random_latent(dim=32)
    losses = [float(objective([latent], prepared).detach()) for prepared in (before, after)]
    assert losses[0] != losses[1]


def test_what_no_pilot_observed_is_not_asked_for() -> None:
    csi = random_views().first.csi.clone()
    csi[:, :, 1::2] = 0
    _, hidden = prepared_with(small_objectives()["sfmcm"], csi).targets
    assert not bool(hidden[:, :, 1::2].any())
    assert bool(hidden[:, :, ::2].any())


def test_gradient_reaches_the_decoder_and_its_own_part_of_the_latent_only() -> None:
    objective = small_objectives()["sfmcm"]
    latent = random_latent(dim=32)
    objective([latent], prepared_with(objective)).backward()
    assert all(size > 0 for size in gradient(objective).values())
    for slope in (latent.summary.grad, latent.tokens.grad):
        assert float(slope[..., :12].abs().min()) > 0
        assert float(slope[..., 12:].abs().max()) == 0


def test_a_decoder_of_another_width_than_the_part_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"part=\(0, 16\) is 16 wide, but its decoder takes dim=12"
    ):
        Sfmcm(decoder(12), AntennaSubcarrierMask(4, 8), (0, 16))
    with pytest.raises(ValueError, match=r"part=\(16, 4\) of the latent is empty or out of order"):
        Sfmcm(decoder(12), AntennaSubcarrierMask(4, 8), (16, 4))


def test_a_channel_seen_from_its_strongest_wave_is_asked_for_as_it_was_seen() -> None:
    views, objective = random_views(), small_objectives()["sfmcm"]
    prepared = objective.prepare(views, generator())
    (sounding,), (target, hidden) = prepared.soundings, prepared.targets
    wave = strongest_wave(sounding.csi, sounding.frequency, sounding.antenna)
    latent = replace(random_latent(dim=32), wave=wave)
    turned = from_wave(target, sounding, wave)
    assert float((turned - target).abs().max()) > 0.1
    objective.decoder = Answer(12, turned)
    assert float(objective([latent], prepared)) == pytest.approx(0, abs=1e-9)
    objective.decoder = Answer(12, target)
    assert float(objective([latent], prepared)) > 0.5
    assert hidden.any()
