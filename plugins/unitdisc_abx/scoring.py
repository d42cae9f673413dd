"""From groups of cells to the error: distances in blocks of bounded size, wins, and means of means."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from unitdisc_abx.alignment import Packing, Pairs, align

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from unitdisc_abx.cells import Group
    from unitdisc_abx.frame_distances import FrameDistance

_BLOCK = 2**20
"""Distances between frames that are found at once; one token of X may have more."""

_WAITING = 2**22
"""Of them that wait until pairs of the same lengths have come together."""

_PAIRS = 2**20
"""Pairs of tokens that wait."""


@dataclass(frozen=True)
class Frames:
    """The frames of all tokens.

    Args:
        values: (F, ...), what distances are taken of.
        starts: (N,) int64, the first frame of each token.
        lengths: (N,) int64, each at least 1.
    """

    values: Tensor
    starts: np.ndarray
    lengths: np.ndarray

    def of(self, tokens: np.ndarray) -> Tensor:
        """Return the frames of these tokens, one after the other."""
        ends = np.cumsum(self.lengths[tokens])
        places = np.repeat(self.starts[tokens] - (ends - self.lengths[tokens]), self.lengths[tokens])
        return self.values[torch.from_numpy(places + np.arange(len(places)))]


@dataclass(frozen=True)
class Block:
    """Some X of a group with the distances between their frames and those of all columns.

    Args:
        group: The group.
        wins: (len(group.queries), L), what the group has won so far: for each label B the number of triplets in
            which A is closer to X, ties being a half.
        rows: (R,) int64, tokens.
        queries: (R,) int64, to which X each belongs, in ascending order.
        distances: (frames of the rows, frames of the columns) int64, packed.
        is_last: Whether nothing of the group is left.
    """

    group: Group
    wins: np.ndarray
    rows: np.ndarray
    queries: np.ndarray
    distances: np.ndarray
    is_last: bool


@dataclass
class Means:
    """Sums of numbers by key, in memory bounded by the number of different keys."""

    keys: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    sums: np.ndarray = field(default_factory=lambda: np.zeros((2, 0)))
    waiting: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)
    num_waiting: int = 0

    def add(self, keys: np.ndarray, values: np.ndarray) -> None:
        """Take numbers (N,) in."""
        self.waiting.append((keys, np.stack([values, np.ones_like(values)])))
        self.num_waiting += len(keys)
        if self.num_waiting > max(2**16, 2 * len(self.keys)):
            self.merge()

    def merge(self) -> None:
        """Sum up what waits."""
        keys = np.concatenate([self.keys, *(found for found, _ in self.waiting)])
        values = np.concatenate([self.sums, *(found for _, found in self.waiting)], axis=1)
        self.keys, places = np.unique(keys, return_inverse=True)
        self.sums = np.stack([np.bincount(places, row, len(self.keys)) for row in values])
        self.waiting, self.num_waiting = [], 0

    def result(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the keys in ascending order and the mean of each."""
        self.merge()
        return self.keys, self.sums[0] / self.sums[1]


