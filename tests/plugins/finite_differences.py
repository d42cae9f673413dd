"""Slopes of a function by differences, in float64."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def slopes(function: Callable[[], float], array: np.ndarray, *, width: float = 1e-6) -> np.ndarray:
    """How ``function`` changes with each element of ``array``, which it reads."""
    found = np.zeros_like(array)
    for place in np.ndindex(array.shape):
        before = array[place]
        array[place] = before + width
        above = function()
        array[place] = before - width
        below = function()
        array[place] = before
        found[place] = (above - below) / (2 * width)
    return found
