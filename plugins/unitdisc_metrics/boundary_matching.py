"""How many reference boundaries predicted ones find, under three conventions."""

from __future__ import annotations

import numpy as np


def one_to_one(reference: np.ndarray, predicted: np.ndarray, tolerance: int) -> int:
    """Return the size of the largest matching that uses each boundary at most once.

    Taking the predicted boundaries (P,) in order and giving each the first free one of ``reference`` (R,) within
    ``tolerance`` frames finds the maximum, because all windows are equally wide.
    """
    hits = first = 0
    for place in predicted.tolist():
        while first < len(reference) and reference[first] < place - tolerance:
            first += 1
        if first < len(reference) and reference[first] <= place + tolerance:
            first += 1
            hits += 1
    return hits


def nearest(reference: np.ndarray, predicted: np.ndarray, tolerance: int) -> int:
    """Return how many predicted boundaries, in order, have their nearest free reference within ``tolerance``.

    The earlier one of two equally near is taken.
    """
    free = reference.astype(np.float64)
    hits = 0
    for place in predicted.tolist():
        distances = np.abs(free - place)
        if distances.size and distances.min() <= tolerance:
            free[distances.argmin()] = np.inf
            hits += 1
    return hits


def window(reference: np.ndarray, predicted: np.ndarray, tolerance: int) -> int:
    """Return how many reference boundaries have any predicted one in their window of +- ``tolerance`` frames.

    Windows that overlap are cut in the middle, which belongs to the earlier one.
    """
    if not len(reference):
        return 0
    middles = (reference[:-1] + reference[1:]) / 2
    owners = np.searchsorted(middles, predicted, side="left")
    inside = np.abs(reference[owners] - predicted) <= tolerance
    return len(np.unique(owners[inside]))