@dataclass
class Score:
    """The errors of cells, and of how much they are the mean.

    Args:
        num_labels: More than any label's number.
        num_speakers: More than any speaker's number.
    """

    num_labels: int
    num_speakers: int
    cells: int = 0
    triplets: int = 0
    errors: Means = field(default_factory=Means)

    def add(self, group: Group, wins: np.ndarray) -> None:
        """Take the cells of a group in."""
        sizes = np.diff(np.append(group.starts, len(group.columns)))
        for (place, rows), won in zip(group.queries, wins, strict=True):
            triplets = len(rows) * (sizes[place] - group.is_within) * sizes
            other = np.arange(len(sizes)) != place
            keys = (group.labels[place] * self.num_labels + group.labels[other]) * self.num_speakers
            self.errors.add(keys + group.speaker, 1 - won[other] / triplets[other])
            self.cells += int(other.sum())
            self.triplets += int(triplets[other].sum())

    def mean(self) -> tuple[float, int]:
        """Return the mean error and the number of ordered pairs of labels.

        The mean over contexts and speakers of X comes first, then that over speakers of A and B, then that over
        pairs of labels, as in libri-light and fastabx.
        """
        keys, errors = self.errors.result()
        pairs = Means()
        pairs.add(keys // self.num_speakers, errors)
        means = pairs.result()[1]
        return float(means.mean()), len(means)


def score(groups: Iterable[Group], frames: Frames, distance: FrameDistance, into: Score) -> None:
    """Score all cells."""
    waiting: list[Block] = []
    packing = Packing(distance.largest(frames.values), int(frames.lengths.max()))
    for group in groups:
        for block in _blocks(group, frames, distance, packing):
            waiting.append(block)
            pairs = sum(len(each.rows) * len(each.group.columns) for each in waiting)
            if pairs >= _PAIRS or sum(each.distances.size for each in waiting) >= _WAITING:
                _flush(waiting, frames, packing, into)
                waiting = []
    _flush(waiting, frames, packing, into)


def _blocks(group: Group, frames: Frames, distance: FrameDistance, packing: Packing) -> Iterator[Block]:
    if not group.queries:
        return
    wins = np.zeros((len(group.queries), len(group.labels)))
    rows = np.concatenate([rows for _, rows in group.queries])
    queries = np.repeat(np.arange(len(group.queries)), [len(rows) for _, rows in group.queries])
    right = distance.right(frames.of(group.columns))
    most = max(1, _BLOCK // len(right))
    ends = np.cumsum(frames.lengths[rows])
    first = 0
    while first < len(rows):
        begun = ends[first] - frames.lengths[rows[first]]
        last = max(first + 1, int(np.searchsorted(ends, begun + most, side="right")))
        left = distance.left(frames.of(rows[first:last]))
        found = packing.pack(distance.between(left, right))
        yield Block(group, wins, rows[first:last], queries[first:last], found, last == len(rows))
        first = last


def _flush(blocks: list[Block], frames: Frames, packing: Packing, into: Score) -> None:
    """Align the pairs of the blocks together, count what is won, and keep the errors of finished groups."""
    if not blocks:
        return
    pairs, places = [], 0
    for block in blocks:
        pairs.append(_pairs(block, frames, places))
        places += block.distances.size
    joined = Pairs(*(np.concatenate(parts) for parts in zip(*map(_fields, pairs), strict=True)))
    aligned = align(np.concatenate([block.distances.ravel() for block in blocks]), joined, packing)
    edges = np.cumsum([len(each) for each in pairs])[:-1]
    for block, found in zip(blocks, np.split(aligned, edges), strict=True):
        _count(block, found.reshape(len(block.rows), -1))
        if block.is_last:
            into.add(block.group, block.wins)


def _fields(pairs: Pairs) -> tuple[np.ndarray, ...]:
    return pairs.starts, pairs.strides, pairs.rows, pairs.columns


def _pairs(block: Block, frames: Frames, begin: int) -> Pairs:
    """Return all pairs of row and column; the block's distances begin at ``begin``."""
    rows, columns = frames.lengths[block.rows], frames.lengths[block.group.columns]
    width = block.distances.shape[1]
    starts = begin + (np.cumsum(rows) - rows)[:, None] * width + (np.cumsum(columns) - columns)
    shape = starts.shape
    return Pairs(
        starts.ravel(),
        np.full(starts.size, width),
        np.broadcast_to(rows[:, None].astype(np.int32), shape).ravel(),
        np.broadcast_to(columns.astype(np.int32), shape).ravel(),
    )


def _count(block: Block, distances: np.ndarray) -> None:
    """Add to the group's wins those of the distances (R, M) between rows and columns."""
    group = block.group
    ends = np.append(group.starts[1:], len(group.columns))
    edges = np.flatnonzero(np.diff(block.queries)) + 1
    for query, rows, found in zip(
        block.queries[np.append(0, edges)],
        np.split(block.rows, edges),
        np.split(distances, edges),
        strict=True,
    ):
        place = group.queries[query][0]
        own = slice(group.starts[place], ends[place])
        to_a = found[:, own]
        if group.is_within:
            to_a = np.where(rows[:, None] == group.columns[own], np.inf, to_a)
        ordered = torch.from_numpy(np.sort(to_a, axis=1))
        to_b = torch.from_numpy(np.ascontiguousarray(found))
        closer, closer_or_tied = (torch.searchsorted(ordered, to_b, right=right) for right in (False, True))
        won = (closer + closer_or_tied).sum(0).double().numpy() / 2
        block.wins[query] += np.add.reduceat(won, group.starts)
