"""Dynamic time warping of many pairs of sequences at once, exact, diagonal by diagonal."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

_MAGIC = 1.5 * 2.0**52
"""What is added to this is rounded to a whole number, which the last bits then hold."""


class Packing:
    """Sums of distances, which path is preferred and lengths of paths, side by side in whole numbers.

    Distances are rounded to multiples of 2^-30 of the largest one (coarser where a sequence has a thousand
    frames), so that their sums are exact in any order: equal paths tie, and none wins by rounding. Distances of 0
    and 1 take half the room.

    Args:
        largest: No distance is above it.
        longest: Nor has any sequence more frames.
        is_binary: Whether distances are bool.
    """

    def __init__(self, largest: float, longest: int, *, is_binary: bool = False) -> None:
        length_bits = (2 * longest).bit_length()
        preference_bits = (longest + 2).bit_length()
        self.shift = length_bits + preference_bits
        self.worse = 2**length_bits
        """Added to a path that loses a tie."""
        self.clear = self.worse - 1 - 2**self.shift
        is_small = is_binary and self.shift + length_bits <= 30
        self.kind = np.dtype(np.int32 if is_small else np.int64)
        self._tensor_kind = torch.int32 if is_small else torch.int64
        self.far = 2 ** (30 if is_small else 62)
        """More than any path costs, and little enough that a distance may be added."""
        fraction = min(30, 51 - self.shift, 61 - self.shift - length_bits)
        self.scale = 1.0 if is_binary else 2.0**fraction / max(largest, 1e-30)
        self._is_binary, self._longest = is_binary, longest
        self._magic = torch.tensor(_MAGIC, dtype=torch.float64)

    def whole(self, distances: torch.Tensor) -> torch.Tensor:
        """Return distances (...), float64 or bool, in whole numbers that lack their `ranks`; may overwrite them."""
        if self._is_binary:
            return distances.to(self._tensor_kind) << self.shift
        scale = self.scale * 2**self.shift
        bits = torch.add(self._magic, distances, alpha=scale, out=distances).view(torch.int64)
        return bits.bitwise_and_(-(2**self.shift))

    def ranks(self, ranks: np.ndarray) -> torch.Tensor:
        """Return (N, 1) what makes `whole` numbers paths of length 1, for frames of the first sequence at these places.

        A path's number is the less the later its frame, so that of two equal paths the one that went on in the
        second sequence beats the one that went on in the first.
        """
        start = 1 if self._is_binary else 1 - int(self._magic.view(torch.int64))
        added = start + (self._longest - ranks[:, None]) * self.worse
        return torch.from_numpy(added.astype(self.kind))

    def unpack(self, packed: np.ndarray) -> np.ndarray:
        """Return the sums (...) over the lengths, float64."""
        # Whole numbers are divided first: the means of 1 over 1 and of 3 over 3 frames are then the same.
        means: np.ndarray = (packed >> self.shift) / (packed & (self.worse - 1))
        return means / self.scale


def align(packed: np.ndarray, packing: Packing, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return (P,) float64, the least sum of distances along a path from corner to corner over the path's length.

    A path goes on in the first sequence, in the second, or in both. Among equal sums the one that came over both
    is taken, then the one that came over the second, then that over the first: as fastabx and libri-light do. The
    sum does not depend on it, the length does, so on units the order of the two sequences matters.

    Args:
        packed: (N, M, P), the distance of frame n of the first sequence and frame m of the second, of many pairs;
            whatever numbers where a sequence has no such frame.
        packing: What packed them.
        rows: (P,) int64, how many frames each first sequence has; equal ones that have equal ``columns``, too,
            side by side.
        columns: (P,) int64, how many each second one has.
    """
    height, width, _ = packed.shape
    down, right, across = packed.strides
    # Where (k, n) lies what (n, k - n) is in the table; what would lie outside of it is not looked at.
    diagonals = np.lib.stride_tricks.as_strided(
        packed, (height + width - 1, height, packed.shape[2]), (right, down - right, across)
    )
    ends = _ends(rows, columns)
    found = np.empty(packed.shape[2], packed.dtype)
    # Row n of the table is kept at n + 1 behind a row that no path may come from. Three diagonals are enough.
    newest, last, before = (
        np.full((height + 1, packed.shape[2]), packing.far, packed.dtype) for _ in range(3)
    )
    last[1] = packed[0, 0]
    for diagonal in range(height + width - 1):
        if diagonal:
            low, high = max(0, diagonal - width + 1), min(height, diagonal + 1)
            over = slice(low, high)
            cell = newest[low + 1 : high + 1]
            np.minimum(last[over], last[low + 1 : high + 1], out=cell)
            cell += (
                2 * packing.worse
            )  # so that they lose to a path over both, which is a frame before the second
            np.minimum(cell, before[over], out=cell)
            cell &= packing.clear
            cell += diagonals[diagonal, over]
            newest[high + 1 : high + 2] = packing.far
            newest, last, before = before, newest, last
        for row, pairs in ends.get(diagonal, ()):
            found[pairs] = last[row, pairs]
    return packing.unpack(found)


