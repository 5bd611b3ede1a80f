"""torch's own transformer layers, post-norm with ReLU and dropout, made fast on a CPU.

Parameters, their names and the mathematics are those of torch.nn; on other devices so is the code.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

LINKS_AT_ONCE = 8
"""On a CPU: few enough for a hidden layer to stay in its cache and in memory it has already."""


def in_pieces(
    work: Callable[[Tensor], Tensor], tokens: Float[Tensor, "link token dim"]
) -> Float[Tensor, "link token dim"]:
    """`work`, which sees each link by itself, on a few links at a time where that is faster."""
    if tokens.device.type != "cpu" or len(tokens) <= LINKS_AT_ONCE:
        return work(tokens)
    return torch.cat([work(piece) for piece in torch.split(tokens, LINKS_AT_ONCE)])


class EncoderLayer(nn.TransformerEncoderLayer):
    """torch.nn.TransformerEncoderLayer for whole sequences: nothing is masked."""

    def __init__(self, dim: int, heads: int, feedforward: int, dropout: float) -> None:
        super().__init__(dim, heads, feedforward, dropout, batch_first=True)

    def forward(  # type: ignore[override]  # takes no masks
        self, tokens: Float[Tensor, "link token dim"]
    ) -> Float[Tensor, "link token dim"]:
        """Self-attention and a feed-forward network, each added and normalised."""
        if tokens.device.type != "cpu":
            enriched: Tensor = super().forward(tokens)
            return enriched
        attended = attend(self.self_attn, tokens, tokens)
        tokens = self.norm1(add_dropped(tokens, attended, self.dropout1))
        update = feed_forward(self, tokens)
        tokens = self.norm2(add_dropped(tokens, update, self.dropout2))
        return tokens


class DecoderLayer(nn.TransformerDecoderLayer):
    """torch.nn.TransformerDecoderLayer for whole sequences: nothing is masked."""

    def __init__(self, dim: int, heads: int, feedforward: int, dropout: float) -> None:
        super().__init__(dim, heads, feedforward, dropout, batch_first=True)

    def forward(  # type: ignore[override]  # takes no masks
        self, target: Float[Tensor, "link token dim"], memory: Float[Tensor, "link entry dim"]
    ) -> Float[Tensor, "link token dim"]:
        """Self-attention, attention to the memory, feed-forward; each added and normalised."""
        if target.device.type != "cpu":
            enriched: Tensor = super().forward(target, memory)
            return enriched
        attended = attend(self.self_attn, target, target)
        target = self.norm1(add_dropped(target, attended, self.dropout1))
        recalled = attend(self.multihead_attn, target, memory)
        target = self.norm2(add_dropped(target, recalled, self.dropout2))
        update = feed_forward(self, target)
        target = self.norm3(add_dropped(target, update, self.dropout3))
        return target


def attend(
    layer: nn.MultiheadAttention,
    query: Float[Tensor, "link token dim"],
    memory: Float[Tensor, "link entry dim"],
) -> Float[Tensor, "link token dim"]:
    """What `layer` makes of queries and a memory that is both keys and values."""
    dim, heads = layer.embed_dim, layer.num_heads
    weight, bias = layer.in_proj_weight, layer.in_proj_bias
    if query is memory:
        q, k, v = _by_head(F.linear(query, weight, bias), 3, heads)
    else:
        (q,) = _by_head(F.linear(query, weight[:dim], bias[:dim]), 1, heads)
        k, v = _by_head(F.linear(memory, weight[dim:], bias[dim:]), 2, heads)
    # torch's fused attention takes several times as long backward on a CPU, above all if it drops.
    looks: Tensor = ((q * (dim // heads) ** -0.5) @ k.transpose(1, 2)).softmax(-1)
    if layer.training and layer.dropout:
        looks, v = looks * keep(looks, layer.dropout), v / (1 - layer.dropout)
    mixed = (looks.to(v.dtype) @ v).view(len(query), heads, -1, dim // heads)
    mixed = mixed.transpose(1, 2).flatten(2)
    out: Tensor = layer.out_proj(mixed)
    return out


def _by_head(
    projected: Float[Tensor, "link token parts*dim"], parts: int, heads: int
) -> tuple[Float[Tensor, "link*head token width"], ...]:
    links, tokens, _ = projected.shape
    split = projected.view(links, tokens, parts, heads, -1).permute(2, 0, 3, 1, 4)
    return tuple(split.flatten(1, 2))


def feed_forward(
    layer: EncoderLayer | DecoderLayer, tokens: Float[Tensor, "link token dim"]
) -> Float[Tensor, "link token dim"]:
    """Two linear layers, ReLU and dropout between them."""
    hidden, rate = layer.linear1(tokens), layer.dropout.p
    if not (layer.training and rate):
        update: Tensor = layer.linear2(hidden.relu_())
        return update
    # What is kept is scaled up in the weight, which is smaller than the hidden layer.
    hidden = ReluDropped.apply(hidden, rate)  # type: ignore[no-untyped-call]  # torch's has no types
    return F.linear(hidden, layer.linear2.weight / (1 - rate), layer.linear2.bias)


def add_dropped(
    tokens: Float[Tensor, "link token dim"],
    update: Float[Tensor, "link token dim"],
    dropout: nn.Dropout,
) -> Float[Tensor, "link token dim"]:
    """The tokens, and the update after dropout."""
    if not (dropout.training and dropout.p):
        return tokens + update
    kept = update * keep(update, dropout.p)
    return torch.add(tokens, kept, alpha=1 / (1 - dropout.p))


class ReluDropped(torch.autograd.Function):
    """ReLU and dropout in place, without scaling up what is kept; saves nothing but the result."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, rate: float) -> Tensor:
        """Sets what is negative to 0, and the rest at `rate`."""
        values.relu_().mul_(keep(values, rate))
        ctx.mark_dirty(values)
        ctx.save_for_backward(values)
        return values

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None]:
        """Slopes of what was kept and positive."""
        (kept,) = ctx.saved_tensors
        return torch.ops.aten.threshold_backward(slope, kept, 0), None


def keep(like: Tensor, rate: float) -> Tensor:
    """1, or 0 at `rate`, in the shape and type of `like`; from torch's own generator.

    A random byte for each value, below a bound that is itself drawn so that the rate holds exactly
    on average: about ten times as fast as torch's Bernoulli numbers.
    """
    count = like.numel()
    bytes_ = (
        torch.empty(-(-count // 8), dtype=torch.int64).random_(-(2**63), None).view(torch.uint8)
    )
    bound = int(256 * rate + torch.rand(()).item())
    return bytes_[:count].ge_(bound).view(like.shape).to(like.dtype)
