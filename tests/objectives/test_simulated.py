"""Simulated supervision: its loss, its combs, and what it trains."""

import numpy as np
import torch

from objectives.views import generator, random_views
from radiofix.models.frame import FrameHead
from radiofix.models.latent import Latent
from radiofix.models.radiofix import RadiofixEncoder
from radiofix.objectives.objective import Prepared
from radiofix.objectives.simulated import Simulated


def simulated(**options):
    return Simulated(FrameHead(32), antennas=8, subcarriers=16, **options)


def latents(links):
    return Latent(torch.randn(links, 32, generator=generator()), torch.zeros(links, 1, 32))


def test_the_loss_is_the_error_over_the_distance_and_the_surprise_of_it():
    objective = simulated()
    prepared = objective.prepare(random_views(), generator())
    latent = latents(len(prepared.soundings[0]))
    estimate = objective.head(latent, prepared.soundings[0])
    position = prepared.targets[0].numpy()[:, :2]
    away = estimate.position.detach().numpy()[:, :2] - position
    covariance = (estimate.scale @ estimate.scale.mT).detach().numpy()
    lengths = [np.sqrt(e @ np.linalg.solve(c, e)) for e, c in zip(away, covariance, strict=True)]
    volume = 0.5 * np.log(np.linalg.det(covariance))
    surprise = np.sqrt(3) * np.array(lengths) + volume + np.log(2 * np.pi / 3)
    share = np.linalg.norm(away, axis=1) / np.sqrt(np.trace(covariance, axis1=1, axis2=2))
    expected = np.mean(share + surprise)
    assert np.isclose(float(objective([latent], prepared)), expected, rtol=1e-5)


def test_the_covariance_learns_without_moving_the_position():
    objective = simulated()
    prepared = objective.prepare(random_views(), generator())
    latent = latents(len(prepared.soundings[0]))
    estimate = objective.head(latent, prepared.soundings[0])
    exact = Prepared(prepared.soundings, (estimate.position.detach(),))
    objective([latent], exact).backward()
    grown = objective.head.output.weight.grad
    assert grown[:2].abs().max() == 0
    assert grown[2:].abs().max() > 0


def test_links_are_thinned_to_combs_of_pilots_as_often_as_said():
    every = simulated(thinned=0.0).draw(64, generator())[0].csi
    assert (every != 0).all()
    some = simulated(thinned=1.0).draw(64, generator())[0].csi != 0
    rows, columns = some.any(2), some.any(1)
    assert torch.equal(some, rows[:, :, None] & columns[:, None, :])
    assert rows[:, 0].all()
    assert set(rows[:, 1:].int().argmax(1).add(1).tolist()) == {2, 3, 4, 5}
    half = (simulated(thinned=0.5).draw(400, generator())[0].csi == 0).flatten(1).any(1)
    assert 0.4 < half.float().mean() < 0.6


def test_bandwidths_are_the_stated_ones_and_users_the_worlds():
    sounding, position = simulated(bandwidths=(10e6, 40e6)).draw(40, generator())
    assert {round(b / 1e6) for b in sounding.bandwidth.tolist()} == {10, 40}
    assert torch.equal(sounding.station_position, torch.zeros_like(sounding.station_position))
    assert (position[:, 0] >= 0).all()


def test_a_few_steps_learn_where_the_users_are():
    torch.manual_seed(0)
    objective = simulated(thinned=0.0)
    encode = RadiofixEncoder(32, 2, 4, 4, 8)
    learner = torch.optim.Adam([*encode.parameters(), *objective.parameters()], 3e-3)
    draws, losses = generator(), []
    for _ in range(60):
        prepared = objective.prepare(random_views(links=48), draws)
        loss = objective([encode(prepared.soundings[0])], prepared)
        learner.zero_grad()
        loss.backward()
        learner.step()
        losses.append(float(loss.detach()))
    assert np.mean(losses[-10:]) < 0.8 * np.mean(losses[:10])
