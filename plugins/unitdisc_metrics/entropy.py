"""Entropy of a distribution given by counts."""

from __future__ import annotations

import numpy as np


def entropy(counts: np.ndarray) -> float:
    """Return H = -sum p log2 p in bits, p = counts / sum(counts); ``counts`` (N,) may hold zeros."""
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log2(shares)).sum()) + 0.0  # + 0.0: not -0.0 for a single value
