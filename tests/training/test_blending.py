"""Blends: weights a part of the way from what was known to what was learnt."""

import pytest
import torch
from torch import nn

from radiofix.training.blending import best_blend, take, weights


def line(slope, offset):
    module = nn.Linear(1, 1).double()
    take(module, {"weight": torch.tensor([[slope]]), "bias": torch.tensor([offset])})
    return module


@pytest.mark.parametrize(("wanted", "share"), [(1.0, 0.25), (2.2, 0.5), (9.0, 0.75)])
def test_the_blend_nearest_to_what_validation_wants_is_taken(wanted, share):
    known, learnt = weights(line(0.0, 1.0)), line(4.0, 5.0)

    def judge(module):
        assert not module.training
        return {"mean": abs(module.weight.item() - wanted), "slope": module.weight.item()}

    blend = best_blend(learnt, known, weights(learnt), (0.25, 0.5, 0.75), judge)
    assert blend.share == share
    assert blend.figures == {"mean": abs(4 * share - wanted), "slope": 4 * share}
    assert blend.score == abs(4 * share - wanted)
    assert float(blend.parameters["bias"]) == 1 + 4 * share


def test_the_module_is_left_as_it_is_and_its_scales_are_kept():
    module = nn.BatchNorm1d(1)
    before = weights(module)
    assert set(before) == {"weight", "bias"}
    after = {"weight": torch.tensor([3.0]), "bias": torch.tensor([0.0])}
    with torch.no_grad():
        module.weight.fill_(9.0)
        module.running_mean.fill_(7.0)
    seen = []
    best_blend(module, before, after, (0.5,), lambda tried: seen.append(tried) or {"mean": 0.0})
    assert module.weight.item() == 9.0
    assert seen[0].weight.item() == 2.0
    assert seen[0].running_mean.item() == 7.0


def test_parameters_that_were_not_there_before_are_taken_as_learnt():
    learnt = line(4.0, 5.0)
    known = {"weight": torch.zeros(1, 1, dtype=torch.float64)}
    blend = best_blend(learnt, known, weights(learnt), (0.5,), lambda module: {"mean": 0.0})
    assert float(blend.parameters["weight"]) == 2.0
    assert float(blend.parameters["bias"]) == 5.0
