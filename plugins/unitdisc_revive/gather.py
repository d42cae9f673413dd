"""Rows of a step's latents by their place, from whichever rank has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from unitdisc import distributed

if TYPE_CHECKING:
    from collections.abc import Sequence


def piece_sizes(pieces: Sequence[Tensor], *, device: torch.device) -> Tensor:
    """Return (P, R) int64, the rows of each piece of each rank, 0 where a rank has fewer pieces than others.

    All ranks call it. The place of a row counts through the pieces, and in each piece through the ranks: where
    piece p of rank r is micro-batch ``p * R + r`` of a step, that is the order of a single process.
    """
    ranks, rank = distributed.world_size(), distributed.rank()
    numbers = torch.zeros(ranks, dtype=torch.int64, device=device)
    numbers[rank] = len(pieces)
    sizes = torch.zeros(int(distributed.all_sum_(numbers).max()), ranks, dtype=torch.int64, device=device)
    sizes[: len(pieces), rank] = torch.tensor(
        [len(piece) for piece in pieces], dtype=torch.int64, device=device
    )
    return distributed.all_sum_(sizes)


def gathered_rows(pieces: Sequence[Tensor], sizes: Tensor, places: Tensor, *, size: int) -> Tensor:
    """Return the rows (M, size) at ``places`` (M,) of the pieces (n, size) of all ranks; all ranks call it."""
    ends = sizes.flatten().cumsum(0)
    starts = (ends - sizes.flatten()).view_as(sizes)[:, distributed.rank()]
    found = torch.zeros(len(places), size, device=places.device)
    for piece, start in zip(pieces, starts.tolist(), strict=False):
        is_own = (places >= start) & (places < start + len(piece))
        found[is_own] = piece[places[is_own] - start]
    return distributed.all_sum_(found)