def _ends(rows: np.ndarray, columns: np.ndarray) -> dict[int, list[tuple[int, slice]]]:
    """Return by diagonal which pairs end there, and how many frames their first sequences have."""
    edges = np.flatnonzero(np.diff(rows, prepend=0, append=0) | np.diff(columns, prepend=0, append=0))
    found: dict[int, list[tuple[int, slice]]] = {}
    for start, stop in pairwise(edges.tolist()):
        row = int(rows[start])
        found.setdefault(row + int(columns[start]) - 2, []).append((row, slice(start, stop)))
    return found


@dataclass(frozen=True)
class Steps:
    """Where the frames of sequences lie that stand in descending order of length.

    Args:
        starts: By step n, where the n-th frame of the first sequence lies, those of the others behind it.
        counts: How many sequences have such a frame.
    """

    starts: list[int]
    counts: list[int]


def align_table(
    packed: np.ndarray, rows: Steps, columns: Steps, packing: Packing, *, columns_first: bool = False
) -> np.ndarray:
    """Return (R, C) float64, what `align` finds for R sequences beside C others, of whatever lengths.

    The pairs that have a cell (n, m) are the first of both, so all of them take a step together.

    Args:
        packed: (sum of rows.counts, sum of columns.counts), the distances between all frames.
        rows: Where the frames of the first sequences lie.
        columns: Where those of the second lie.
        packing: What packed them.
        columns_first: Whether the columns are the first sequences, for the paths that are preferred.
    """
    found = np.empty((rows.counts[0], columns.counts[0]), packed.dtype)
    above, here = (
        [np.empty((rows.counts[0], width), packed.dtype) for width in columns.counts] for _ in range(2)
    )
    # What is added to a path from above, so that it beats one from the left, and to both, so that they lose to a
    # path over both, which is a frame before the second.
    ahead, behind = (-2 * packing.worse, 3 * packing.worse) if columns_first else (0, 2 * packing.worse)
    for n, (top, height) in enumerate(zip(rows.starts, rows.counts, strict=True)):
        shorter = rows.counts[n + 1] if n + 1 < len(rows.counts) else 0
        stripe = packed[top : top + height]
        for m, (left, width) in enumerate(zip(columns.starts, columns.counts, strict=True)):
            cell = here[m][:height]
            cost = stripe[:, left : left + width]
            if n and m:
                over = np.add(above[m][:height], ahead, out=cell) if ahead else above[m][:height]
                np.minimum(over, here[m - 1][:height, :width], out=cell)
                cell += behind
                np.minimum(cell, above[m - 1][:height, :width], out=cell)
                cell &= packing.clear
                cell += cost
            elif n or m:
                np.bitwise_and(above[m][:height] if n else here[m - 1][:, :width], packing.clear, out=cell)
                cell += cost
            else:
                cell[:] = cost
            narrower = columns.counts[m + 1] if m + 1 < len(columns.counts) else 0
            if shorter < height and narrower < width:
                found[shorter:height, narrower:width] = cell[shorter:, narrower:]
        above, here = here, above
    return packing.unpack(found)
