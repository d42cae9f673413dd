"""The decoder layer that sees all places of the target at once (Gu et al. 2018, 3.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from unitdisc_translation.product import product
from unitdisc_translation.transformer import Attention, FeedForward, Residual

if TYPE_CHECKING:
    from unitdisc_translation.transformer import Norm


class PositionalAttention(Attention):
    """Attention whose queries and keys are positions and whose values are states: words can change places.

    Args:
        dim: Size D of all vectors.
        heads: Number of heads.
        dropout: Share of the weights that training leaves out.
    """

    def look(self, x: Tensor, places: Tensor, *, mask: Tensor) -> Tensor:
        """Return (B, T, D) given states ``x`` (B, T, D) and vectors of the ``places`` (T, D)."""
        dim = x.shape[2]
        query, key = self._split(product(places[None], self.weight[: 2 * dim], self.bias[: 2 * dim]), 2)
        (value,) = self._split(product(x, self.weight[2 * dim :], self.bias[2 * dim :]), 1)
        return self.attend(query.expand_as(value), key.expand_as(value), value, mask=mask)


class ParallelLayer(nn.Module):
    """Attention to all other places, positional attention, attention to the source, then feed-forward."""

    def __init__(self, dim: int, *, heads: int, inner: int, dropout: float, norm: Norm) -> None:
        super().__init__()
        self.own = Attention(dim, heads=heads, dropout=dropout)
        self.places = PositionalAttention(dim, heads=heads, dropout=dropout)
        self.source = Attention(dim, heads=heads, dropout=dropout)
        self.inner = FeedForward(dim, inner=inner, dropout=dropout)
        self.around_own = Residual(dim, norm=norm, dropout=dropout)
        self.around_places = Residual(dim, norm=norm, dropout=dropout)
        self.around_source = Residual(dim, norm=norm, dropout=dropout)
        self.around_inner = Residual(dim, norm=norm, dropout=dropout)

    def forward(self, x: Tensor, places: Tensor, valid: Tensor, source: Tensor, mask: Tensor) -> Tensor:
        """Return (B, T, D).

        Args:
            x: (B, T, D).
            places: (T, D), vectors of the places.
            valid: (B, T) bool, true on valid vectors of ``x``, of which each sentence has at least one.
            source: (B, U, D).
            mask: (B, 1, 1, U) bool, true on valid vectors of ``source``.
        """
        everywhere = valid[:, None, None]
        others = self._others(valid)
        x = self.around_own(x, lambda seen: self.own(seen, mask=others))
        x = self.around_places(x, lambda seen: self.places.look(seen, places, mask=everywhere))
        kept = self.source.keys_values(source)
        x = self.around_source(
            x, lambda seen: self.source.attend(self.source.queries(seen), *kept, mask=mask)
        )
        found: Tensor = self.around_inner(x, self.inner)
        return found

    @staticmethod
    def _others(valid: Tensor) -> Tensor:
        """Return (B, 1, T, T) bool: no place looks at itself, but where it is the only one."""
        own = torch.eye(valid.shape[1], dtype=torch.bool, device=valid.device)
        is_alone = valid.sum(1) == 1
        return (valid[:, None] & (~own | is_alone[:, None, None]))[:, None]
