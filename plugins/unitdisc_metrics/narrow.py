"""Integers in as few bytes as hold them, for what is kept of every utterance."""

from __future__ import annotations

import numpy as np

_TYPES = (np.int8, np.int16, np.int32)


def narrow(values: np.ndarray) -> np.ndarray:
    """Return a copy of integers in the narrowest signed type that holds them; widen it before reckoning."""
    low, high = (int(values.min()), int(values.max())) if values.size else (0, 0)
    for kind in _TYPES:
        limits = np.iinfo(kind)
        if limits.min <= low and high <= limits.max:
            return values.astype(kind)
    return values.astype(np.int64)
