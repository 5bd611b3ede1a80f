"""Processes, devices and precision."""

import pytest
import torch

from radiofix.training import launch
from radiofix.training.launch import PrecisionWarning, fabric_of


def working_type(fabric):
    fabric.launch()
    layer = fabric.setup_module(torch.nn.Linear(4, 4))
    with fabric.autocast():
        return torch.nn.functional.linear(torch.ones(1, 4), layer.weight).dtype


def test_a_processor_without_bfloat16_works_in_32_bits_and_says_so(monkeypatch):
    monkeypatch.setattr(launch, "has_bfloat16", lambda kind: False)
    with pytest.warns(PrecisionWarning, match="bf16-mixed.*no bfloat16.*32 bits"):
        fabric = fabric_of("cpu", 1, "bf16-mixed")
    assert working_type(fabric) == torch.float32


def test_a_processor_with_bfloat16_works_in_it(monkeypatch, recwarn):
    monkeypatch.setattr(launch, "has_bfloat16", lambda kind: True)
    assert working_type(fabric_of("cpu", 1, "bf16-mixed")) == torch.bfloat16
    assert not [w for w in recwarn if issubclass(w.category, PrecisionWarning)]


def test_32_bits_are_32_bits_everywhere(monkeypatch, recwarn):
    monkeypatch.setattr(launch, "has_bfloat16", lambda kind: False)
    assert working_type(fabric_of("cpu", 1, "32-true")) == torch.float32
    assert not recwarn.list
