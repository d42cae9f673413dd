"""Sentences of what is known of all their places at once."""

from __future__ import annotations

import torch
from torch import Tensor

from unitdisc_translation.product import product
from unitdisc_translation.vocabulary import END, PAD, START, UNKNOWN

_PART = 4096
"""Tokens of the vocabulary at a time."""


def write(vectors: Tensor, table: Tensor, *, early: Tensor, limits: Tensor) -> list[Tensor]:
    """Return B sentences (U,) int64: the likeliest token of each place up to the first </s>, which is last.

    Args:
        vectors: (B, T, D), what is known of each place.
        table: (V, D) of the vectors of tokens.
        early: (B,) int64, places of each sentence in which </s> is looked for first: no others are compared with the
            vocabulary where one of these has it.
        limits: (B,) int64, tokens of each sentence at most; the last of them is </s>.
    """
    places = torch.arange(vectors.shape[1], device=vectors.device)
    tokens = torch.full_like(vectors[..., 0], END, dtype=torch.int64)  # (B, T)
    is_free = places < limits[:, None] - 1
    is_early = is_free & (places < early[:, None])
    tokens[is_early] = _likeliest(vectors[is_early], table)
    has_end = (is_early & (tokens == END)).any(1, keepdim=True)
    is_late = is_free & ~is_early & ~has_end
    if bool(is_late.any()):
        tokens[is_late] = _likeliest(vectors[is_late], table)
    ends = (tokens == END).int().argmax(1) + 1
    return [row[:end] for row, end in zip(tokens, ends.tolist(), strict=True)]


def _likeliest(vectors: Tensor, table: Tensor) -> Tensor:
    """Return (N,), for each vector (N, D) the token of its largest logit, <pad>, <s> and <unk> left out."""
    logits = product(vectors, table)
    logits[:, [PAD, START, UNKNOWN]] = float("-inf")
    # The largest of each part, then of these: several times as fast, for a part stays in the cache.
    values, places = zip(*(part.max(1) for part in logits.split(_PART, 1)), strict=True)
    number = torch.stack(values).max(0).indices
    return torch.stack(places).gather(0, number[None])[0] + _PART * number
