"""Runs of equal units: merged into one with a duration, and spelt out again."""

from __future__ import annotations

import numpy as np


def run_starts(codes: np.ndarray) -> np.ndarray:
    """Return (R,) int64, where in ``codes`` (S, Q) each run of equal rows begins."""
    changes = np.any(codes[1:] != codes[:-1], axis=1)
    first = np.ones(min(1, len(codes)), bool)
    return np.flatnonzero(np.concatenate([first, changes]))


def without_repeats(codes: np.ndarray) -> np.ndarray:
    """Return (R, Q), one row per run of equal rows of ``codes`` (S, Q)."""
    return np.take(codes, run_starts(codes), axis=0)


def durations(codes: np.ndarray) -> np.ndarray:
    """Return (R,) int64, the length of each run of equal rows of ``codes`` (S, Q).

    ``np.repeat(without_repeats(codes), durations(codes), axis=0)`` is ``codes`` again.
    """
    return np.diff(run_starts(codes), append=len(codes))
