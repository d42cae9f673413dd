"""Labels with exact times, and which frames they stand on."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

NANOSECONDS = 10**9
"""Ticks of a second where times are decimal numbers; what is finer than that is rounded."""


@dataclass(frozen=True)
class Spans:
    """The labels of one utterance or line, sorted by where they start.

    Args:
        edges: (N, 2) int64, first tick and the tick behind the last of each label.
        numbers: (N,) int64, the numbers of their symbols, -1 for one that is unlabelled.
        rate: Ticks per second, or per column: samples where times are samples, else `NANOSECONDS`.
    """

    edges: np.ndarray
    numbers: np.ndarray
    rate: int

    @property
    def end(self) -> Fraction:
        """Where the last label ends, in seconds or columns."""
        return Fraction(int(self.edges[:, 1].max(initial=0)), self.rate)

    def frames(self, count: int, frame: Fraction, start: Fraction = Fraction(0)) -> np.ndarray:
        """Return (T,) int64 for T = ``count``, the label at the middle of each frame, -1 where there is none.

        Frame t covers ``[start + t * frame, start + (t + 1) * frame)``, and a label the times from its start up to,
        but without, its end. Where two overlap the later one counts. Nothing is rounded.

        Args:
            count: Number of frames.
            frame: Length of a frame, in seconds or columns.
            start: Left edge of the first frame.
        """
        found = np.full(count, -1)
        # Frame t is the first whose middle is not before an edge: t = ceil((edge - start) / frame - 1/2).
        scale = 1 / (frame * self.rate)
        shift = start / frame + Fraction(1, 2)
        below = scale.denominator * shift.denominator
        factor, less = scale.numerator * shift.denominator, shift.numerator * scale.denominator
        largest = int(np.abs(self.edges).max(initial=0)) * factor + abs(less)
        edges = self.edges if largest < 2**62 else self.edges.astype(object)  # whole numbers of any size
        frames = np.clip(-((less - edges * factor) // below), 0, count)
        for (first, behind), number in zip(frames.tolist(), self.numbers.tolist(), strict=True):
            found[first:behind] = number
        return found


@dataclass
class Table:
    """One kind of labels, such as phones.

    Args:
        vocab: Symbols with their numbers, in the order in which they are first met.
        spans: The labels by id; an id without any may be absent.
    """

    vocab: dict[str, int] = field(default_factory=dict)
    spans: dict[str, Spans] = field(default_factory=dict)

    def add(self, key: str, labels: Iterable[tuple[int, int, str]], rate: int) -> None:
        """Take in the labels (first tick, tick behind the last, symbol) of an utterance; "" is unlabelled."""
        rows = sorted((row for row in labels if row[0] < row[1]), key=lambda row: row[0])
        edges = np.array([row[:2] for row in rows], np.int64).reshape(-1, 2)
        self.spans[key] = Spans(edges, np.array([self._number(row[2]) for row in rows], np.int64), rate)

    def folded(self, fold: Mapping[str, str]) -> Table:
        """Return the same labels as classes; a class "" is unlabelled. Raises `KeyError` for an unknown symbol."""
        found = Table()
        classes = np.array([found._number(fold[symbol]) for symbol in self.vocab] + [-1], np.int64)
        for key, spans in self.spans.items():
            found.spans[key] = replace(spans, numbers=classes[spans.numbers])  # -1 picks the last
        return found

    def _number(self, symbol: str) -> int:
        return self.vocab.setdefault(symbol, len(self.vocab)) if symbol else -1


def nanoseconds(seconds: float) -> int:
    """Return a time in ticks of a `Table`."""
    return round(seconds * NANOSECONDS)
