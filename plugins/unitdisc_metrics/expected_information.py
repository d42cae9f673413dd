"""Mutual information that units and labels have by chance."""

from __future__ import annotations

import numpy as np

_TAIL = 40.0
"""-ln of the probability that may be left out at either end."""


def expected_information(units: np.ndarray, labels: np.ndarray) -> float:
    """Return E[I] in bits over all tables with the sums ``units`` (Y,) and ``labels`` (X,), all above 0.

    Vinh, Epps and Bailey 2010, eq. 24a: the count n of a pair is hypergeometric. Only the n around its mean are
    looked at, outside of which Bernstein's bound leaves less than e^-40, so that a hundred million frames take
    seconds.
    """
    some, several = np.unique(units, return_counts=True)
    others, repeats = np.unique(labels, return_counts=True)
    total = int(labels.sum())
    sums = [(_by_label(int(unit), others, total) * repeats).sum() for unit in some]
    return float(np.dot(sums, several))


def _by_label(unit: int, labels: np.ndarray, total: int) -> np.ndarray:
    """Return (X,), the sum over n of P(n) n / N log2(N n / (unit * label)) for each label."""
    mean = unit * labels / total
    variance = mean * (1 - unit / total) * (1 - labels / total) * (total / max(total - 1, 1))
    reach = _TAIL / 3 + np.sqrt((_TAIL / 3) ** 2 + 2 * _TAIL * variance)
    low = np.maximum(np.maximum(0, unit + labels - total), np.floor(mean - reach)).astype(np.int64)
    high = np.minimum(np.minimum(unit, labels), np.ceil(mean + reach)).astype(np.int64)
    n = low[:, None] + np.arange((high - low).max() + 1)  # (X, N)
    inside = n <= high[:, None]
    n = np.minimum(n, high[:, None]).astype(np.float64)
    label = labels[:, None].astype(np.float64)
    # P(n + 1) / P(n), whose products need no factorials; the probabilities are scaled to sum to one.
    rises = np.log((unit - n) * (label - n), where=inside & (n < high[:, None]), out=np.zeros_like(n))
    rises -= np.log((n + 1) * (total - unit - label + n + 1))
    logs = np.cumsum(rises, axis=1)
    logs = np.concatenate([np.zeros_like(logs[:, :1]), logs[:, :-1]], axis=1)
    logs[~inside] = -np.inf
    shares = np.exp(logs - logs.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    counted = n > 0
    information = np.log2(total * n / (unit * label), where=counted, out=np.zeros_like(n))
    expected: np.ndarray = (shares * n / total * information).sum(axis=1)
    return expected
