"""Rates over the steps, decay on matrices alone, low-rank updates, moving averages."""

import copy
import math

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from radiofix.training.adaptation import FrozenEncoder, FullTuning, LowRank, layer_depth
from radiofix.training.lora import add_low_rank, merge_low_rank
from radiofix.training.optimizer import Average, Group, decays, group, optimizer, owned, set_rate
from radiofix.training.settings import Settings


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.token = nn.Parameter(torch.randn(1, 1, 8))
        self.first = nn.Linear(8, 8)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True) for _ in range(2)
        )
        self.norm = nn.LayerNorm(8)

    def forward(self, x):
        x = self.first(x) + self.token
        for layer in self.layers:
            x = layer(x)
        return self.norm(x)


X = torch.randn(3, 5, 8, generator=torch.Generator().manual_seed(1))


def test_the_rate_rises_in_a_line_and_falls_in_a_cosine():
    settings = Settings(steps=110, warmup=10, final_rate=0.1)
    ramp = [settings.rate_factor(step) for step in range(10)]
    assert ramp == pytest.approx([(k + 1) / 11 for k in range(10)])
    for step in (10, 35, 60, 85):
        angle = math.pi * (step - 10) / 100
        assert settings.rate_factor(step) == pytest.approx(0.1 + 0.45 * (1 + math.cos(angle)))
    assert [Settings().rate_factor(step) for step in (0, 77, 9_999)] == [1.0, 1.0, 1.0]


def test_without_decay_it_is_adam():
    ours, theirs = Small(), Small()
    settings = Settings(rate=1e-2)
    adam = optimizer((group(ours),), settings)
    reference = torch.optim.Adam(theirs.parameters(), lr=1e-2, fused=True)
    for _ in range(5):
        set_rate(adam, 1e-2)
        for model, steps in ((ours, adam), (theirs, reference)):
            model(X).square().sum().backward()
            steps.step()
            steps.zero_grad()
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_decay_in_the_gradient_is_adams_to_the_bit():
    ours, theirs = Small(), Small()
    settings = Settings(rate=1e-2, weight_decay=0.3, decoupled=False)
    adam = optimizer((group(ours.first), group(ours.layers), group(ours.norm)), settings)
    parts = (theirs.first, theirs.layers, theirs.norm)
    groups = [{"params": list(part.parameters())} for part in parts]
    reference = torch.optim.Adam(groups, lr=1e-2, weight_decay=0.3, fused=True)
    for _ in range(5):
        set_rate(adam, 1e-2)
        for model, steps in ((ours, adam), (theirs, reference)):
            model(X).square().sum().backward()
            steps.step()
            steps.zero_grad()
    for (name, one), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert torch.equal(one, other), name
    # Norms and biases decay with it, and beside the gradient it would be another step.
    assert {one["weight_decay"] for one in adam.param_groups} == {0.3}
    beside, start = Small(), Small()
    adam = optimizer((group(beside),), Settings(rate=1e-2, weight_decay=0.3))
    beside(X).square().sum().backward()
    adam.step()
    assert not torch.equal(beside.first.weight, ours.first.weight)
    assert torch.allclose(beside.norm.bias - start.norm.bias, -1e-2 * beside.norm.bias.grad.sign())


def test_only_matrices_decay():
    module = Small()
    names = {id(p): n for n, p in module.named_parameters()}
    decayed = {names[id(p)] for o, n, p in owned(module) if decays(o, n, p)}
    layer = {"self_attn.in_proj_weight", "self_attn.out_proj.weight"}
    layer |= {"linear1.weight", "linear2.weight"}
    assert decayed == {"first.weight"} | {f"layers.{i}.{n}" for i in (0, 1) for n in layer}
    assert not decays(nn.Embedding(3, 4), "weight", nn.Embedding(3, 4).weight)
    groups = optimizer((group(module),), Settings(weight_decay=0.3)).param_groups
    for one in groups:
        inside = {names[id(p)] for p in one["params"]}
        assert inside == decayed if one["weight_decay"] else inside.isdisjoint(decayed)
    assert sum(len(one["params"]) for one in groups) == len(names)


