"""The label that each unit meets most often."""

from __future__ import annotations

import numpy as np

from unitdisc_metrics.row_numbers import small_numbers


def as_labels(
    units: list[np.ndarray], labels: list[np.ndarray], order: np.ndarray | None = None
) -> list[np.ndarray]:
    """Return for each utterance the label (T,) that the unit of each frame meets most often in all of them.

    Args:
        units: Units (T, Q) of the frames of each utterance.
        labels: (T,) of each utterance, -1 where unlabelled. A unit without any is -1.
        order: (X,) all labels: of equally frequent ones the first is taken. None is ascending.
    """
    if not units:
        return []
    numbers = small_numbers(np.concatenate(units))
    pooled = np.concatenate(labels)
    labelled = pooled >= 0
    width = int(pooled.max(initial=0)) + 1
    pairs, counts = np.unique(numbers[labelled] * width + pooled[labelled], return_counts=True)
    mapped = np.full(numbers.max(initial=-1) + 1, -1)
    places = np.arange(width)
    if order is not None:
        places[order] = np.arange(len(order))
    # Ascending in count, and among equal counts descending in place: the last one written stays.
    written = np.lexsort([-places[pairs % width], counts])
    mapped[pairs[written] // width] = pairs[written] % width
    return np.split(mapped[numbers], np.cumsum([len(frames) for frames in labels])[:-1])
