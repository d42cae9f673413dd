"""From codes back to vectors."""

from __future__ import annotations

import torch
from torch import Tensor


def lookup(codes: Tensor, codebook: Tensor) -> Tensor:
    """Return (..., D), the vectors that ``codes`` stand for, zeros for -1; gradients pass to the codebook.

    Args:
        codes: (...) for a codebook (K, D), (..., Q) for Q codebooks (Q, K, d) with D = Q * d.
        codebook: (K, D) or (Q, K, d).
    """
    if codebook.dim() == 2:
        return lookup(codes.unsqueeze(-1), codebook.unsqueeze(0))
    rows = flat_rows(codes.clamp(min=0), codebook.shape[1])
    vectors = (
        codebook.flatten(0, 1).index_select(0, rows).view(*codes.shape, codebook.shape[-1])
    )  # (..., Q, d)
    return (vectors * (codes >= 0).unsqueeze(-1)).flatten(-2)


def flat_rows(codes: Tensor, num_codes: int) -> Tensor:
    """Return (N * Q,), where ``codes`` (..., Q) stand in Q codebooks laid out as (Q * K, d)."""
    return (codes + torch.arange(codes.shape[-1], device=codes.device) * num_codes).flatten()
