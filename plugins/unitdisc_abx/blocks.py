"""Which tokens are compared in one go, and the distances between their frames, in blocks of bounded size."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from unitdisc_abx.alignment import Steps

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from torch import Tensor

    from unitdisc_abx.alignment import Packing
    from unitdisc_abx.cells import Group
    from unitdisc_abx.frame_distances import FrameDistance

_BATCH = 2**22
"""Frame distances that a thread holds, little enough for its cache; those of two tokens may be more."""

_ROWS = 2**10
"""Frames of the rows of a block that has many pairs; one token may have more."""

_TILE = 2**9
"""Frames on both sides whose distances are found at once, so that all that is done to them stays in a core's cache."""

_FEW = 2**12
"""Pairs of a block, below which those of equal lengths are aligned together with those of other blocks."""


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

    def of(self, tokens: np.ndarray, *, by_length: bool) -> Side:
        """Return the frames of these tokens (N,), in stretches of equal lengths or, longest first, all in one."""
        lengths = self.lengths[tokens]
        order = np.argsort(-lengths, kind="stable")
        ordered = lengths[order]
        edges = (
            np.flatnonzero(np.diff(ordered, prepend=0, append=0)) if by_length else np.array([0, len(order)])
        )
        frames, ranks, stretches, begin = [], [], [], 0
        for first, last in pairwise(edges.tolist()):
            counts = [int(np.searchsorted(-ordered[first:last], -n)) for n in range(int(ordered[first]))]
            starts = begin + np.cumsum([0, *counts])
            stretches.append(Stretch(order[first:last], Steps(starts[:-1].tolist(), counts)))
            begin = int(starts[-1])
            frames += [
                self.starts[tokens[order[first : first + count]]] + n for n, count in enumerate(counts)
            ]
            ranks.append(np.repeat(np.arange(len(counts)), counts))
        return Side(self.values[torch.from_numpy(np.concatenate(frames))], np.concatenate(ranks), stretches)


@dataclass(frozen=True)
class Stretch:
    """Some tokens of a side.

    Args:
        tokens: (N,) int64, which of the side's they are, longest first.
        steps: Where their frames lie: all first frames, then all second ones, and so on.
    """

    tokens: np.ndarray
    steps: Steps


@dataclass(frozen=True)
class Side:
    """One side of a block.

    Args:
        frames: (F, D).
        ranks: (F,) int64, the place of each frame in its token, from 0.
        stretches: All of its tokens.
    """

    frames: Tensor
    ranks: np.ndarray
    stretches: list[Stretch]


@dataclass(frozen=True)
class Block:
    """Some X of a group beside all of its columns.

    Args:
        group: The group.
        columns: All columns, in parts.
        rows: (R,) int64, tokens.
        queries: (R,) int64, to which X of the group each belongs, in ascending order.
        num_cells: How many distances between frames it takes.
        is_small: Whether it has few pairs.
        is_last: Whether nothing of the group is left.
    """

    group: Group
    columns: list[Part]
    rows: np.ndarray
    queries: np.ndarray
    num_cells: int
    is_small: bool
    is_last: bool


@dataclass(frozen=True)
class Part:
    """Some columns of a group.

    Args:
        places: (M,) int64, which of the columns they are.
        side: Their frames.
        right: What stands for these in distances.
    """

    places: np.ndarray
    side: Side
    right: Tensor


def batches(groups: Iterable[Group], frames: Frames, distance: FrameDistance) -> Iterator[list[Block]]:
    """Yield the blocks of all groups, small ones many at a time."""
    batch: list[Block] = []
    taken = 0
    for group in groups:
        for block in _blocks(group, frames, distance):
            if batch and taken + block.num_cells > _BATCH:
                yield batch
                batch, taken = [], 0
            batch.append(block)
            taken += block.num_cells
    if batch:
        yield batch


def _blocks(group: Group, frames: Frames, distance: FrameDistance) -> Iterator[Block]:
    if not group.queries:
        return
    rows = np.concatenate([rows for _, rows in group.queries])
    queries = np.repeat(np.arange(len(group.queries)), [len(rows) for _, rows in group.queries])
    lengths, widths = frames.lengths[rows], frames.lengths[group.columns]
    is_small = len(rows) * len(widths) < _FEW and lengths.sum() * widths.sum() <= _BATCH
    order = np.argsort(-widths, kind="stable")
    columns = []
    for part in [slice(None)] if is_small else _parts(widths[order], _BATCH // _ROWS):
        side = frames.of(group.columns[order[part]], by_length=is_small)
        columns.append(Part(order[part], side, distance.right(side.frames)))
    for part in [slice(0, len(rows))] if is_small else _parts(lengths, _ROWS):
        num_cells = int(lengths[part].sum() * widths.sum())
        yield Block(group, columns, rows[part], queries[part], num_cells, is_small, part.stop == len(rows))


def _parts(lengths: np.ndarray, most: int) -> Iterator[slice]:
    """Yield which tokens stand together, at most so many frames or one token."""
    ends = np.cumsum(lengths)
    first = 0
    while first < len(lengths):
        last = int(np.searchsorted(ends, ends[first] - lengths[first] + most, side="right"))
        yield slice(first, max(first + 1, last))
        first = max(first + 1, last)


class Room:
    """Memory for distances, again and again: fresh memory would cost more than what is put there."""

    def __init__(self, kind: np.dtype[Any]) -> None:
        self._memory = np.empty(_BATCH, kind)
        self._taken = 0

    def fill(self, rows: Side, columns: Part, distance: FrameDistance, packing: Packing) -> np.ndarray:
        """Return the distances between all frames of the rows and the columns, packed."""
        shape = len(rows.frames), len(columns.right)
        begin, self._taken = self._taken, self._taken + shape[0] * shape[1]
        fits = self._taken <= len(self._memory)
        packed = self._memory[begin : self._taken].reshape(shape) if fits else np.empty(shape, packing.kind)
        left, ranks = distance.left(rows.frames), torch.from_numpy(packing.ranks(rows.ranks))[:, None]
        into = torch.from_numpy(packed)
        for top in range(0, shape[0], _TILE):
            for first in range(0, shape[1], _TILE):
                down, along = slice(top, top + _TILE), slice(first, first + _TILE)
                whole = packing.whole(distance.between(left[down], columns.right[along]))
                torch.add(torch.from_numpy(whole), ranks[down], out=into[down, along])
        return packed

    def clear(self) -> None:
        """Begin anew: what was filled before may be overwritten."""
        self._taken = 0
