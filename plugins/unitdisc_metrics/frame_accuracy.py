"""Share of frames that a head labels correctly."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from unitdisc.errors import DataError, RecipeError
from unitdisc.named import frame_target, prediction
from unitdisc_metrics.mergeable import Mergeable

if TYPE_CHECKING:
    from unitdisc.metric import Evaluated


class FrameAccuracy(Mergeable):
    """Share of the labelled frames that a head, for example a probe, predicts as the target says.

    "correct" and "frames" are the two counts; unlabelled frames are left out.

    Args:
        head: Name of a head that predicts one label per frame.
        target: Name of the target with the right labels, one per frame.
    """

    taken: ClassVar[tuple[str, ...]] = ("_correct", "_frames")

    def __init__(self, *, head: str, target: str) -> None:
        self._head = head
        self._target = target
        self._correct = 0
        self._frames = 0

    def update(self, item: Evaluated) -> None:
        """Compare one utterance."""
        labels, predicted = frame_target(item, self._target), prediction(item, self._head)
        if len(predicted) != item.num_frames:
            raise RecipeError(
                f"{item.key}: head '{self._head}' predicts {len(predicted)} symbols for {item.num_frames} "
                "frames; this metric needs a head with one label per frame"
            )
        labelled = labels >= 0
        self._correct += int((predicted[labelled] == labels[labelled]).sum())
        self._frames += int(labelled.sum())

    def compute(self) -> dict[str, float]:
        """Return the share and the counts. Raises `DataError` when no frame had a label."""
        if not self._frames:
            raise DataError(
                f"no labelled frame of target '{self._target}' in the split; score one that has labels"
            )
        return {
            "value": self._correct / self._frames,
            "correct": float(self._correct),
            "frames": float(self._frames),
        }
