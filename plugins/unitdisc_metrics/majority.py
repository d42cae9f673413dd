"""The label that each unit meets most often."""

from __future__ import annotations

import numpy as np


def as_labels(units: list[np.ndarray], labels: list[np.ndarray]) -> list[np.ndarray]:
    """Return for each utterance the label (T,) that the unit of each frame meets most often in all of them.

    Args:
        units: Units (T, Q) of the frames of each utterance.
        labels: (T,) of each utterance, -1 where unlabelled. Of equally frequent labels the lowest is taken; a
            unit without any is -1.
    """
    if not units:
        return []
    numbers = np.unique(np.concatenate(units), axis=0, return_inverse=True)[1].reshape(-1)
    pooled = np.concatenate(labels)
    labelled = pooled >= 0
    pairs, counts = np.unique(
        np.column_stack([numbers[labelled], pooled[labelled]]), axis=0, return_counts=True
    )
    mapped = np.full(numbers.max(initial=-1) + 1, -1)
    # Ascending in count, and among equal counts descending in label: the last one written stays.
    order = np.lexsort([-pairs[:, 1], counts])
    mapped[pairs[order, 0]] = pairs[order, 1]
    return np.split(mapped[numbers], np.cumsum([len(frames) for frames in labels])[:-1])
