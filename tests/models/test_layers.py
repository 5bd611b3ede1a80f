"""Our transformer layers are torch's, parameter by parameter and number by number."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from radiofix.models import layers
from radiofix.models.layers import DecoderLayer, EncoderLayer, in_pieces, keep

DIM, HEADS, HIDDEN = 24, 4, 40
Pair = tuple[nn.Module, nn.Module]


def pair(kind: str, dropout: float) -> Pair:
    """Our layer and torch's, with the same random weights."""
    torch.manual_seed(0)
    if kind == "encoder":
        ours: nn.Module = EncoderLayer(DIM, HEADS, HIDDEN, dropout)
        torchs: nn.Module = nn.TransformerEncoderLayer(
            DIM, HEADS, HIDDEN, dropout, batch_first=True
        )
    else:
        ours = DecoderLayer(DIM, HEADS, HIDDEN, dropout)
        torchs = nn.TransformerDecoderLayer(DIM, HEADS, HIDDEN, dropout, batch_first=True)
    for parameter in torchs.parameters():
        nn.init.normal_(parameter, std=0.3)
    ours.load_state_dict(torchs.state_dict())
    return ours, torchs


def sequences(kind: str, one: bool = False) -> list[Tensor]:
    """What a layer takes: tokens, and for a decoder a memory of another length."""
    generator = torch.Generator().manual_seed(1)
    lengths = (9,) if kind == "encoder" else (9, 9 if one else 7)
    drawn = [torch.randn(3, length, DIM, generator=generator) for length in lengths]
    return [drawn[0]] * 2 if one and kind == "decoder" else drawn


