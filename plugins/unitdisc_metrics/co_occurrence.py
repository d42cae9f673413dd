"""How often each unit meets each label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from unitdisc.errors import DataError
from unitdisc.named import codes, frame_target
from unitdisc.repeats import durations, run_starts
from unitdisc_metrics.entropy import entropy
from unitdisc_metrics.majority import as_labels
from unitdisc_metrics.tuple_counts import TupleCounts

if TYPE_CHECKING:
    from unitdisc.metric import Evaluated

Over = Literal["frames", "segments"]
"""What counts once."""


@dataclass(frozen=True)
class Pairs:
    """The P different pairs of unit and label of a split.

    Args:
        counts: (P,) int64, frames or segments with this pair.
        units: (P,) int64, the number of its unit in [0, Y).
        labels: (P,) int64, the number of its label in [0, X).
    """

    counts: np.ndarray
    units: np.ndarray
    labels: np.ndarray

    @property
    def total(self) -> int:
        """Labelled frames or segments."""
        return int(self.counts.sum())

    @property
    def unit_counts(self) -> np.ndarray:
        """(Y,) how often each unit occurs."""
        return np.bincount(self.units, self.counts)

    @property
    def label_counts(self) -> np.ndarray:
        """(X,) how often each label occurs."""
        return np.bincount(self.labels, self.counts)

    def mutual_information(self) -> float:
        """Return I(X; Y) = H(X) + H(Y) - H(X, Y) in bits, at least 0."""
        separate = entropy(self.unit_counts) + entropy(self.label_counts)
        return max(0.0, separate - entropy(self.counts))

    def sizes(self, over: Over) -> dict[str, float]:
        """Return what the pairs were counted from, for the printed result."""
        return {
            over: float(self.total),
            "units": float(len(self.unit_counts)),
            "labels": float(len(self.label_counts)),
        }


class CoOccurrence:
    """Counts pairs of unit and label over the labelled frames or segments of a split.

    Units are repeated to the frame rate: unit s stands on the frames [s * stride, (s + 1) * stride), cut at
    the end of the utterance. With several codebooks a unit is the tuple of its codes, unless ``book`` picks
    one. A segment is a run of equal units; its label is the one of most of its frames, of equals the lowest.
    """

    def __init__(self, target: str, book: int | None, over: Over = "frames") -> None:
        self._target = target
        self._book = book
        self._over = over
        self._counts = TupleCounts()

    def add(self, item: Evaluated) -> None:
        """Count one utterance. Raises `RecipeError` when the target or codebook does not exist."""
        labels = frame_target(item, self._target)
        units = np.repeat(codes(item, self._book), item.stride, axis=0)[: item.num_frames]
        if self._over == "segments" and len(units):
            units, labels = _segments(units, labels)
        rows = np.column_stack([units, labels])  # (T, Q + 1)
        self._counts.add(rows[labels >= 0])

    def merge(self, other: CoOccurrence, times: int = 1) -> None:
        """Add the counts of ``other``, ``times`` over."""
        self._counts.merge(other._counts, times)

    def result(self) -> Pairs:
        """Return the pairs. Raises `DataError` when no frame had a label."""
        rows, counts = self._counts.result()
        if not len(rows):
            raise DataError(
                f"no labelled frame of target '{self._target}' in the split; score one that has labels"
            )
        # Rows are in ascending order, so the rows of a unit are neighbours.
        units = np.cumsum(np.any(np.diff(rows[:, :-1], axis=0, prepend=rows[:1, :-1]), axis=1))
        return Pairs(counts, units, np.unique(rows[:, -1], return_inverse=True)[1])


def _segments(units: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the units (R, Q) and labels (R,) of the runs of equal ``units`` (T, Q)."""
    starts = run_starts(units)
    numbers = np.repeat(np.arange(len(starts)), durations(units))
    return units[starts], as_labels([numbers[:, None]], [labels])[0][starts]
