"""The latents of a batch in pools: from one's own pool come the latents that a prediction must not fit."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unitdisc.parts import Padded


@dataclass(frozen=True)
class Pools:
    """All N valid latents of a batch, pool after pool; inside one, utterance after utterance in time.

    Args:
        places: (N,) int64, place of each latent in the flattened (B * S).
        following: (N,) int64, number of latents that follow in the same utterance.
        starts: (N,) int64, place in the pools of the first latent of its pool.
        sizes: (N,) int64, number of latents in its pool.
    """

    places: Tensor
    following: Tensor
    starts: Tensor
    sizes: Tensor

    def others(self, latents: Tensor, draws: int) -> Tensor:
        """Return (M, draws) int64: for each of ``latents`` (M,), others of its pool, uniformly with repeats.

        Each pool must have two latents or more.
        """
        more = self.sizes[latents, None] - 1
        uniform = torch.rand(len(latents), draws, device=latents.device, dtype=torch.float64)
        # How far ahead in the pool, which closes to a ring: 1 to size - 1, so never back to itself.
        ahead = 1 + (uniform * more).long()
        start = self.starts[latents, None]
        return start + (latents[:, None] - start + ahead) % self.sizes[latents, None]


def pools(latents: Padded, groups: Tensor | None) -> Pools:
    """Return the valid latents of a batch (B, S, D) in pools.

    Args:
        latents: The sequences; only their lengths count.
        groups: (B,) int64, utterances of the same number share a pool; one of -1 is a pool by itself, as are all
            where this is None.
    """
    batch_size, num_latents = latents.values.shape[:2]
    rows = torch.arange(batch_size, device=latents.lengths.device)
    known = rows if groups is None else groups
    groups = torch.where(known < 0, known.amax() + 1 + rows, known)
    order = groups.argsort(stable=True)  # utterances, pool after pool
    columns = torch.arange(num_latents, device=rows.device).expand(batch_size, -1)
    is_valid = latents.mask[order]
    row, column = order[:, None].expand_as(is_valid)[is_valid], columns[is_valid]
    _, pool, counts = groups[row].unique_consecutive(return_inverse=True, return_counts=True)
    first = counts.cumsum(0) - counts
    return Pools(row * num_latents + column, latents.lengths[row] - 1 - column, first[pool], counts[pool])
