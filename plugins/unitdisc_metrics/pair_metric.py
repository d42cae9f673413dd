"""Base of the metrics that look at pairs of unit and label."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge

from unitdisc_metrics.co_occurrence import CoOccurrence, Over
from unitdisc_metrics.mergeable import Mergeable

if TYPE_CHECKING:
    from unitdisc.metric import Evaluated


class PairMetric(Mergeable):
    """Counts how often each unit meets each label, frame by frame or segment by segment.

    Args:
        target: Name of a target with one label per frame.
        book: Codebook to score by itself, from 0; null takes the tuple of all codes as the unit.
        over: "frames": every labelled frame counts once. "segments": every run of equal units, with the label of
            most of its frames.
    """

    taken: ClassVar[tuple[str, ...]] = ("_pairs",)

    def __init__(
        self, *, target: str, book: Annotated[int, Ge(0)] | None = None, over: Over = "frames"
    ) -> None:
        self._pairs = CoOccurrence(target, book, over)
        self._over: Over = over

    def update(self, item: Evaluated) -> None:
        """Count the frames or segments of one utterance."""
        self._pairs.add(item)
