"""The Transformer of Vaswani et al. 2017: attention, layers and stacks, for whole sequences and step by step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unitdisc_translation.product import Linear, product

if TYPE_CHECKING:
    from collections.abc import Callable

Norm = Literal["pre", "post"]


def positions(length: int, dim: int, *, device: torch.device | None = None) -> Tensor:
    """Return (length, dim) sinusoids: sine and cosine in turn, wave lengths from 2 pi to 10,000 * 2 pi (3.5)."""
    even = torch.arange(0, dim, 2, device=device)
    angles = torch.arange(length, device=device)[:, None] * torch.exp(even * (-math.log(10_000) / dim))
    return torch.stack([angles.sin(), angles.cos()], 2).flatten(1)[:, :dim]


class Attention(nn.Module):
    """Scaled dot-product attention with several heads (3.2.2).

    Args:
        dim: Size D of all vectors.
        heads: Number H of heads, each of size D / H.
        dropout: Share of the weights that training leaves out.
    """

    def __init__(self, dim: int, *, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        # One matrix for queries, keys and values: one product where all three are of the same vectors.
        self.weight = nn.Parameter(torch.empty(3 * dim, dim))
        self.bias = nn.Parameter(torch.zeros(3 * dim))
        self.out = Linear(dim, dim)
        for matrix in (*self.weight.chunk(3), self.out.weight):
            nn.init.xavier_uniform_(matrix)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor, *, mask: Tensor | None = None, is_causal: bool = False) -> Tensor:
        """Return (B, T, D), of each vector of ``x`` what it finds in ``x``; where ``mask`` is true it may look."""
        return self.attend(*self.project(x), mask=mask, is_causal=is_causal)

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries, keys and values (B, H, T, D / H) of vectors (B, T, D)."""
        query, key, value = self._split(product(x, self.weight, self.bias), 3)
        return query, key, value

    def queries(self, x: Tensor) -> Tensor:
        """Return queries (B, H, T, D / H) alone."""
        dim = x.shape[2]
        return self._split(product(x, self.weight[:dim], self.bias[:dim]), 1)[0]

    def keys_values(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return keys and values (B, H, T, D / H) alone."""
        dim = x.shape[2]
        key, value = self._split(product(x, self.weight[dim:], self.bias[dim:]), 2)
        return key, value

    def attend(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        *,
        mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        """Return (B, T, D), of each query what it finds."""
        found = F.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=mask,
            dropout_p=self.dropout if self.training else 0.0,
            is_causal=is_causal,
        )
        out: Tensor = self.out(found.transpose(1, 2).flatten(2))
        return out

    def _split(self, x: Tensor, number: int) -> tuple[Tensor, ...]:
        """Return so many (B, H, T, D / H) that stand beside each other in (B, T, number * D)."""
        return x.contiguous().view(*x.shape[:2], number, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)


class Residual(nn.Module):
    """What stands around each sublayer: residual connection, layer norm, dropout.

    Args:
        dim: Size D.
        norm: "post": norm(x + f(x)) (Vaswani et al. 2017). "pre": x + f(norm(x)) (tensor2tensor, paper B's code).
        dropout: Share of the numbers of f that training leaves out.
    """

    def __init__(self, dim: int, *, norm: Norm, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)
        self.is_pre = norm == "pre"

    def forward(self, x: Tensor, sublayer: Callable[[Tensor], Tensor]) -> Tensor:
        """Return (B, T, D)."""
        found = sublayer(self.norm(x) if self.is_pre else x)
        if self.training:  # decoding is many short steps, in which even a call that does nothing takes time
            found = self.dropout(found)
        ended: Tensor = x + found if self.is_pre else self.norm(x + found)
        return ended


class FeedForward(nn.Sequential):
    """Two linear maps with a ReLU between (3.3).

    Args:
        dim: Size D.
        inner: Size between the two.
        dropout: Share of the numbers between them that training leaves out.
    """

    def __init__(self, dim: int, *, inner: int, dropout: float) -> None:
        first, second = Linear(dim, inner), Linear(inner, dim)
        super().__init__(first, nn.ReLU(inplace=True), nn.Dropout(dropout), second)
        for linear in (first, second):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return (..., D) of vectors (..., D)."""
        first, relu, dropout, second = self
        inner = relu(first(x))
        found: Tensor = second(dropout(inner) if self.training else inner)
        return found


class EncoderLayer(nn.Module):
    """Self-attention, then feed-forward."""

    def __init__(self, dim: int, *, heads: int, inner: int, dropout: float, norm: Norm) -> None:
        super().__init__()
        self.own = Attention(dim, heads=heads, dropout=dropout)
        self.inner = FeedForward(dim, inner=inner, dropout=dropout)
        self.around_own = Residual(dim, norm=norm, dropout=dropout)
        self.around_inner = Residual(dim, norm=norm, dropout=dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return (B, U, D); ``mask`` (B, 1, 1, U) is true on valid vectors."""
        x = self.around_own(x, lambda seen: self.own(seen, mask=mask))
        found: Tensor = self.around_inner(x, self.inner)
        return found


@dataclass
class Cache:
    """What one decoder layer keeps between steps; keys and values of a beam's partial translations are rows.

    Args:
        keys: (B * K, H, t, D / H) of the t steps before.
        values: The same shape.
        source: Keys and values (B, H, U, D / H) of the source, which a beam shares.
    """

    keys: Tensor
    values: Tensor
    source: tuple[Tensor, Tensor]

    def add(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Take in the keys and values (B * K, H, 1, D / H) of a step; return all."""
        self.keys, self.values = torch.cat([self.keys, keys], 2), torch.cat([self.values, values], 2)
        return self.keys, self.values


class DecoderLayer(nn.Module):
    """Self-attention, causal where no mask is given, attention to the source, then feed-forward."""

    def __init__(self, dim: int, *, heads: int, inner: int, dropout: float, norm: Norm) -> None:
        super().__init__()
        self.own = Attention(dim, heads=heads, dropout=dropout)
        self.source = Attention(dim, heads=heads, dropout=dropout)
        self.inner = FeedForward(dim, inner=inner, dropout=dropout)
        self.around_own = Residual(dim, norm=norm, dropout=dropout)
        self.around_source = Residual(dim, norm=norm, dropout=dropout)
        self.around_inner = Residual(dim, norm=norm, dropout=dropout)

    def forward(
        self, x: Tensor, source: Tensor, mask: Tensor | None, own_mask: Tensor | None = None
    ) -> Tensor:
        """Return (B, T, D) given the encoded source (B, U, D), of which ``mask`` (B, 1, 1, U) is valid.

        Each vector looks at itself and those before; with ``own_mask`` (B, 1, 1, T) at all where it is true.
        """
        kept = self.source.keys_values(source)
        return self._through(
            x, lambda seen: self.own(seen, mask=own_mask, is_causal=own_mask is None), kept, mask
        )

    def step(self, x: Tensor, cache: Cache, mask: Tensor | None) -> Tensor:
        """Return (B, K, D) of the next vector (B, K, D) of each partial translation."""

        def look_back(seen: Tensor) -> Tensor:
            query, key, value = self.own.project(seen.flatten(0, 1)[:, None])
            return self.own.attend(query, *cache.add(key, value)).view_as(seen)

        return self._through(x, look_back, cache.source, mask)

    def start(self, source: Tensor, rows: int) -> Cache:
        """Return the cache before the first of the steps of ``rows`` partial translations."""
        keys, values = self.source.keys_values(source)
        empty = keys.new_empty(rows, keys.shape[1], 0, keys.shape[3])
        return Cache(empty, empty, (keys, values))

    def _through(
        self,
        x: Tensor,
        look_back: Callable[[Tensor], Tensor],
        source: tuple[Tensor, Tensor],
        mask: Tensor | None,
    ) -> Tensor:
        x = self.around_own(x, look_back)
        x = self.around_source(
            x, lambda seen: self.source.attend(self.source.queries(seen), *source, mask=mask)
        )
        found: Tensor = self.around_inner(x, self.inner)
        return found


class Stack(nn.Module):
    """Layers one after the other, with a norm behind the last where the layers have theirs in front.

    Args:
        kind: Class of the layers.
        dim: Size D.
        layers: How many.
        heads: Heads of each attention.
        inner: Size inside the feed-forward sublayers.
        dropout: Share of numbers that training leaves out.
        norm: See `Residual`.
    """

    def __init__(
        self,
        kind: type[nn.Module],
        dim: int,
        *,
        layers: int,
        heads: int,
        inner: int,
        dropout: float,
        norm: Norm,
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            kind(dim, heads=heads, inner=inner, dropout=dropout, norm=norm) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(dim) if norm == "pre" else nn.Identity()

    def forward(self, x: Tensor, *arguments: Tensor) -> Tensor:
        """Return (B, T, D); every layer gets the same ``arguments``."""
        for layer in self.layers:
            x = layer(x, *arguments)
        normed: Tensor = self.norm(x)
        return normed
