"""How much a second of pseudo-text says: symbols, and bits by the entropy of their shares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from unitdisc.repeats import durations, without_repeats

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True)
class Rate:
    """What one way of writing takes.

    Args:
        name: Of the symbols.
        count: How many there are in all sequences.
        bits: Entropy of the shares of the symbols that occur, in bits per symbol, without their context.
    """

    name: str
    count: int
    bits: float


def rates(codes: Sequence[np.ndarray], pieces: Iterable[Sequence[int]]) -> list[Rate]:
    """Return the rates of ``codes`` (S, Q), of the same without repeats, of their ``pieces``, and of durations."""
    return [
        _rate("codes", codes),
        _rate("deduplicated", [without_repeats(sequence) for sequence in codes]),
        _rate("pieces", [np.array(item, np.int64) for item in pieces]),
        _rate("durations", [durations(sequence) for sequence in codes]),
    ]


def _rate(name: str, sequences: Sequence[np.ndarray]) -> Rate:
    symbols = np.concatenate(sequences) if sequences else np.zeros(0, np.int64)
    _, counts = np.unique(symbols, axis=0, return_counts=True)
    shares = counts / max(1, len(symbols))
    return Rate(name, len(symbols), float(-(shares * np.log2(shares)).sum()) + 0.0)  # + 0.0: not -0.0
