"""Labels of frames as a sequence of symbols."""

from __future__ import annotations

import numpy as np


def merged(labels: np.ndarray) -> np.ndarray:
    """Return one symbol per run of equal labels (T,), without the runs of unlabelled frames."""
    runs = np.extract(np.diff(labels, prepend=labels[:1] - 1) != 0, labels)
    return np.extract(runs >= 0, runs)
