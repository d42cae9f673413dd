"""Distances between the frames of X and those of A and B, in blocks of bounded size, one after the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from unitdisc_abx.alignment import Packing, Pairs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from unitdisc_abx.cells import Group
    from unitdisc_abx.frame_distances import FrameDistance

_BLOCK = 2**21
"""Frame distances of a block; one token of X may have more."""

_TILE = 2**16
"""Of them that are found at once, so that what is done to them stays in a core's cache."""

_BATCH = 2**23
"""Of a batch, in which pairs of the same lengths come together."""

_PAIRS = 2**20
"""Pairs of tokens of a batch."""


@dataclass(frozen=True)
class Frames:
    """The frames of all tokens.

    Args:
        values: (F, D), what distances are taken of.
        starts: (N,) int64, the first frame of each token.
        lengths: (N,) int64, each at least 1.
    """

    values: Tensor
    starts: np.ndarray
    lengths: np.ndarray

    def of(self, tokens: np.ndarray) -> Tensor:
        """Return the frames of these tokens, one after the other."""
        lengths = self.lengths[tokens]
        places = np.repeat(self.starts[tokens] - _begins(lengths), lengths)
        return self.values[torch.from_numpy(places + np.arange(len(places)))]


@dataclass(frozen=True)
class Block:
    """Some X of a group beside all of its columns.

    Args:
        group: The group.
        wins: (len(group.queries), L), what the group has won so far: for each label B the number of triplets in
            which A is closer to X, ties being a half.
        rows: (R,) int64, tokens.
        queries: (R,) int64, to which X each belongs, in ascending order.
        packed: (frames of the rows, frames of the columns) int64, distances.
        is_last: Whether nothing of the group is left.
    """

    group: Group
    wins: np.ndarray
    rows: np.ndarray
    queries: np.ndarray
    packed: np.ndarray
    is_last: bool

    def pairs(self, frames: Frames, begin: int) -> Pairs:
        """Return all pairs of row and column; the block's distances begin at ``begin``."""
        rows, columns = frames.lengths[self.rows], frames.lengths[self.group.columns]
        width = self.packed.shape[1]
        starts = begin + _begins(rows)[:, None] * width + _begins(columns)
        return Pairs(
            starts.ravel(),
            np.full(starts.size, width),
            np.repeat(rows.astype(np.int32), len(columns)),
            np.tile(columns.astype(np.int32), len(rows)),
        )


def batches(
    groups: Iterable[Group], frames: Frames, distance: FrameDistance, packing: Packing
) -> Iterator[list[Block]]:
    """Yield the blocks of all groups, many at a time."""
    batch: list[Block] = []
    distances = pairs = 0
    for group in groups:
        for block in _blocks(group, frames, distance, packing):
            batch.append(block)
            distances += block.packed.size
            pairs += len(block.rows) * len(group.columns)
            if distances >= _BATCH or pairs >= _PAIRS:
                yield batch
                batch, distances, pairs = [], 0, 0
    if batch:
        yield batch


def _blocks(group: Group, frames: Frames, distance: FrameDistance, packing: Packing) -> Iterator[Block]:
    if not group.queries:
        return
    wins = np.zeros((len(group.queries), len(group.labels)))
    rows = np.concatenate([rows for _, rows in group.queries])
    queries = np.repeat(np.arange(len(group.queries)), [len(rows) for _, rows in group.queries])
    right = distance.right(frames.of(group.columns))
    ends = np.cumsum(frames.lengths[rows])
    first = 0
    while first < len(rows):
        most = ends[first] - frames.lengths[rows[first]] + _BLOCK // len(right)
        last = max(first + 1, int(np.searchsorted(ends, most, side="right")))
        packed = _packed(distance.left(frames.of(rows[first:last])), right, distance, packing)
        yield Block(group, wins, rows[first:last], queries[first:last], packed, last == len(rows))
        first = last


def _packed(left: Tensor, right: Tensor, distance: FrameDistance, packing: Packing) -> np.ndarray:
    """Return the distances between all frames of both sides."""
    width = max(1, _TILE // len(left))
    if width >= len(right):
        return packing.pack(distance.between(left, right)).numpy()
    packed = torch.empty(len(left), len(right), dtype=torch.int64)
    for first in range(0, len(right), width):
        tile = slice(first, first + width)
        packed[:, tile] = packing.pack(distance.between(left, right[tile]))
    return packed.numpy()


def _begins(lengths: np.ndarray) -> np.ndarray:
    """Return where each of several stretches that lie one after the other begins."""
    begins: np.ndarray = np.cumsum(lengths) - lengths
    return begins
