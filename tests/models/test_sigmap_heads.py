"""SigMap's heads: positions in three dimensions, and who is believed how much."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from models.soundings import gradient, random_latent, random_truth, replaced, steady_sounding
from radiofix.models.heads import fuse
from radiofix.models.sigmap_heads import (
    ClassTokenHead,
    DedicatedHeads,
    NlosAwareHead,
    NlosScore,
    SigmapFusionHead,
    TanhScore,
)

DIM = 16


def fitted(head: nn.Module) -> nn.Module:
    """A head with the scale of some users and weights that are always the same."""
    torch.manual_seed(0)
    for parameter in head.parameters():
        nn.init.normal_(parameter, std=0.3)
    head.fit([steady_sounding(30)], [random_truth(30)])
    return head


def of_two_users() -> torch.Tensor:
    return torch.arange(6) % 2 * 5 + 3


def perceptron(head: ClassTokenHead, read: np.ndarray) -> np.ndarray:
    """Eq. 8 in NumPy, in metres."""
    w1, b1, w2, b2 = (
        p.detach().numpy()
        for p in (head.hidden.weight, head.hidden.bias, head.output.weight, head.output.bias)
    )
    truth = random_truth(30).position.numpy()
    return (np.maximum(read @ w1.T + b1, 0) @ w2.T + b2) * truth.std(0) + truth.mean(0)


def test_sizes_give_the_numbers_of_parameters_that_are_told() -> None:
    def count(head: nn.Module) -> int:
        return sum(p.numel() for p in head.parameters())

    one = 512 * 256 + 256 + 256 * 3 + 3
    assert count(ClassTokenHead()) == one == 132_099
    assert count(NlosAwareHead()) == one + 512
    assert count(SigmapFusionHead([0, 1, 2, 3])) == 4 * one + 512 * 64 + 64
    assert count(SigmapFusionHead(None)) == one + 512 * 64 + 64


def test_a_position_is_equation_8_of_the_class_token_in_three_dimensions() -> None:
    head, latent = fitted(ClassTokenHead(DIM, 8)), random_latent()
    said = head(latent, steady_sounding())
    expected = perceptron(head, latent.summary.detach().numpy())
    np.testing.assert_allclose(said.position.detach().numpy(), expected, rtol=1e-5)
    assert said.scale is None
    other = head(replace(latent, tokens=latent.tokens + 1), steady_sounding(seed=3))
    assert torch.equal(other.position, said.position)


def test_weights_of_equation_9_are_a_softmax_over_each_users_stations() -> None:
    head, latent = fitted(SigmapFusionHead([0, 1, 2], DIM, 8)), random_latent()
    sounding = replaced(steady_sounding(), user=of_two_users())
    estimate = head(latent, sounding)
    fused, weight = fuse(estimate, sounding.user)
    w = head.score.inner.weight.detach().numpy()
    v = head.score.outer.weight.detach().numpy()[0]
    token = latent.summary.detach().numpy()
    logits = np.array([v @ np.tanh(w @ t) for t in token])
    own = np.stack([perceptron(head.estimator.heads[n % 3], token[n : n + 1])[0] for n in range(6)])
    for row, user in enumerate((3, 8)):
        mine = sounding.user.numpy() == user
        share = np.exp(logits[mine]) / np.exp(logits[mine]).sum()
        np.testing.assert_allclose(weight.detach().numpy()[mine], share, rtol=1e-5)
        np.testing.assert_allclose(fused[row].detach().numpy(), share @ own[mine], rtol=1e-5)


def test_equation_11_weighs_the_rows_of_one_stations_latent() -> None:
    head, latent = fitted(NlosAwareHead(DIM, 8)), random_latent()
    weight = head.score.weight.weight.detach().numpy()[0]
    read = []
    for summary, tokens in zip(latent.summary, latent.tokens, strict=True):
        rows = np.concatenate([summary.detach().numpy()[None], tokens.detach().numpy()])
        logits = rows @ weight
        logits = np.where(logits > 0, logits, 0.2 * logits)
        read.append(np.exp(logits) @ rows / np.exp(logits).sum())
    said = head(latent, steady_sounding()).position.detach().numpy()
    np.testing.assert_allclose(said, perceptron(head, np.stack(read)), rtol=1e-5)


def test_equation_11_can_weigh_stations_too() -> None:
    head = fitted(SigmapFusionHead([0, 1, 2], DIM, 8, NlosScore(DIM)))
    latent = random_latent()
    logit = head(latent, steady_sounding()).logit
    raw = latent.summary @ head.score.weight.weight[0]
    torch.testing.assert_close(logit, torch.maximum(raw, 0.2 * raw))


def test_a_dedicated_head_serves_its_own_station_and_learns_from_it_alone() -> None:
    heads = fitted(DedicatedHeads([2, 0, 1], DIM, 8))
    latent, sounding = random_latent(), steady_sounding()
    said = heads(latent, sounding).position
    for place, station in enumerate((2, 0, 1)):
        mine = sounding.station == station
        alone = heads.heads[place](latent, sounding).position
        torch.testing.assert_close(said[mine], alone[mine])
    said[sounding.station == 0].square().sum().backward()
    sizes = gradient(heads)
    assert all(size > 0 for name, size in sizes.items() if name.startswith("heads.1."))
    assert all(size == 0 for name, size in sizes.items() if not name.startswith("heads.1."))


def test_a_station_without_a_head_is_refused_where_heads_are_dedicated_and_not_where_shared() -> (
    None
):
    latent, sounding = random_latent(), steady_sounding()
    stranger = replaced(sounding, station_position=sounding.station_position + 2)
    with pytest.raises(ValueError, match="has no head of its own") as error:
        fitted(SigmapFusionHead([0, 1, 2], DIM))(latent, stranger)
    assert "\n" not in str(error.value)
    shared = fitted(SigmapFusionHead(None, DIM))
    assert torch.equal(shared(latent, stranger).position, shared(latent, sounding).position)


@pytest.mark.parametrize(
    "head", [NlosAwareHead(DIM, 8), SigmapFusionHead([0, 1, 2], DIM, 8), TanhScore(DIM, 8)]
)
def test_nothing_is_rounded_to_bfloat16_under_autocast(head: nn.Module) -> None:
    latent, sounding = random_latent(), steady_sounding()
    if isinstance(head, TanhScore):
        answer = lambda: head(latent.summary)  # noqa: E731  # one line of three alike
    else:
        fitted(head)
        answer = lambda: head(latent, sounding).position  # noqa: E731  # one line of three alike
    with torch.autocast("cpu", torch.bfloat16):
        rounded = answer()
    torch.testing.assert_close(rounded, answer(), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "head",
    [
        ClassTokenHead(DIM, 8),
        NlosAwareHead(DIM, 8),
        SigmapFusionHead([0, 1, 2], DIM, 8),
        SigmapFusionHead(None, DIM, 8, NlosScore(DIM)),
    ],
)
def test_gradient_reaches_every_parameter(head: nn.Module) -> None:
    sounding = replaced(steady_sounding(), user=of_two_users())
    estimate = fitted(head)(random_latent(), sounding)
    place = estimate.position if estimate.logit is None else fuse(estimate, sounding.user)[0]
    place.square().sum().backward()
    assert all(size > 0 for size in gradient(head).values())


def test_users_of_one_height_are_placed_at_it() -> None:
    head, truth = ClassTokenHead(DIM, 8), random_truth(30)
    truth.position[:, 2] = 2.0
    head.fit([steady_sounding(30)], [truth])
    nn.init.zeros_(head.output.weight)
    nn.init.zeros_(head.output.bias)
    said = head(random_latent(), steady_sounding()).position
    torch.testing.assert_close(said[:, 2], torch.full((6,), 2.0, dtype=torch.float64))
