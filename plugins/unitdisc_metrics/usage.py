"""Share of the codes that are used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Gt

from unitdisc.named import codes
from unitdisc_metrics.code_counts import CodeCounts
from unitdisc_metrics.mergeable import Mergeable

if TYPE_CHECKING:
    from unitdisc.metric import Evaluated


class Usage(Mergeable):
    """Share of all Q * K codes that occur in the whole split; DistSup logs their number as ``used_tokens``.

    "book_q" is the share within codebook q, "used" the number of codes that occur, "sample_size" that of
    units.

    Args:
        min_count: Occurrences from which on a code counts as used.
    """

    has_chance: ClassVar[bool] = False
    taken: ClassVar[tuple[str, ...]] = ("_counts",)

    def __init__(self, *, min_count: Annotated[int, Gt(0)] = 1) -> None:
        self._min_count = min_count
        self._counts = CodeCounts()

    def update(self, item: Evaluated) -> None:
        """Count the units of one utterance."""
        self._counts.add(codes(item), item.num_codes)

    def compute(self) -> dict[str, float]:
        """Return the shares. Raises `DataError` when the split has no unit."""
        counts = self._counts.result()
        used = counts >= self._min_count  # (Q, K)
        books = {f"book_{q}": float(book.mean()) for q, book in enumerate(used)} if len(used) > 1 else {}
        return {
            "value": float(used.mean()),
            **books,
            "used": float(used.sum()),
            "sample_size": float(counts[0].sum()),
        }
