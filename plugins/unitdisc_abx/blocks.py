"""Which tokens are compared in one go, and the distances between their frames, in blocks of bounded size."""

from __future__ import annotations

from dataclasses import dataclass
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
"""Frame distances that a thread holds; those of two tokens may be more."""

_SMALL = 2**22
"""Frame distances of the small blocks that a thread takes at once, so that each thread finds some."""

_PAIR = 8
"""Frame distances that take as much memory as what is kept of a pair of tokens in a small block."""

_ROWS = 2**10
"""Frames of the rows of a block that has many pairs; one token may have more. Steps over fewer pairs would be so short
that threads wait for each other."""

_TILE = 2**9
"""Frames on both sides whose distances are found at once, so that all that is done to them stays in a core's cache."""

_SQUARE = 2**12
"""Tokens of a group whose distances from each other are all held at once."""

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

    def of(self, tokens: np.ndarray) -> Side:
        """Return the frames of these tokens (N,), longest token first."""
        lengths = self.lengths[tokens]
        order = np.argsort(-lengths, kind="stable")
        ordered = lengths[order]
        counts = [int(np.searchsorted(-ordered, -n)) for n in range(int(ordered[0]))]
        starts = np.cumsum([0, *counts])[:-1].tolist()
        first = self.starts[tokens[order]]
        frames = np.concatenate([first[:count] + n for n, count in enumerate(counts)])
        ranks = np.repeat(np.arange(len(counts)), counts)
        return Side(self.values[torch.from_numpy(frames)], ranks, order, Steps(starts, counts))


@dataclass(frozen=True)
class Side:
    """One side of a block.

    Args:
        frames: (F, D), all first ones of the tokens, then all second ones, and so on.
        ranks: (F,) int64, the place of each frame in its token, from 0.
        order: (N,) int64, which token is the longest, and so on.
        steps: Where their frames lie.
    """

    frames: Tensor
    ranks: np.ndarray
    order: np.ndarray
    steps: Steps


@dataclass(frozen=True)
class Block:
    """Some X of a group beside all of its columns.

    Args:
        group: The group.
        columns: All columns, in parts; none where the block is small, all of its group and of few pairs.
        rows: (R,) int64, tokens.
        queries: (R,) int64, to which X of the group each belongs, -1 for none.
        num_cells: How many distances between frames it takes.
        is_last: Whether nothing of the group is left.
        square: Distances (M, M) of the columns of the group from each other, where X are the A themselves. Then
            ``columns`` are those that are not among the rows of earlier blocks; what is found holds both ways.
        places: (R,) int64, which of the columns the rows are, where there is a ``square``.
    """

    group: Group
    columns: Iterable[Part]
    rows: np.ndarray
    queries: np.ndarray
    num_cells: int
    is_last: bool
    square: np.ndarray | None = None
    places: np.ndarray | None = None

    @property
    def is_small(self) -> bool:
        """Whether it has few pairs, which are aligned together with those of other blocks."""
        return self.columns == ()


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
            size = max(block.num_cells, _PAIR * len(block.rows) * len(block.group.columns))
            if batch and (taken + size > _SMALL or not block.is_small):
                yield batch
                batch, taken = [], 0
            if block.is_small:
                batch.append(block)
                taken += size
            else:
                yield [block]
    if batch:
        yield batch


def _blocks(group: Group, frames: Frames, distance: FrameDistance) -> Iterator[Block]:
    if not group.queries:
        return
    rows = np.concatenate([rows for _, rows in group.queries])
    queries = np.repeat(np.arange(len(group.queries)), [len(rows) for _, rows in group.queries])
    lengths, widths = frames.lengths[rows], frames.lengths[group.columns]
    num_cells = int(lengths.sum() * widths.sum())
    if len(rows) * len(widths) < _FEW and num_cells <= _SMALL:
        yield Block(group, (), rows, queries, num_cells, is_last=True)
        return
    if group.is_within and len(widths) <= _SQUARE:
        yield from _square(group, frames, distance)
        return
    order = np.argsort(-widths, kind="stable")
    columns = list(_columns(group, order, frames, distance))
    for part in parts(lengths, _ROWS):
        num_cells = int(lengths[part].sum() * widths.sum())
        yield Block(group, columns, rows[part], queries[part], num_cells, is_last=part.stop == len(rows))


def _square(group: Group, frames: Frames, distance: FrameDistance) -> Iterator[Block]:
    """Yield blocks that find the distance of A from X with that of X from A, whose frames are as far apart."""
    widths = frames.lengths[group.columns]
    order = np.argsort(-widths, kind="stable")
    queries = np.full(len(order), -1)
    for query, (label, tokens) in enumerate(group.queries):
        queries[group.starts[label] :][: len(tokens)] = query
    square = np.empty((len(order), len(order)))
    for part in parts(widths[order], _ROWS):
        places, rest = order[part], order[part.start :]
        num_cells = int(widths[places].sum() * widths[rest].sum())
        columns = _columns(
            group, rest, frames, distance
        )  # made where they are used, as they are for this block
        is_last = part.stop == len(order)
        rows = group.columns[places]
        yield Block(group, columns, rows, queries[places], num_cells, is_last, square, places)


def _columns(group: Group, places: np.ndarray, frames: Frames, distance: FrameDistance) -> Iterator[Part]:
    """Yield columns at these places, longest token first, in parts."""
    for part in parts(frames.lengths[group.columns[places]], _BATCH // _ROWS):
        side = frames.of(group.columns[places[part]])
        yield Part(places[part], side, distance.right(side.frames))


def parts(lengths: np.ndarray, most: int) -> Iterator[slice]:
    """Yield which of some things of these lengths (N,) stand together, at most so long or one alone."""
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

    def of(self, size: int) -> np.ndarray:
        """Return so many numbers; those returned before may be overwritten."""
        return self._memory[:size] if size <= len(self._memory) else np.empty(size, self._memory.dtype)


def fill(
    left: Tensor, right: Tensor, distance: FrameDistance, packing: Packing, *, ranks: Tensor, into: Tensor
) -> None:
    """Put the packed distances between all frames of two sides into (F, G).

    Args:
        left: What stands for the frames (F, ...) of the first.
        right: What stands for the frames (G, ...) of the second.
        distance: Between frames.
        packing: What packs them.
        ranks: (F, 1), `Packing.ranks` of the first.
        into: (F, G).
    """
    for top in range(0, into.shape[0], _TILE):
        for first in range(0, into.shape[1], _TILE):
            down, along = slice(top, top + _TILE), slice(first, first + _TILE)
            whole = packing.whole(distance.between(left[down], right[along]))
            torch.add(whole, ranks[down], out=into[down, along])
