"""Perplexity of the codes."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from unitdisc.named import codes
from unitdisc_metrics.code_counts import CodeCounts
from unitdisc_metrics.entropy import entropy
from unitdisc_metrics.mergeable import Mergeable
from unitdisc_metrics.tuple_counts import TupleCounts

if TYPE_CHECKING:
    from unitdisc.metric import Evaluated


class Perplexity(Mergeable):
    """Perplexity 2^H of the code frequencies over the whole split.

    H = -sum_k p_k log2 p_k in bits (paper A, Tables I and II): how many codes, all equally frequent, would be
    as hard to guess. The perplexity of a single batch, which other toolkits log, is bounded by the size of
    the batch and not comparable. Every unit counts once, also a last one that the end of the recording cuts.

    "value" is the mean of the codebooks' perplexities, "book_q" that of codebook q, "joint" that of the
    tuples of codes. The joint estimate is too low when "sample_size" (units in the split) is not far above
    it. "usage" is the share of all Q * K codes that occur, "used" their number.
    """

    has_chance: ClassVar[bool] = False
    taken: ClassVar[tuple[str, ...]] = ("_books", "_tuples")

    def __init__(self) -> None:
        self._books = CodeCounts()
        self._tuples = TupleCounts()

    def update(self, item: Evaluated) -> None:
        """Count the units of one utterance."""
        self._books.add(codes(item), item.num_codes)
        self._tuples.add(codes(item))

    def compute(self) -> dict[str, float]:
        """Return the perplexities and the usage. Raises `DataError` when the split has no unit."""
        counts = self._books.result()  # (Q, K)
        books = [float(2 ** entropy(book)) for book in counts]
        return {
            "value": float(np.mean(books)),
            **({f"book_{q}": book for q, book in enumerate(books)} if len(books) > 1 else {}),
            "joint": float(2 ** entropy(self._tuples.result()[1])),
            "sample_size": float(counts[0].sum()),
            "usage": float((counts > 0).mean()),
            "used": float((counts > 0).sum()),
        }
