"""Base of the metrics that look at pairs of unit and label."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge

from unitdisc.metric import Metric
from unitdisc_metrics.co_occurrence import CoOccurrence

if TYPE_CHECKING:
    from unitdisc.metric import Evaluated


class PairMetric(Metric):
    """Counts how often each unit meets each label, frame by frame.

    Args:
        target: Name of a target with one label per frame.
        book: Codebook to score by itself, from 0; null takes the tuple of all codes as the unit.
    """

    def __init__(self, *, target: str, book: Annotated[int, Ge(0)] | None = None) -> None:
        self._pairs = CoOccurrence(target, book)

    def update(self, item: Evaluated) -> None:
        """Count the frames of one utterance."""
        self._pairs.add(item)
