"""Stretches of an utterance, and the labels that belong to each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from unitdisc.repeats import run_starts
from unitdisc_metrics.narrow import narrow


@dataclass(frozen=True)
class Runs:
    """Stretches of equal symbols that follow each other, in frames.

    Args:
        symbols: (R, Q).
        starts: (R,) int64, the first frame of each.
        stops: (R,) int64, the frame after the last of each.
    """

    symbols: np.ndarray
    starts: np.ndarray
    stops: np.ndarray

    def keep(self, chosen: np.ndarray) -> Runs:
        """Return the runs where ``chosen`` (R,) is true."""
        return Runs(self.symbols[chosen], self.starts[chosen], self.stops[chosen])

    def narrowed(self) -> Runs:
        """Return the same runs in as few bytes as hold them."""
        return Runs(narrow(self.symbols), narrow(self.starts), narrow(self.stops))

    def widened(self) -> Runs:
        """Return the same runs in int64."""
        return Runs(*(part.astype(np.int64) for part in (self.symbols, self.starts, self.stops)))


def runs_of(symbols: np.ndarray) -> Runs:
    """Return the runs of equal ``symbols`` (T, Q)."""
    starts = run_starts(symbols)
    return Runs(symbols[starts], starts, np.append(starts[1:], len(symbols))[: len(starts)])


def labelled_runs(labels: np.ndarray) -> Runs:
    """Return the runs of equal ``labels`` (T,) that are labels."""
    runs = runs_of(labels[:, None])
    return runs.keep(runs.symbols[:, 0] >= 0)


def within(starts: np.ndarray, stops: np.ndarray, runs: Runs, edge: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the first run and the run after the last one that belong to each fragment, (N,) each.

    A run belongs to a fragment that holds more than half of it, or more than ``edge`` frames of it (the Zero
    Resource Challenge's rule, with 30 ms).

    Args:
        starts: (N,) first frame of each fragment.
        stops: (N,) frame after the last of each.
        runs: In order.
        edge: In frames.
    """
    first = np.searchsorted(runs.stops, starts, side="right")
    stop = np.searchsorted(runs.starts, stops, side="left")
    # Whatever lies between the two outer runs is whole.
    touched = first < stop
    first[touched] += ~_belongs(first[touched], starts[touched], stops[touched], runs, edge)
    touched = first < stop
    stop[touched] -= ~_belongs(stop[touched] - 1, starts[touched], stops[touched], runs, edge)
    return first, np.maximum(first, stop)


def _belongs(index: np.ndarray, starts: np.ndarray, stops: np.ndarray, runs: Runs, edge: float) -> np.ndarray:
    left, right = runs.starts[index], runs.stops[index]
    shared = np.minimum(right, stops) - np.maximum(left, starts)
    # 0.29 s * 100 Hz is a little less than 29
    belongs: np.ndarray = (shared > edge + 1e-6) | (2 * shared > right - left)
    return belongs
