"""Blocks of few pairs: all pairs of equal lengths are aligned at once, whichever block they are of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from unitdisc_abx.alignment import align
from unitdisc_abx.blocks import fill, parts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from unitdisc_abx.alignment import Packing
    from unitdisc_abx.blocks import Block, Frames, Room
    from unitdisc_abx.frame_distances import FrameDistance

_TOGETHER = 2**16
"""Numbers of a diagonal over the pairs that are aligned at once, so that three of them stay in a core's cache."""

_SIMILAR = 3
"""Lengths that differ by less can be aligned at once, as if all were as long as the longest of these."""

_CONVERTED = 2**12
"""Frames for which what stands for them in distances is made at once, so that it stays in a core's cache."""


def align_small(
    blocks: list[Block], room: Room, frames: Frames, distance: FrameDistance, packing: Packing
) -> list[np.ndarray]:
    """Return the distances (R, M) of the rows of each block from the columns of its group."""
    rows = Sides.of([block.rows for block in blocks], frames)
    columns = Sides.of([block.group.columns for block in blocks], frames)
    starts = np.append(0, np.cumsum(rows.sizes * columns.sizes))
    packed = room.of(int(starts[-1]))
    _fill(rows, columns, frames.values, distance, packing, into=torch.from_numpy(packed))
    pairs = Pairs.of(rows, columns, starts)
    found = np.empty(len(pairs.starts))
    for chosen in pairs.alike():
        heights, widths = pairs.heights[chosen], pairs.widths[chosen]
        down, along = (np.arange(lengths.max())[:, None] for lengths in (heights, widths))
        lines = pairs.starts[chosen] + down * pairs.strides[chosen]
        # Behind the end of a token is whatever stands there, and nothing behind the end of all.
        table = packed.take(lines[:, None] + along, mode="clip")
        found[chosen] = align(table, packing, heights, widths)
    tables = np.split(found, np.cumsum(rows.counts * columns.counts)[:-1])
    return [table.reshape(len(block.rows), -1) for block, table in zip(blocks, tables, strict=True)]


@dataclass(frozen=True)
class Sides:
    """The rows or the columns of many blocks, one behind the other.

    Args:
        lengths: (N,) int64, how many frames each token has.
        starts: (N,) int64, where the first of them is in its block.
        counts: (B,) int64, how many tokens each block has.
        sizes: (B,) int64, how many frames.
        frames: (F,) int64, numbers of the frames.
        ranks: (F,) int64, the place of each in its token.
    """

    lengths: np.ndarray
    starts: np.ndarray
    counts: np.ndarray
    sizes: np.ndarray
    frames: np.ndarray
    ranks: np.ndarray

    @classmethod
    def of(cls, tokens: list[np.ndarray], frames: Frames) -> Sides:
        """Gather the tokens of the blocks."""
        together = np.concatenate(tokens)
        counts = np.array([len(some) for some in tokens])
        firsts = np.cumsum(counts) - counts
        lengths = frames.lengths[together]
        starts = np.cumsum(lengths) - lengths
        ranks = np.arange(lengths.sum()) - np.repeat(starts, lengths)
        places = np.repeat(frames.starts[together], lengths) + ranks
        within = starts - np.repeat(starts[firsts], counts)
        return cls(lengths, within, counts, np.add.reduceat(lengths, firsts), places, ranks)

    def of_frames(self, part: slice) -> slice:
        """Return where the frames of some blocks stand."""
        before = int(self.sizes[: part.start].sum())
        return slice(before, before + int(self.sizes[part].sum()))


def _fill(
    rows: Sides,
    columns: Sides,
    values: torch.Tensor,
    distance: FrameDistance,
    packing: Packing,
    *,
    into: torch.Tensor,
) -> None:
    """Put the distances between the frames of each block, row by row, one block behind the other."""
    start = 0
    for part in parts(rows.sizes + columns.sizes, _CONVERTED):
        down, along = rows.of_frames(part), columns.of_frames(part)
        heights, widths = rows.sizes[part].tolist(), columns.sizes[part].tolist()
        left = distance.left(values[torch.from_numpy(rows.frames[down])]).split(heights)
        right = distance.right(values[torch.from_numpy(columns.frames[along])]).split(widths)
        ranks = packing.ranks(rows.ranks[down]).split(heights)
        for own, others, places in zip(left, right, ranks, strict=True):
            table = into[start:][: len(own) * len(others)].view(len(own), len(others))
            fill(own, others, distance, packing, ranks=places, into=table)
            start += table.numel()


@dataclass(frozen=True)
class Pairs:
    """All pairs of rows and columns of the blocks, row by row.

    Args:
        starts: (P,) int64, where the distance between the first frames of both lies.
        strides: (P,) int64, how far behind it that of the row's second frame lies.
        heights: (P,) int64, frames of the row's token.
        widths: (P,) int64, frames of the column's token.
    """

    starts: np.ndarray
    strides: np.ndarray
    heights: np.ndarray
    widths: np.ndarray

    @classmethod
    def of(cls, rows: Sides, columns: Sides, starts: np.ndarray) -> Pairs:
        """Combine the rows and the columns of blocks that start so."""
        numbers = rows.counts * columns.counts
        block = np.repeat(np.arange(len(numbers)), numbers)
        place = np.arange(len(block)) - np.repeat(np.cumsum(numbers) - numbers, numbers)
        row, column = np.divmod(place, columns.counts[block])
        row += (np.cumsum(rows.counts) - rows.counts)[block]
        column += (np.cumsum(columns.counts) - columns.counts)[block]
        strides = columns.sizes[block]
        begin = starts[block] + rows.starts[row] * strides + columns.starts[column]
        return cls(begin, strides, rows.lengths[row], columns.lengths[column])

    def alike(self) -> Iterator[np.ndarray]:
        """Yield the numbers of pairs (N,) of similar lengths, sorted by these, as many as are aligned at once."""
        similar = self.heights // _SIMILAR, self.widths // _SIMILAR
        order = np.lexsort((self.widths, self.heights, *similar))
        edges = np.flatnonzero(np.any([np.diff(lengths[order]) for lengths in similar], axis=0)) + 1
        for chosen in np.split(order, edges):
            shortest = min(int(self.heights[chosen].max()), int(self.widths[chosen].max()))
            size = max(1, _TOGETHER // shortest)
            for first in range(0, len(chosen), size):
                yield chosen[first : first + size]
