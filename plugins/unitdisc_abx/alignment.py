"""Dynamic time warping of many pairs of sequences at once, exact, diagonal by diagonal."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

_NUMBERS = 2**15
"""Of a diagonal over the pairs of a chunk, so that what is at work stays in a core's cache."""


@dataclass(frozen=True)
class Pairs:
    """Where the frame distances of each pair lie in one flat array, row by row of the first sequence.

    Args:
        starts: (P,) int64, place of the distance between the first frames.
        strides: (P,) int64, places from one frame of the first sequence to the next.
        rows: (P,) int32, frames of the first sequence, at least 1.
        columns: (P,) int32, frames of the second, at least 1; they lie side by side.
    """

    starts: np.ndarray
    strides: np.ndarray
    rows: np.ndarray
    columns: np.ndarray

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, index: np.ndarray) -> Pairs:
        return Pairs(self.starts[index], self.strides[index], self.rows[index], self.columns[index])


def align(distances: np.ndarray, pairs: Pairs) -> np.ndarray:
    """Return (P,) float32, the least sum of distances along a path from corner to corner over the path's length.

    A path goes on in the first sequence, in the second, or in both. Among equal sums the one that came over both
    is taken, then the one that came over the second, then that over the first: as fastabx and libri-light do. The
    sum does not depend on it, the length does, so on units the order of the two sequences matters.

    Args:
        distances: (N,) float32, finite and not negative.
        pairs: Which of them belong to which pair.
    """
    aligned = np.empty(len(pairs))
    # Neighbours are alike in both lengths, so that few cells are computed for nothing where a chunk mixes them.
    order = np.lexsort((np.where(pairs.rows % 2, pairs.columns, -pairs.columns), pairs.rows))
    chunks, first = [], 0
    while first < len(order):
        shorter = min(pairs.rows[order[first]], pairs.columns[order[first]])
        last = first + max(1, _NUMBERS // int(shorter))
        chunks.append(order[first:last])
        first = last

    def run(chunk: np.ndarray) -> None:
        aligned[chunk] = _align_chunk(distances, pairs[chunk])

    threads = min(torch.get_num_threads(), len(chunks))
    if threads <= 1:
        for chunk in chunks:
            run(chunk)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(run, chunks))
    return aligned


def _align_chunk(distances: np.ndarray, pairs: Pairs) -> np.ndarray:
    """Align pairs together; what lies beyond the end of a shorter one is computed and not looked at."""
    rows, columns, total = int(pairs.rows.max()), int(pairs.columns.max()), len(pairs)
    width = min(rows, columns)
    # Row i of the table is kept at i + 1 behind a row that no path may come from. Three diagonals are enough.
    sums = [np.full((rows + 1, total), np.inf) for _ in range(3)]
    both = [np.zeros((rows + 1, total), np.uint8 if width < 256 else np.uint16) for _ in range(3)]
    places = np.arange(rows)[:, None] * (pairs.strides - 1) + pairs.starts
    scratch = _Scratch(width, total, both[0].dtype)
    found = np.empty(total)
    ends = _by_end(pairs)
    sums[0][1] = distances[pairs.starts]
    for diagonal in range(rows + columns - 1):
        (newest, last, before), (steps, last_steps, steps_before) = sums, both
        if diagonal:
            low, high = max(0, diagonal - columns + 1), min(rows, diagonal + 1)
            here, over = slice(low + 1, high + 1), slice(low, high)
            cell = newest[here], steps[here]
            steps_before[over] += 1
            scratch.prefer((last[here], last_steps[here]), (last[over], last_steps[over]), cell)
            scratch.prefer((before[over], steps_before[over]), cell, cell)
            cell[0][...] += scratch.gather(distances, places[low:high], diagonal)
            newest[high + 1 : high + 2] = np.inf
        done = ends.get(diagonal)
        if done is not None:
            ending = pairs.rows[done]
            found[done] = newest[ending, done] / (diagonal + 1.0 - steps[ending, done])
        sums, both = [before, newest, last], [steps_before, steps, last_steps]
    return found


def _by_end(pairs: Pairs) -> dict[int, np.ndarray]:
    """Return the pairs whose last cell lies on each diagonal."""
    ends = pairs.rows + pairs.columns - 2
    order = np.argsort(ends, kind="stable")
    found, starts = np.unique(ends[order], return_index=True)
    return dict(zip(found.tolist(), np.split(order, starts[1:]), strict=True))


_Paths = tuple[np.ndarray, np.ndarray]
"""Sums of distances, and how often the paths went on in both sequences at once, each (W, P)."""


class _Scratch:
    """Room for what is found on the way, of the size of the longest diagonal (W, P)."""

    def __init__(self, width: int, total: int, kind: np.dtype) -> None:
        self.distances = np.empty((width, total))
        self.places = np.empty((width, total), np.int64)
        self.mask = np.empty((width, total), np.bool_)
        self.steps = np.empty((width, total), kind)

    def gather(self, distances: np.ndarray, places: np.ndarray, diagonal: int) -> np.ndarray:
        """Return the distances (W, P) of a diagonal."""
        wanted = np.add(places, diagonal, out=self.places[: len(places)])
        return distances.take(wanted, out=self.distances[: len(places)], mode="clip")

    def prefer(self, one: _Paths, other: _Paths, taken: _Paths) -> None:
        """Write the path with the lesser sum to ``taken``, ``one`` where both are equal; it may be ``other``."""
        is_first = np.less_equal(one[0], other[0], out=self.mask[: len(one[0])])
        np.minimum(one[0], other[0], out=taken[0])
        # As whole numbers wrap around, this is exact, and many times as fast as a choice.
        difference = np.subtract(one[1], other[1], out=self.steps[: len(one[0])])
        difference *= is_first.view(np.uint8)
        np.add(other[1], difference, out=taken[1])
