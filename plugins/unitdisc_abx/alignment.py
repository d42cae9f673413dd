"""Dynamic time warping of many pairs of sequences at once, exact, diagonal by diagonal."""

from __future__ import annotations

import numpy as np
import torch

_MAGIC = 1.5 * 2.0**52
"""What is added to this is rounded to a whole number, which the last bits then hold."""


class Packing:
    """Sums of distances, lengths of paths and which path is preferred, side by side in whole numbers.

    Distances are rounded to multiples of 2^-30 of the largest one (coarser where a sequence has thousands of
    frames), so that their sums are exact in any order: equal paths tie, and none wins by rounding. Distances of 0
    and 1 take half the room.

    Args:
        largest: No distance is above it.
        longest: Nor has any sequence more frames.
        is_binary: Whether distances are bool.
    """

    def __init__(self, largest: float, longest: int, *, is_binary: bool = False) -> None:
        length_bits = (2 * longest).bit_length()
        self.shift = length_bits + 2
        self.worse = 2**length_bits
        """Added to a path that loses a tie."""
        self.clear = ~(3 * self.worse)
        is_small = is_binary and 2 * length_bits + 2 <= 30
        self.kind = torch.int32 if is_small else torch.int64
        self.far = 2 ** (30 if is_small else 62)
        """More than any path costs, and little enough that a distance may be added."""
        self.scale = 1.0 if is_binary else 2.0 ** min(30, 59 - 2 * length_bits) / max(largest, 1e-30)
        self._magic = torch.tensor(_MAGIC, dtype=torch.float64)
        self._left = 1 - int(self._magic.view(torch.int64))

    def pack(self, distances: torch.Tensor, out: torch.Tensor) -> None:
        """Write distances (...), float64 or bool, to ``out``, each a path of length 1; may overwrite them."""
        if distances.dtype == torch.bool:
            torch.add(1, distances.to(self.kind), alpha=2**self.shift, out=out)
            return
        scale = self.scale * 2**self.shift
        whole = torch.add(self._magic, distances, alpha=scale, out=distances).view(torch.int64)
        torch.add(whole.bitwise_and_(-(2**self.shift)), self._left, out=out)

    def unpack(self, packed: np.ndarray) -> np.ndarray:
        """Return the sums (...) over the lengths, float64."""
        # Whole numbers are divided first: the means of 1 over 1 and of 3 over 3 frames are then the same.
        means: np.ndarray = (packed >> self.shift) / (packed & (self.worse - 1))
        return means / self.scale


def align(packed: np.ndarray, packing: Packing) -> np.ndarray:
    """Return (...) float64, the least sum of distances along a path from corner to corner over the path's length.

    A path goes on in the first sequence, in the second, or in both. Among equal sums the one that came over both
    is taken, then the one that came over the second, then that over the first: as fastabx and libri-light do. The
    sum does not depend on it, the length does, so on units the order of the two sequences matters.

    Args:
        packed: (N, M, ...), the distance of frame n of the first sequence and frame m of the second, of many pairs.
        packing: What packed them.
    """
    rows, columns, *rest = packed.shape
    down, right, *others = packed.strides
    # Where (k, n) lies what (n, k - n) is in the table; what would lie outside of it is not looked at.
    diagonals = np.lib.stride_tricks.as_strided(
        packed, (rows + columns - 1, rows, *rest), (right, down - right, *others)
    )
    # Row n of the table is kept at n + 1 behind a row that no path may come from. Three diagonals are enough.
    newest, last, before = (np.full((rows + 1, *rest), packing.far, packed.dtype) for _ in range(3))
    last[1] = packed[0, 0]
    for diagonal in range(1, rows + columns - 1):
        low, high = max(0, diagonal - columns + 1), min(rows, diagonal + 1)
        over = slice(low, high)
        cell = newest[low + 1 : high + 1]
        np.add(last[over], packing.worse, out=cell)
        np.minimum(cell, last[low + 1 : high + 1], out=cell)
        cell += packing.worse
        np.minimum(cell, before[over], out=cell)
        cell &= packing.clear
        cell += diagonals[diagonal, over]
        newest[high + 1 : high + 2] = packing.far
        newest, last, before = before, newest, last
    return packing.unpack(last[rows])
