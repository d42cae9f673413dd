"""Dynamic time warping of many pairs of sequences at once, exact, diagonal by diagonal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_CELLS = 2**17
"""Of a chunk of pairs, whose distances then stay in a core's cache; one pair may have more."""

_WASTE = 2**14
"""Cells that may be computed for nothing, so that pairs of other lengths need no chunk of their own."""

_FAR = 2**62
"""More than any path costs, and little enough that a distance may be added."""

_MAGIC = 1.5 * 2.0**52
"""What is added to this is rounded to a whole number, which the last bits then hold."""


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

    @classmethod
    def joined(cls, parts: Sequence[Pairs]) -> Pairs:
        """Return the pairs of all parts."""
        return cls(
            np.concatenate([part.starts for part in parts]),
            np.concatenate([part.strides for part in parts]),
            np.concatenate([part.rows for part in parts]),
            np.concatenate([part.columns for part in parts]),
        )


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
        self._magic = torch.tensor(_MAGIC, dtype=torch.float64)
        # What the magic number leaves above the whole one, times 2^shift, is taken off again; numbers wrap around.
        left = (int(self._magic.view(torch.int64)) << self.shift) - 1
        self._left = torch.tensor((-left + 2**63) % 2**64 - 2**63)

    def pack(self, distances: torch.Tensor) -> torch.Tensor:
        """Return distances (...) float64 as int64, each a path of length 1; overwrites them."""
        rounded = torch.add(self._magic, distances, alpha=self.scale, out=distances).view(torch.int64)
        return torch.add(self._left, rounded, alpha=2**self.shift, out=rounded)

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
    for chunk in _chunks(pairs):
        aligned[chunk] = packing.unpack(_align_chunk(packed, pairs[chunk], packing))
    return aligned


def _chunks(pairs: Pairs) -> Iterator[np.ndarray]:
    """Yield which pairs are aligned together: those of the same lengths, or of similar ones where these are few."""
    longest = int(pairs.columns.max()) + 1
    lengths = pairs.rows.astype(np.int64) * longest + pairs.columns
    order = np.argsort(lengths)
    ordered = lengths[order]
    starts = np.flatnonzero(np.diff(ordered, prepend=-1))
    ends = np.append(starts[1:], len(ordered))
    first, true, widest = 0, 0, (0, 0)
    for start, end, key in zip(starts.tolist(), ends.tolist(), ordered[starts].tolist(), strict=True):
        rows, columns = divmod(key, longest)
        wider = max(widest[0], rows), max(widest[1], columns)
        more = true + (end - start) * rows * columns
        if start > first and (end - first) * wider[0] * wider[1] - more > _WASTE:
            yield from _pieces(order[first:start], widest[0] * widest[1])
            first, wider, more = start, (rows, columns), (end - start) * rows * columns
        true, widest = more, wider
    yield from _pieces(order[first:], widest[0] * widest[1])


def _pieces(chunk: np.ndarray, cells: int) -> Iterator[np.ndarray]:
    """Cut a chunk of pairs with so many cells each."""
    size = max(1, _CELLS // cells)
    for first in range(0, len(chunk), size):
        yield chunk[first : first + size]


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
