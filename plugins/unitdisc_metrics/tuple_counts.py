"""How often each tuple of integers occurs, in memory bounded by the number of different tuples."""

from __future__ import annotations

import numpy as np

from unitdisc_metrics.row_numbers import box, fits, numbered, rows_of

_PENDING = 2**12
"""Tuples that may wait before they are merged, however few there are."""


class TupleCounts:
    """Counts the rows of integer arrays, given one array after the other."""

    def __init__(self) -> None:
        self._parts: list[tuple[np.ndarray, np.ndarray]] = []
        self._pending = 0
        self._limit = _PENDING

    def add(self, rows: np.ndarray) -> None:
        """Count each row of ``rows`` (N, W); W is the same in every call."""
        if len(rows):
            self._keep(*_occurring(rows))

    def _keep(self, rows: np.ndarray, counts: np.ndarray) -> None:
        self._parts.append((rows, counts))
        self._pending += len(rows)
        if self._pending > self._limit:
            # The limit grows with what is kept, so that merging costs little more than one sort in all.
            self._limit = max(_PENDING, 2 * len(self._merge()[0]))
            self._pending = 0

    def merge(self, other: TupleCounts, times: int = 1) -> None:
        """Add the counts of ``other``, ``times`` over; ``other`` counts on by itself."""
        rows, counts = other.result()
        if len(rows) and times:
            self._keep(rows, times * counts)

    def result(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the different rows (P, W) in ascending order and their counts (P,) int64."""
        return self._merge() if self._parts else (np.zeros((0, 0), np.int64), np.zeros(0, np.int64))

    def _merge(self) -> tuple[np.ndarray, np.ndarray]:
        rows, counts = zip(*self._parts, strict=True)
        self._parts = [_counted(np.concatenate(rows), np.concatenate(counts))]
        return self._parts[0]


def _occurring(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the different ``rows`` (N, W) in ascending order and how often each occurs."""
    low, spans = box(rows)
    if not fits(spans):
        return _counted(rows, np.ones(len(rows), np.int64))
    numbers, counts = np.unique(numbered(rows, low, spans), return_counts=True)
    return rows_of(numbers, low, spans), counts


def _counted(rows: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the different ``rows`` (N, W) in ascending order and the sums of their ``counts`` (N,)."""
    low, spans = box(rows)
    order = np.argsort(numbered(rows, low, spans), kind="stable") if fits(spans) else np.lexsort(rows.T[::-1])
    rows = rows[order]
    starts = np.flatnonzero(np.r_[True, np.any(rows[1:] != rows[:-1], axis=1)])
    return rows[starts], np.add.reduceat(counts[order], starts)
