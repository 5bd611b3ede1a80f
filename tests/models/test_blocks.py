"""Many links go through the blocks in bounded memory, and come out the same."""

import pytest
import torch
from torch import nn

from radiofix.models import blocks
from radiofix.models.blocks import Block, through

DIM = 16


@pytest.fixture
def stack(monkeypatch):
    monkeypatch.setattr(blocks, "LINKS_KEPT", 4)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.ModuleList(Block(DIM, 2) for _ in range(3)), nn.LayerNorm(DIM)


def tokens(links):
    made = torch.randn(links, 5, DIM, generator=torch.Generator().manual_seed(1))
    return made.requires_grad_()


def kept_for_the_gradient(stack, links):
    """Bytes beside the parameters, each piece of memory once."""
    seen = {}

    def note(tensor):
        storage = tensor.untyped_storage()
        seen[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        out = through(*stack, tokens(links))
    assert out.requires_grad
    own = {p.untyped_storage().data_ptr() for module in stack for p in module.parameters()}
    return sum(size for place, size in seen.items() if place not in own)


@pytest.mark.parametrize("links", [1, 4, 5, 11])
def test_pieces_change_neither_the_result_nor_its_gradient(stack, links, monkeypatch):
    found = []
    for kept in (4, 100):
        monkeypatch.setattr(blocks, "LINKS_KEPT", kept)
        given = tokens(links)
        out = through(*stack, given)
        slopes = torch.autograd.grad(out.square().sum(), [given, *stack[0].parameters()])
        found.append((out, slopes[0], torch.cat([slope.flatten() for slope in slopes[1:]])))
        with torch.no_grad():
            torch.testing.assert_close(through(*stack, given), out)
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_of_many_links_little_is_kept_for_the_gradient(stack, monkeypatch):
    pieces = kept_for_the_gradient(stack, 40)
    monkeypatch.setattr(blocks, "LINKS_KEPT", 100)
    assert pieces < kept_for_the_gradient(stack, 40) / 10
