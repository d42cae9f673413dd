"""The units of a split: how often each occurs, how long it lasts, and the reference labels that it meets."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

_BETWEEN_BOOKS = "."


class Inventory:
    """Counts units over a split, the most frequent one first.

    A unit of several codebooks is the combination of its codes, written "3.17".

    Args:
        codes: (S, Q) of each utterance or line.
        num_codes: Size K of each codebook.
        is_merged: Whether equal neighbours are one occurrence, as in all that runs in time.

    Attributes:
        units: (N, Q), the units that occur.
        names: Of each unit.
        counts: (N,), steps that it takes.
        sequences: (S,) of each utterance or line, its units as numbers into ``units``.
        occurrences: (N,), how often it occurs.
        code_counts: How often each code occurs, codebook after codebook.
    """

    def __init__(self, codes: Sequence[np.ndarray], *, num_codes: int, is_merged: bool = True) -> None:
        self.is_merged = is_merged
        together = np.concatenate(codes) if codes else np.zeros((0, 1), dtype=np.int64)
        units, numbers, counts = np.unique(together, axis=0, return_inverse=True, return_counts=True)
        order = np.argsort(-counts, kind="stable")
        self.units, self.counts = units[order], counts[order]
        self.names = [_BETWEEN_BOOKS.join(map(str, unit)) for unit in self.units.tolist()]
        ranks = np.argsort(order)[numbers.reshape(-1)]
        self.sequences = np.split(ranks, np.cumsum([len(item) for item in codes])[:-1]) if codes else []
        self.code_counts = [
            int(count) for book in together.T for count in np.bincount(book, minlength=num_codes)
        ]
        self.occurrences = np.zeros(len(self.units), dtype=np.int64)
        for index in range(len(self.sequences)):
            np.add.at(self.occurrences, self.runs(index)[:, 0], 1)
        self._labels: defaultdict[int, Counter[int]] = defaultdict(Counter)

    @property
    def num_units(self) -> int:
        """Steps that were counted."""
        return int(self.counts.sum())

    def runs(self, index: int) -> np.ndarray:
        """Return (M, 3): number of the unit, first step and last step (excluded) of each occurrence."""
        sequence = self.sequences[index]
        edges = np.ones(len(sequence), dtype=bool)
        if self.is_merged:
            edges[1:] = sequence[1:] != sequence[:-1]
        first = np.flatnonzero(edges)
        return np.stack([sequence[first], first, np.append(first[1:], len(sequence))[: len(first)]], axis=1)

    def meet(self, index: int, labels: np.ndarray, stride: int) -> None:
        """Take in the labels (T,) of an utterance or line, -1 where unlabelled."""
        frames = np.flatnonzero(labels >= 0)
        pairs = np.stack([self.sequences[index][frames // stride], labels[frames]], axis=1)
        for (unit, label), count in zip(*np.unique(pairs, axis=0, return_counts=True), strict=True):
            self._labels[int(unit)][int(label)] += int(count)

    def labels_of(self, unit: int, vocab: Sequence[str], most: int = 5) -> list[tuple[str, float]]:
        """Return the commonest labels of a unit, each with its share of the unit's labelled frames."""
        met = self._labels[unit]
        ranked = sorted(met.items(), key=lambda item: (-item[1], item[0]))[:most]
        return [(vocab[label], count / met.total()) for label, count in ranked]
