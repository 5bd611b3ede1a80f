"""The contrast: the right partner, no false negatives, one loss for any number of processes."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import distributed, multiprocessing, nn

from models.soundings import gradient, random_latent
from objectives.views import generator, random_views, small_objectives
from radiofix.objectives.picl import bound, contrast, nt_xent

LINKS, FEATURES = 8, 5
USERS = torch.tensor([0, 1, 2, 3, 4, 1, 6, 7])
"""User 1 comes twice, once to each of two processes."""


def reference(z: np.ndarray, owner: np.ndarray, temperature: float) -> float:
    """Equations 13 and 14, row by row, without rows of the anchor's own user."""
    z = z / np.linalg.norm(z, axis=1, keepdims=True)
    links, total = len(z) // 2, 0.0
    for i in range(len(z)):
        partner = (i + links) % len(z)
        others = [j for j in range(len(z)) if j == partner or owner[j] != owner[i]]
        sims = np.exp(z @ z[i] / temperature)
        total -= np.log(sims[partner] / sims[others].sum())
    return total / len(z)


def test_the_loss_is_equations_13_and_14() -> None:
    first, second = torch.randn(2, 7, 4, generator=generator())
    user = torch.tensor([0, 1, 2, 1, 4, 5, 1])
    expected = reference(torch.cat([first, second]).numpy(), np.tile(user.numpy(), 2), 0.2)
    assert float(nt_xent(first, second, user)) == pytest.approx(expected, rel=1e-5)


def test_aligned_orthogonal_pairs_cost_what_is_left_by_hand() -> None:
    views, links = torch.eye(6), 6
    expected = math.log(1 + (2 * links - 2) * math.exp(-1 / 0.2))
    loss = nt_xent(views, 3 * views, torch.arange(links))
    assert float(loss) == pytest.approx(expected, rel=1e-5)
    wrong = nt_xent(views, views.roll(1, 0), torch.arange(links))
    assert float(wrong) == pytest.approx(expected + 5, rel=1e-5)


def test_two_rows_of_a_user_do_not_push_each_other_away() -> None:
    views = torch.eye(4).requires_grad_()
    nt_xent(views, views.detach(), torch.zeros(4, dtype=torch.int64)).backward()
    assert float(views.grad.abs().max()) == 0


def test_the_bound_of_theorem_2_is_the_logarithm_of_the_batch_less_the_loss() -> None:
    assert bound(0.5, 32) == pytest.approx(math.log(32) - 0.5)
    loss = float(nt_xent(torch.ones(32, 4), torch.ones(32, 4), torch.arange(32)))
    assert bound(loss, 32) < 0


def test_gradient_reaches_decoder_and_its_own_part_through_both_views() -> None:
    objective, views = small_objectives()["picl"], random_views()
    objective.decoder.configuration.fit([views.first, views.second])
    latents = [random_latent(dim=32), random_latent(dim=32, seed=3)]
    prepared = objective.prepare(views, generator())
    assert prepared.soundings[0] is views.first
    assert prepared.soundings[1] is views.second
    objective(latents, prepared).backward()
    sizes = gradient(objective)
    assert all(size > 0 for size in sizes.values()), sizes
    for latent in latents:
        for slope in (latent.summary.grad, latent.tokens.grad):
            assert float(slope[..., 24:].abs().amax(-1).min()) > 0
            assert float(slope[..., :24].abs().max()) == 0


def test_the_pairing_is_the_target() -> None:
    first, second = torch.randn(2, 6, 4, generator=generator())
    user = torch.arange(6)
    assert float(nt_xent(first, second.flip(0), user)) != float(nt_xent(first, second, user))


def layer_and_rows() -> tuple[nn.Linear, torch.Tensor]:
    torch.manual_seed(0)
    return nn.Linear(FEATURES, 4), torch.randn(2, LINKS, FEATURES, generator=generator())


def one_of_two(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=2)
    layer, rows = layer_and_rows()
    mine = slice(rank * LINKS // 2, (rank + 1) * LINKS // 2)
    loss = contrast(layer(rows[0, mine]), layer(rows[1, mine]), USERS[mine])
    loss.backward()
    for parameter in layer.parameters():
        distributed.all_reduce(parameter.grad)
        parameter.grad /= 2
    found = {"loss": loss.detach(), "weight": layer.weight.grad, "bias": layer.bias.grad}
    torch.save(found, f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


def test_two_processes_have_the_loss_and_the_gradients_of_one(tmp_path: Path) -> None:
    multiprocessing.spawn(one_of_two, (str(tmp_path),), nprocs=2)
    layer, rows = layer_and_rows()
    loss = contrast(layer(rows[0]), layer(rows[1]), USERS)
    loss.backward()
    for rank in range(2):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        torch.testing.assert_close(found["loss"], loss.detach())
        torch.testing.assert_close(found["weight"], layer.weight.grad, rtol=1e-5, atol=1e-7)
        torch.testing.assert_close(found["bias"], layer.bias.grad, rtol=1e-5, atol=1e-7)
