"""How often each code of each codebook occurs in a split."""

from __future__ import annotations

import numpy as np

from unitdisc.errors import DataError


class CodeCounts:
    """Counts the codes of utterances."""

    def __init__(self) -> None:
        self._counts = np.zeros((0, 0), np.int64)

    def add(self, codes: np.ndarray, num_codes: int) -> None:
        """Count ``codes`` (S, Q), each in [0, num_codes)."""
        if not self._counts.size:
            self._counts = np.zeros((codes.shape[1], num_codes), np.int64)
        for book, column in zip(self._counts, codes.T, strict=True):
            book += np.bincount(column, minlength=num_codes)  # noqa: PLW2901  (in place: a view of the row)

    def merge(self, other: CodeCounts, times: int = 1) -> None:
        """Add the counts of ``other``, ``times`` over."""
        if other._counts.size:
            self._counts = times * other._counts + (self._counts if self._counts.size else 0)

    def result(self) -> np.ndarray:
        """Return (Q, K) int64. Raises `DataError` when there was no unit."""
        if not self._counts.any():
            raise DataError(
                "the split has no unit to count; score a split with recordings of at least one frame"
            )
        return self._counts
