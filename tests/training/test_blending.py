"""Blends: weights a part of the way from what was known to what was learnt."""

import torch
from torch import nn

from radiofix.training.blending import blends, take, weights


def line(slope, offset):
    module = nn.Linear(1, 1).double()
    take(module, {"weight": torch.tensor([[slope]]), "bias": torch.tensor([offset])})
    return module


def test_blends_are_the_weights_on_the_way_judged_one_by_one():
    known, learnt = weights(line(0.0, 1.0)), line(4.0, 5.0)

    def judge(module):
        assert not module.training
        return {"mean": module.weight.item()}

    found = blends(learnt, known, weights(learnt), (0.0, 0.25, 0.75), judge)
    assert [blend.share for blend in found] == [0.0, 0.25, 0.75]
    assert [blend.score for blend in found] == [0.0, 1.0, 3.0]
    assert [blend.parameters["bias"].item() for blend in found] == [1.0, 2.0, 4.0]


def test_the_module_is_left_as_it_is_and_its_scales_are_kept():
    module = nn.BatchNorm1d(1)
    before = weights(module)
    assert set(before) == {"weight", "bias"}
    after = {"weight": torch.tensor([3.0]), "bias": torch.tensor([0.0])}
    with torch.no_grad():
        module.weight.fill_(9.0)
        module.running_mean.fill_(7.0)
    seen = []
    blends(module, before, after, (0.5,), lambda tried: seen.append(tried) or {"mean": 0.0})
    assert module.weight.item() == 9.0
    assert seen[0].weight.item() == 2.0
    assert seen[0].running_mean.item() == 7.0


def test_parameters_that_were_not_there_before_are_taken_as_learnt():
    learnt = line(4.0, 5.0)
    known = {"weight": torch.zeros(1, 1, dtype=torch.float64)}
    (blend,) = blends(learnt, known, weights(learnt), (0.5,), lambda module: {"mean": 0.0})
    assert float(blend.parameters["weight"]) == 2.0
    assert float(blend.parameters["bias"]) == 5.0
