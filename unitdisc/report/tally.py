"""Counts of units, and of the reference labels that they meet."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

_BETWEEN_BOOKS = "."


class Tally:
    """Counts units over a split; a unit of several codebooks is the combination of its codes, written "3.17".

    Args:
        num_codes: Size K of each codebook.
        vocab: Names of the labels.
    """

    def __init__(self, num_codes: int, *, vocab: Sequence[str] = ()) -> None:
        self.num_codes = num_codes
        self.vocab = vocab
        self.units: Counter[tuple[int, ...]] = Counter()
        self.labels: defaultdict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
        self._codes: np.ndarray | None = None

    def update(self, codes: np.ndarray, stride: int, labels: np.ndarray | None = None) -> None:
        """Take in one utterance or line.

        Args:
            codes: (S, Q).
            stride: Frames per unit.
            labels: (T,) of a "frames" target with -1 where unlabelled; None counts units only.
        """
        units = list(map(tuple, codes.tolist()))
        self.units.update(units)
        counts = np.stack([np.bincount(book, minlength=self.num_codes) for book in codes.T])
        self._codes = counts if self._codes is None else self._codes + counts
        for frame, label in enumerate([] if labels is None else labels.tolist()):
            if label >= 0:
                self.labels[units[frame // stride]][label] += 1

    @property
    def num_units(self) -> int:
        """How many units were counted."""
        return self.units.total()

    @property
    def counts(self) -> list[int]:
        """How often each code occurs, codebook after codebook."""
        return [] if self._codes is None else [int(count) for count in self._codes.flatten()]

    def top(self, number: int = 20) -> list[tuple[str, int, str]]:
        """Return the most frequent units: (unit, count, commonest label with its share)."""
        ranked = sorted(self.units.items(), key=lambda item: (-item[1], item[0]))[:number]
        return [(_BETWEEN_BOOKS.join(map(str, unit)), count, self._commonest(unit)) for unit, count in ranked]

    def _commonest(self, unit: tuple[int, ...]) -> str:
        met = self.labels.get(unit)
        if not met:
            return ""
        label, count = min(met.items(), key=lambda item: (-item[1], item[0]))
        return f"{self.vocab[label]} {count / met.total():.0%}"
