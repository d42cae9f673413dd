"""Distances between the frames of X and those of A and B, in blocks of bounded size, one after the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from unitdisc_abx.alignment import Packing
    from unitdisc_abx.cells import Group
    from unitdisc_abx.frame_distances import FrameDistance

_BATCH = 2**24
"""Frame distances of a batch of blocks; those of one token of X may be more."""

_TILE = 2**8
"""Frames on both sides whose distances are found at once, so that all that is done to them stays in a core's cache."""


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
        """Return the frames of these tokens, in an order in which those of equally long ones can be aligned."""
        lengths = self.lengths[tokens]
        equal, places, begin = [], [], 0
        for length in np.unique(lengths).tolist():
            alike = np.flatnonzero(lengths == length)
            equal.append((length, begin, alike))
            places.append((self.starts[tokens[alike]] + np.arange(length)[:, None]).ravel())
            begin += length * len(alike)
        return Side(self.values[torch.from_numpy(np.concatenate(places))], equal)


@dataclass(frozen=True)
class Side:
    """One side of a block.

    Args:
        frames: First the first frames of the shortest tokens, then the second frames of these, and so on.
        equal: By length, where the frames of tokens of this length begin, and which these tokens are.
    """

    frames: Tensor
    equal: list[tuple[int, int, np.ndarray]]


@dataclass(frozen=True)
class Panel:
    """Pairs of tokens of the same two lengths.

    Args:
        packed: (N, M, rows, columns), distances between their frames.
        rows: Places of the first tokens among the rows of the block.
        columns: Places of the second among its columns.
    """

    packed: np.ndarray
    rows: np.ndarray
    columns: np.ndarray


@dataclass(frozen=True)
class Block:
    """Some X of a group beside all of its columns.

    Args:
        group: The group.
        wins: (len(group.queries), L), what the group has won so far: for each label B the number of triplets in
            which A is closer to X, ties being a half.
        rows: (R,) int64, tokens.
        queries: (R,) int64, to which X each belongs, in ascending order.
        panels: All pairs of row and column.
        distances: (R, M) float64, room for what the pairs are apart.
        is_last: Whether nothing of the group is left.
    """

    group: Group
    wins: np.ndarray
    rows: np.ndarray
    queries: np.ndarray
    panels: list[Panel]
    distances: np.ndarray
    is_last: bool


class Room:
    """Memory for the distances of two batches, one filled while the other is looked at, again and again.

    Fresh memory would cost more than what is put there.
    """

    def __init__(self, kind: torch.dtype) -> None:
        self.halves = [torch.empty(_BATCH, dtype=kind) for _ in range(2)]
        self.taken = 0

    def holds(self, size: int) -> bool:
        """Return whether the half that is filled holds so many more; an empty one may be asked for any number."""
        return self.taken == 0 or self.taken + size <= _BATCH

    def take(self, rows: int, columns: int) -> Tensor:
        """Return room for (rows, columns)."""
        begin, self.taken = self.taken, self.taken + rows * columns
        half = self.halves[0] if self.taken <= _BATCH else self.halves[0].new_empty(rows * columns)
        return half[begin : self.taken].view(rows, columns)

    def turn(self) -> None:
        """Go on with the other half."""
        self.halves.reverse()
        self.taken = 0


def batches(
    groups: Iterable[Group], frames: Frames, distance: FrameDistance, packing: Packing
) -> Iterator[list[Block]]:
    """Yield the blocks of all groups, many at a time; each batch is done with when the next but one is asked for."""
    batch: list[Block] = []
    room = Room(packing.kind)
    for group in groups:
        if not group.queries:
            continue
        wins = np.zeros((len(group.queries), len(group.labels)))
        rows = np.concatenate([rows for _, rows in group.queries])
        queries = np.repeat(np.arange(len(group.queries)), [len(rows) for _, rows in group.queries])
        columns = frames.of(group.columns)
        right = distance.right(columns.frames)
        for part in _parts(frames.lengths[rows], len(right)):
            own = frames.of(rows[part])
            if not room.holds(len(own.frames) * len(right)):
                yield batch
                batch = []
                room.turn()
            packed = room.take(len(own.frames), len(right))
            _fill(packed, distance.left(own.frames), right, distance, packing)
            panels = _panels(packed.numpy(), own, columns)
            apart = np.empty((len(rows[part]), len(group.columns)))
            is_last = part.stop == len(rows)
            batch.append(Block(group, wins, rows[part], queries[part], panels, apart, is_last))
    if batch:
        yield batch


def _parts(lengths: np.ndarray, width: int) -> Iterator[slice]:
    """Yield which rows have a block together, as many as a batch holds, each of so many frames."""
    ends = np.cumsum(lengths)
    first = 0
    while first < len(lengths):
        most = ends[first] - lengths[first] + _BATCH // width
        last = max(first + 1, int(np.searchsorted(ends, most, side="right")))
        yield slice(first, last)
        first = last


def _fill(packed: Tensor, left: Tensor, right: Tensor, distance: FrameDistance, packing: Packing) -> None:
    """Write the distances between all frames of both sides."""
    for top in range(0, len(left), _TILE):
        for first in range(0, len(right), _TILE):
            rows, columns = slice(top, top + _TILE), slice(first, first + _TILE)
            packing.pack(distance.between(left[rows], right[columns]), out=packed[rows, columns])


def _panels(packed: np.ndarray, rows: Side, columns: Side) -> list[Panel]:
    panels = []
    for height, top, some_rows in rows.equal:
        stripe = packed[top : top + height * len(some_rows)]
        for width, left, some_columns in columns.equal:
            part = stripe[:, left : left + width * len(some_columns)]
            table = part.reshape(height, len(some_rows), width, len(some_columns))  # a view
            panels.append(Panel(table.transpose(0, 2, 1, 3), some_rows, some_columns))
    return panels
