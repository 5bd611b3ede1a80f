"""Transformer layers as our own encoders use them: normalised first, GELU, nothing dropped."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

LINKS_KEPT = 256
"""On a CPU: more links than that have what they went through worked out again for the gradient."""


class SelfAttention(nn.Module):
    """Every token looks at every token of its link."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        if dim % heads:
            raise ValueError(f"dim={dim} is not divisible by heads={heads}")
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, tokens: Float[Tensor, "link token dim"]) -> Float[Tensor, "link token dim"]:
        """Attends; on a GPU through flash attention."""
        links, count, dim = tokens.shape
        parts = self.qkv(tokens).view(links, count, 3, self.heads, dim // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        mixed: Tensor = self.out(attention(query, key, value).transpose(1, 2).flatten(2))
        return mixed


def attention(
    query: Float[Tensor, "link head token width"],
    key: Float[Tensor, "link head token width"],
    value: Float[Tensor, "link head token width"],
) -> Float[Tensor, "link head token width"]:
    """softmax(Q K^T / sqrt(width)) V."""
    if query.device.type != "cpu":
        return F.scaled_dot_product_attention(query, key, value)
    # Backward through torch's own costs six times as much on a CPU, at a few hundred tokens.
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
    mixed: Tensor = scores.softmax(-1).to(value.dtype) @ value
    return mixed


class Block(nn.Module):
    """Attention and a feed-forward network, each with a way around it."""

    def __init__(self, dim: int, heads: int, expansion: int = 4) -> None:
        super().__init__()
        self.before_attention = nn.LayerNorm(dim)
        self.attention = SelfAttention(dim, heads)
        self.before_network = nn.LayerNorm(dim)
        self.network = nn.Sequential(
            nn.Linear(dim, expansion * dim), nn.GELU(), nn.Linear(expansion * dim, dim)
        )

    def forward(self, tokens: Float[Tensor, "link token dim"]) -> Float[Tensor, "link token dim"]:
        """The tokens, enriched."""
        tokens = tokens + self.attention(self.before_attention(tokens))
        enriched: Tensor = tokens + self.network(self.before_network(tokens))
        return enriched


def through(
    blocks: Iterable[nn.Module], norm: nn.Module, tokens: Float[Tensor, "link token dim"]
) -> Float[Tensor, "link token dim"]:
    """All blocks and the norm behind them, in memory that many links do not exceed.

    Users heard by a dozen stations make batches of 768 links, and what a link leaves for the
    gradient in a small network is 4 MB.
    """

    def stack(tokens: Tensor) -> Tensor:
        for block in blocks:
            tokens = block(tokens)
        enriched: Tensor = norm(tokens)
        return enriched

    if torch.compiler.is_compiling() or tokens.device.type != "cpu" or len(tokens) <= LINKS_KEPT:
        return stack(tokens)
    pieces = torch.split(tokens, LINKS_KEPT)
    if not torch.is_grad_enabled():
        return torch.cat([stack(piece) for piece in pieces])
    # Imported here, as few need it and importing radiofix must stay quick.
    from torch.utils.checkpoint import checkpoint

    again = [
        checkpoint(stack, piece, use_reentrant=False, preserve_rng_state=False) for piece in pieces
    ]
    return torch.cat(again)
