"""Sums of the latents of each code."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from unitdisc.codebook.lookup import flat_rows


@torch.no_grad()
def code_sums(vectors: Tensor, codes: Tensor, num_codes: int) -> tuple[Tensor, Tensor]:
    """Return per code the sum (Q, K, d) of its latents and their number (Q, K) int64.

    Args:
        vectors: (N, D) with D = Q * d.
        codes: (N, Q) in [0, K).
        num_codes: K.
    """
    books = codes.shape[1]
    rows = flat_rows(codes, num_codes)
    sums, counts = row_sums(vectors.reshape(len(rows), vectors.shape[1] // books), rows, books * num_codes)
    return sums.view(books, num_codes, -1), counts.view(books, num_codes)


def row_sums(vectors: Tensor, rows: Tensor, num_rows: int) -> tuple[Tensor, Tensor]:
    """Return (R, d), the sum of the vectors (M, d) of each of ``num_rows`` rows, and their number (R,) int64.

    The vectors of a row are added in their order: the same input gives the same bytes, on every device.
    """
    counts = torch.bincount(rows, minlength=num_rows)
    order = torch.argsort(rows, stable=True)
    return functional.embedding_bag(order, vectors, counts.cumsum(0) - counts, mode="sum"), counts
