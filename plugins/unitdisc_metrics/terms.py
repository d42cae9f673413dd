"""Rows of units that occur again and again, found in little memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from unitdisc_metrics.row_numbers import box, fits, numbered, small_numbers

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from unitdisc_metrics.fragments import Runs


class Terms:
    """The rows of ``length`` units in a row, as numbers that sort as the rows do.

    They are worked out anew each time they are asked for: of a corpus they take more memory than its units.

    Args:
        spoken: Runs of units of each utterance, of which some are there.
        length: Units of a row.
    """

    def __init__(self, spoken: Sequence[Runs], length: int) -> None:
        self._spoken, self._length = spoken, length
        boxes = [box(units.symbols) for units in spoken if len(units.symbols)]
        lowest = np.min([low for low, _ in boxes], axis=0)
        highest = np.max([np.add(low, spans) for low, spans in boxes], axis=0)
        self._low, self._spans = lowest.tolist() * length, (highest - lowest).tolist() * length
        self._listed = None if fits(self._spans) else self._together()

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield for each utterance the term (N,) int64 that begins with each run, but for the last ones."""
        if self._listed is not None:
            yield from self._listed
            return
        for units in self._spoken:
            yield (
                numbered(self._rows(units), self._low, self._spans)
                if self._number(units)
                else np.zeros(0, np.int64)
            )

    def repeated(self, min_count: int) -> np.ndarray:
        """Return the terms (P,) that occur ``min_count`` times or more, in ascending order."""
        total = sum(map(self._number, self._spoken))
        found = np.empty(total, np.int64)
        place = 0
        for terms in self:
            found[place : place + len(terms)] = terms
            place += len(terms)
        found.sort()
        last = total - min_count + 1
        if last < 1:
            return found[:0]
        # A run of equal terms is long enough where its first one comes again that much later.
        begins = found[min_count - 1 :] == found[:last]
        begins[1:] &= found[1:last] != found[: last - 1]
        return found[:last][begins]

    def _number(self, units: Runs) -> int:
        return max(0, len(units.symbols) - self._length + 1)

    def _rows(self, units: Runs) -> np.ndarray:
        """Return (N, length * Q)."""
        symbols = units.symbols.astype(np.int64)
        return np.hstack([symbols[n : n + self._number(units)] for n in range(self._length)])

    def _together(self) -> list[np.ndarray]:
        """Return the terms of rows that 64 bits do not tell apart: their places among all that occur."""
        sizes = [self._number(units) for units in self._spoken]
        rows = np.concatenate([self._rows(units) for units in self._spoken])
        return np.split(small_numbers(rows), np.cumsum(sizes)[:-1])


def is_among(terms: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return (N,) whether each of ``terms`` (N,) is among the ascending ``wanted`` (P,)."""
    if not len(wanted):
        return np.zeros(len(terms), bool)
    nearest = wanted[np.minimum(np.searchsorted(wanted, terms), len(wanted) - 1)]
    found: np.ndarray = nearest == terms
    return found