def slopes(layer: nn.Module, inputs: list[Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    """A layer's output, and the gradients of a curved function of it."""
    leaves = [tokens.clone().requires_grad_() for tokens in inputs]
    if len(inputs) == 2 and inputs[0] is inputs[1]:
        leaves[1] = leaves[0]
    output = layer(*leaves)
    (output + output.roll(1, -1) ** 2).sum().backward()
    found = {name: p.grad for name, p in layer.named_parameters() if p.grad is not None}
    found |= {f"input {i}": leaf.grad for i, leaf in enumerate(leaves) if leaf.grad is not None}
    return output.detach(), found


def agree(first: nn.Module, second: nn.Module, inputs: list[Tensor]) -> None:
    """Refuses a difference in output or in any gradient."""
    (output, mine), (expected, theirs) = slopes(first, inputs), slopes(second, inputs)
    torch.testing.assert_close(output, expected, atol=2e-5, rtol=2e-5)
    assert mine.keys() == theirs.keys()
    assert len(mine) == len(list(first.parameters())) + len(inputs)
    for name, slope in mine.items():
        torch.testing.assert_close(slope, theirs[name], atol=3e-4, rtol=3e-4, msg=name)


@pytest.mark.parametrize("kind", ["encoder", "decoder"])
def test_weights_load_both_ways(kind: str) -> None:
    ours, torchs = pair(kind, 0.1)
    torchs.load_state_dict(ours.state_dict())
    shapes = {name: weight.shape for name, weight in torchs.state_dict().items()}
    assert {name: weight.shape for name, weight in ours.state_dict().items()} == shapes


@pytest.mark.parametrize("kind", ["encoder", "decoder"])
def test_output_is_torchs_once_training_is_over(kind: str) -> None:
    ours, torchs = (layer.eval() for layer in pair(kind, 0.1))
    inputs = sequences(kind)
    torch.testing.assert_close(ours(*inputs), torchs(*inputs), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ["encoder", "decoder"])
@pytest.mark.parametrize("one", [False, True], ids=["another memory", "its own memory"])
def test_output_and_every_gradient_are_torchs_without_dropout(kind: str, one: bool) -> None:
    agree(*pair(kind, 0.0), sequences(kind, one))


@pytest.fixture
def replayed(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """Makes torch's layers drop what ours have dropped, in the order in which they did."""
    masks: list[Tensor] = []
    draw = keep

    def noted(like: Tensor, rate: float) -> Tensor:
        masks.append(draw(like, rate))
        return masks[-1]

    def dropout(values: Tensor, p: float, training: bool, inplace: bool) -> Tensor:
        return values * masks.pop(0) / (1 - p)

    def attention(q: Tensor, k: Tensor, v: Tensor, mask: None, p: float, causal: bool) -> Tensor:
        looks = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).softmax(-1)
        return looks * masks.pop(0).view_as(looks) / (1 - p) @ v

    monkeypatch.setattr(layers, "keep", noted)
    monkeypatch.setattr(F, "dropout", dropout)
    monkeypatch.setattr(F, "scaled_dot_product_attention", attention)
    return masks


@pytest.mark.parametrize(("kind", "places"), [("encoder", 4), ("decoder", 6)])
def test_dropout_falls_where_torchs_does(kind: str, places: int, replayed: list[Tensor]) -> None:
    ours, torchs = pair(kind, 0.3)
    inputs = sequences(kind)
    state = torch.get_rng_state()
    ours(*inputs)
    assert len(replayed) == places
    assert all(0 < float(mask.mean()) < 1 for mask in replayed)
    replayed.clear()
    torch.set_rng_state(state)
    agree(ours, torchs, inputs)
    assert not replayed


@pytest.mark.parametrize("rate", [0.1, 0.25, 0.5, 0.002])
def test_dropout_drops_at_its_rate_at_every_place(rate: float) -> None:
    torch.manual_seed(0)
    draws = torch.stack([keep(torch.empty(500, 16), rate) for _ in range(200)])
    dropped = 1 - draws.double()
    assert set(draws.unique().tolist()) == {0, 1}
    deviation = (rate * (1 - rate) / (200 * 500)) ** 0.5
    # The bound is drawn once a call, by up to a 256th.
    assert float((dropped.mean((0, 1)) - rate).abs().max()) < 5 * deviation + 4 / 512 / 200**0.5
    neighbours = (dropped[..., 1:] - rate) * (dropped[..., :-1] - rate)
    assert float(neighbours.mean().abs()) < 1e-3 * (0.1 + rate)


def test_dropout_follows_torchs_own_generator() -> None:
    like = torch.empty(7, 5, dtype=torch.bfloat16)
    torch.manual_seed(3)
    state = torch.get_rng_state()
    first, other = keep(like, 0.4), keep(like, 0.4)
    torch.set_rng_state(state)
    assert first.dtype == torch.bfloat16
    assert torch.equal(keep(like, 0.4), first)
    assert not torch.equal(first, other)


def test_what_is_kept_makes_up_for_what_is_dropped() -> None:
    ours, _ = pair("encoder", 0.1)
    assert isinstance(ours, EncoderLayer)
    tokens = sequences("encoder")[0]
    still = layers.feed_forward(copy.deepcopy(ours).eval(), tokens)
    mean = sum(layers.feed_forward(ours, tokens) for _ in range(3000)) / 3000
    torch.testing.assert_close(mean, still, atol=0.05, rtol=0.05)


@pytest.mark.parametrize(("device", "calls"), [("cpu", 0), ("meta", 3)])
def test_only_a_cpu_goes_round_torchs_fused_attention(
    device: str, calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    fused = F.scaled_dot_product_attention

    def counted(*inputs: Tensor, **options: object) -> Tensor:
        seen.append(1)
        return fused(*inputs, **options)

    monkeypatch.setattr(F, "scaled_dot_product_attention", counted)
    for kind in ("encoder", "decoder"):
        ours, _ = pair(kind, 0.1)
        ours.to(device)(*(tokens.to(device) for tokens in sequences(kind)))
    assert len(seen) == calls


@pytest.mark.parametrize("links", [1, 8, 9, 20])
def test_pieces_come_back_in_their_order(links: int) -> None:
    sizes: list[int] = []

    def doubled(tokens: Tensor) -> Tensor:
        sizes.append(len(tokens))
        return 2 * tokens

    tokens = torch.arange(links * 6.0).view(links, 3, 2)
    work: Callable[[Tensor], Tensor] = doubled
    assert torch.equal(in_pieces(work, tokens), 2 * tokens)
    assert sum(sizes) == links
    assert max(sizes) <= layers.LINKS_AT_ONCE
