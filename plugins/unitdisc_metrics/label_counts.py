"""How often labels occur, and which of two a unit stands for that meets both equally often."""

from __future__ import annotations

from typing import Literal

import numpy as np

from unitdisc_metrics.symbols import merged

Ties = Literal["lowest", "frequent"]
"""To which label a tie goes."""


class LabelCounts:
    """Counts the labels of utterances, and keeps where each first occurs, in the order of the utterances' ids."""

    def __init__(self) -> None:
        self._met: dict[int, tuple[int, tuple[str, int]]] = {}

    def add(self, key: str, labels: np.ndarray) -> None:
        """Count the ``labels`` (T,) of the utterance ``key``, but for -1."""
        counts = np.bincount(labels[labels >= 0])
        for place, label in enumerate(dict.fromkeys(merged(labels).tolist())):
            self._keep(label, int(counts[label]), (key, place))

    def merge(self, other: LabelCounts, times: int = 1) -> None:
        """Add the counts of ``other``, ``times`` over."""
        for label, (count, first) in other._met.items():
            self._keep(label, times * count, first)

    def in_order(self, ties: Ties) -> np.ndarray:
        """Return the labels (X,), of two the one first to which a tie goes.

        "lowest": ascending. "frequent": the most frequent first, of equals the one that first occurs last.
        """
        is_lowest = ties == "lowest"
        labels = sorted(self._met) if is_lowest else sorted(self._met, key=self._met.__getitem__)[::-1]
        return np.array(labels, np.int64)

    def _keep(self, label: int, count: int, first: tuple[str, int]) -> None:
        known, earliest = self._met.get(label, (0, first))
        self._met[label] = known + count, min(earliest, first)
