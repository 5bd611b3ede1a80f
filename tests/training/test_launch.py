"""Processes, devices and precision."""

import numpy as np
import pytest
import torch

from radiofix.training import launch
from radiofix.training.launch import PrecisionWarning, fabric_of


def working_type(fabric):
    fabric.launch()
    layer = fabric.setup_module(torch.nn.Linear(4, 4))
    with fabric.autocast():
        return torch.nn.functional.linear(torch.ones(1, 4), layer.weight).dtype


def test_a_processor_that_bfloat16_slows_down_works_in_32_bits_and_says_so(monkeypatch):
    monkeypatch.setattr(launch, "bfloat16_gain", lambda: 0.54)
    with pytest.warns(PrecisionWarning, match=r"bf16-mixed, .* at 0\.5 times .* in 32 bits"):
        fabric = fabric_of("cpu", 1, "bf16-mixed")
    assert working_type(fabric) == torch.float32


def test_a_processor_that_is_faster_in_bfloat16_works_in_it(monkeypatch, recwarn):
    monkeypatch.setattr(launch, "bfloat16_gain", lambda: 2.1)
    assert working_type(fabric_of("cpu", 1, "bf16-mixed")) == torch.bfloat16
    assert not [w for w in recwarn if issubclass(w.category, PrecisionWarning)]


def test_32_bits_are_32_bits_everywhere(monkeypatch, recwarn):
    monkeypatch.setattr(launch, "bfloat16_gain", lambda: 0.5)
    assert working_type(fabric_of("cpu", 1, "32-true")) == torch.float32
    assert not recwarn.list


@pytest.fixture
def unmeasured():
    """A process in which nothing was measured yet."""
    launch.bfloat16_gain.cache_clear()
    yield
    launch.bfloat16_gain.cache_clear()


def test_what_bfloat16_gains_is_measured_once_a_process(monkeypatch, unmeasured):
    # A clock by which each product in 32 bits takes twice as long as the one in bfloat16 after it.
    ticks = iter(np.cumsum([0, 2, 0, 1] * 6).tolist())
    monkeypatch.setattr(launch, "perf_counter", lambda: next(ticks))
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: True)
    assert launch.bfloat16_gain() == 2
    assert launch.bfloat16_gain() == 2
    assert launch.bfloat16_pays("cpu")


def test_a_processor_that_imitates_bfloat16_is_not_measured(monkeypatch, unmeasured):
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    monkeypatch.setattr(launch, "perf_counter", None)
    assert launch.bfloat16_gain() == 0
    with pytest.warns(PrecisionWarning, match="only imitates bfloat16: working in 32 bits"):
        fabric_of("cpu", 1, "bf16-mixed")
    assert launch.bfloat16_pays("cuda")