def test_nothing_left_to_train_is_told():
    module = Small().requires_grad_(False)
    with pytest.raises(ValueError, match="nothing is left to train"):
        optimizer((group(module),), Settings())


def test_layers_near_the_input_learn_slower():
    module = Small()
    depth = layer_depth(module)
    named = {n: depth[id(p)] for n, p in module.named_parameters()}
    assert named["token"] == named["first.weight"] == 0
    assert named["layers.0.linear1.weight"] == 1
    assert named["layers.1.norm2.bias"] == 2
    assert named["norm.weight"] == 3
    groups = FullTuning(layer_decay=0.5).adapt(module)
    assert [g.factor for g in groups] == [0.125, 0.25, 0.5, 1.0]
    adam = optimizer(groups, Settings(rate=1.0))
    set_rate(adam, 0.8)
    assert sorted({g["lr"] for g in adam.param_groups}) == pytest.approx([0.1, 0.2, 0.4, 0.8])
    assert sum(len(g.parameters) for g in groups) == len(named)


def test_a_whole_encoder_learns_slower_than_what_is_new():
    module = Small()
    groups = FullTuning(layer_decay=0.5, factor=0.2).adapt(module)
    assert [g.factor for g in groups] == pytest.approx([0.025, 0.05, 0.1, 0.2])
    with pytest.raises(ValueError, match=r"factor must lie in \(0, 1\], got 2"):
        FullTuning(factor=2.0)


def test_a_low_rank_update_starts_at_zero_and_merges_into_the_same_outputs():
    module = Small()
    before = copy.deepcopy(module)
    names = set(module.state_dict())
    groups = LowRank(rank=2, scale=4.0).adapt(module)
    module.eval(), before.eval()
    assert torch.equal(module(X), before(X))
    learning = {n for n, p in module.named_parameters() if p.requires_grad}
    assert all(n.endswith((".up", ".down")) for n in learning)
    attention = module.layers[0].self_attn
    assert parametrize.is_parametrized(attention, "in_proj_weight")
    adam = optimizer(groups, Settings(rate=1e-2))
    module.train()
    for _ in range(3):
        set_rate(adam, 1e-2)
        (module(X) - X).square().sum().backward()
        adam.step()
        adam.zero_grad()
    module.eval()
    learnt = module(X)
    assert (learnt - before(X)).abs().max() > 1e-3
    change = attention.in_proj_weight - before.layers[0].self_attn.in_proj_weight
    update = attention.parametrizations.in_proj_weight[0]
    assert torch.allclose(change, 4.0 / 2 * update.up @ update.down, atol=1e-6)
    assert torch.linalg.matrix_rank(change) == 2
    assert torch.equal(
        attention.parametrizations.in_proj_weight.original,
        before.layers[0].self_attn.in_proj_weight,
    )
    LowRank(rank=2, scale=4.0).settle(module)
    assert set(module.state_dict()) == names
    assert torch.allclose(module(X), learnt, atol=1e-6)
    assert all(p.requires_grad for p in module.parameters())


def test_a_rank_never_exceeds_a_matrix():
    thin = nn.Sequential(nn.Linear(1, 8))
    add_low_rank(thin, 4, 4.0)
    assert thin[0].parametrizations.weight[0].down.shape == (1, 1)
    merge_low_rank(thin)
    with pytest.raises(ValueError, match="rank must be at least 1, got 0"):
        add_low_rank(thin, 0, 1.0)


def test_a_frozen_encoder_gives_no_group():
    module = Small()
    assert FrozenEncoder().adapt(module) == ()
    assert not any(p.requires_grad for p in module.parameters())
    FrozenEncoder().settle(module)
    assert all(p.requires_grad for p in module.parameters())
    assert Group((), 1.0).parameters == ()


def test_the_average_follows_by_its_decay():
    module = nn.BatchNorm1d(2)
    average = Average(module, 0.9)
    with torch.no_grad():
        module.weight.fill_(2.0)
        module.running_mean.fill_(5.0)
    average.update(module)
    average.update(module)
    assert average.module.weight.tolist() == pytest.approx([1 + 1 - 0.81] * 2)
    assert average.module.running_mean.tolist() == [5.0, 5.0]
    assert not average.module.weight.requires_grad
