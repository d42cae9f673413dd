"""Dynamic time warping of many pairs of sequences at once, exact, diagonal by diagonal."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

_NUMBERS = 2**16
"""Of a diagonal over the pairs of a chunk: more do not fit into a core's cache, fewer keep threads waiting."""

_FAR = 2**62
"""More than any path costs, and little enough that a distance may be added."""


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


class Packing:
    """Sums of distances, lengths of paths and which path is preferred, side by side in whole numbers.

    Distances are rounded to multiples of 2^-30 of the largest one (coarser where a sequence has thousands of
    frames), so that their sums are exact in any order: equal paths tie, and none wins by rounding.

    Args:
        largest: No distance is above it.
        longest: Nor has any sequence more frames.
    """

    def __init__(self, largest: float, longest: int) -> None:
        self.length_bits = (2 * longest).bit_length()
        self.scale = 2.0 ** min(30, 59 - 2 * self.length_bits) / max(largest, 1e-30)
        self.shift = self.length_bits + 2
        self.worse = 2**self.length_bits
        """Added to a path that loses a tie."""
        self.clear = ~(3 * self.worse)

    def pack(self, distances: torch.Tensor) -> np.ndarray:
        """Return distances (...) float64 as int64, each a path of length 1; overwrites them."""
        packed: np.ndarray = distances.mul_(self.scale).round_().long().mul_(2**self.shift).add_(1).numpy()
        return packed

    def unpack(self, packed: np.ndarray) -> np.ndarray:
        """Return the sums (...) over the lengths."""
        means: np.ndarray = (packed >> self.shift) / self.scale / (packed & (self.worse - 1))
        return means


def align(packed: np.ndarray, pairs: Pairs, packing: Packing) -> np.ndarray:
    """Return (P,) float64, the least sum of distances along a path from corner to corner over the path's length.

    A path goes on in the first sequence, in the second, or in both. Among equal sums the one that came over both
    is taken, then the one that came over the second, then that over the first: as fastabx and libri-light do. The
    sum does not depend on it, the length does, so on units the order of the two sequences matters.

    Args:
        packed: (N,) int64, the distances.
        pairs: Which of them belong to which pair.
        packing: What packed them.
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
        aligned[chunk] = packing.unpack(_align_chunk(packed, pairs[chunk], packing))

    threads = min(torch.get_num_threads(), len(chunks))
    if threads <= 1:
        for chunk in chunks:
            run(chunk)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(run, chunks))
    return aligned


def _align_chunk(packed: np.ndarray, pairs: Pairs, packing: Packing) -> np.ndarray:
    """Align pairs together; what lies beyond the end of a shorter one is computed and not looked at."""
    rows, columns, total = int(pairs.rows.max()), int(pairs.columns.max()), len(pairs)
    # Row i of the table is kept at i + 1 behind a row that no path may come from. Three diagonals are enough.
    newest, last, before = (np.full((rows + 1, total), _FAR) for _ in range(3))
    places = np.arange(rows)[:, None] * (pairs.strides - 1) + pairs.starts
    distances = np.empty((min(rows, columns), total), np.int64)
    found = np.empty(total, np.int64)
    ends = _by_end(pairs)
    newest[1] = packed[pairs.starts]
    for diagonal in range(rows + columns - 1):
        if diagonal:
            low, high = max(0, diagonal - columns + 1), min(rows, diagonal + 1)
            over = slice(low, high)
            cell = newest[low + 1 : high + 1]
            np.add(last[over], packing.worse, out=cell)
            np.minimum(cell, last[low + 1 : high + 1], out=cell)
            cell += packing.worse
            np.minimum(cell, before[over], out=cell)
            cell &= packing.clear
            cell += packed[diagonal:].take(places[over], out=distances[: high - low], mode="clip")
            newest[high + 1 : high + 2] = _FAR
        done = ends.get(diagonal)
        if done is not None:
            found[done] = newest[pairs.rows[done], done]
        newest, last, before = before, newest, last
    return found


def _by_end(pairs: Pairs) -> dict[int, np.ndarray]:
    """Return the pairs whose last cell lies on each diagonal."""
    ends = pairs.rows + pairs.columns - 2
    order = np.argsort(ends, kind="stable")
    found, starts = np.unique(ends[order], return_index=True)
    return dict(zip(found.tolist(), np.split(order, starts[1:]), strict=True))
