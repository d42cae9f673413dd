"""Which pieces of a split show its units best: as many units as possible, in little time."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from heapq import heapify, heappop, heapreplace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np

_EVEN = 12
_MOST_CANDIDATES = 3000
_TWICE = 2
"""Occurrences of a unit that count in one piece; more would sound the same."""


@dataclass(frozen=True)
class Excerpt:
    """The steps [first, stop) of an utterance or line.

    Args:
        index: Its place in the split.
        first: First step.
        stop: Last step, excluded.
    """

    index: int
    first: int
    stop: int


def excerpts(lengths: Sequence[int], longest: int) -> list[Excerpt]:
    """Return pieces of at most ``longest`` steps, all of the split or 3,000 from all over it."""
    pieces = [
        Excerpt(index, first, min(first + longest, length))
        for index, length in enumerate(lengths)
        for first in range(0, length, longest)
    ]
    step = max(1, -(-len(pieces) // _MOST_CANDIDATES))
    return pieces[::step]


def chosen(pieces: Sequence[Excerpt], sequences: Sequence[np.ndarray], *, per_unit: int) -> Iterator[Excerpt]:
    """Yield a dozen pieces from all over the split, then whichever adds most examples of rarely shown units per step.

    Ends when every unit has ``per_unit`` examples or no piece adds one. A unit's first example is worth 1, its
    second one half, and so on.
    """
    met = [
        {unit: min(count, _TWICE) for unit, count in Counter(_in(piece, sequences).tolist()).items()}
        for piece in pieces
    ]
    shown: Counter[int] = Counter()
    even = range(0, len(pieces), max(1, len(pieces) // _EVEN))[:_EVEN]
    for number in even:
        shown.update(met[number])
        yield pieces[number]

    def gain(number: int) -> float:
        worth = sum(
            1 / (have + 1)
            for unit, count in met[number].items()
            for have in range(shown[unit], min(shown[unit] + count, per_unit))
        )
        return worth / (pieces[number].stop - pieces[number].first + 1)

    rest = set(range(len(pieces))) - set(even)
    heap = [(-gain(number), number) for number in rest]
    heapify(heap)
    while heap:
        _, number = heap[0]
        now = gain(number)  # what has been shown since only lowers it
        if now == 0:
            heappop(heap)
        elif len(heap) > 1 and now < -min(heap[1:3])[0]:
            heapreplace(heap, (-now, number))
        else:
            heappop(heap)
            shown.update(met[number])
            yield pieces[number]


def _in(piece: Excerpt, sequences: Sequence[np.ndarray]) -> np.ndarray:
    return sequences[piece.index][piece.first : piece.stop]
