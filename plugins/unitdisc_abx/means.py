"""Means of means, without keeping every number."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from unitdisc_abx.cells import Group


@dataclass
class Means:
    """Means of numbers by key, in memory bounded by the number of different keys."""

    keys: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    sums: np.ndarray = field(default_factory=lambda: np.zeros((2, 0)))
    waiting: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)
    num_waiting: int = 0

    def add(self, keys: np.ndarray, values: np.ndarray) -> None:
        """Take numbers (N,) in."""
        self.waiting.append((keys, np.stack([values, np.ones_like(values)])))
        self.num_waiting += len(keys)
        if self.num_waiting > max(2**16, 2 * len(self.keys)):
            self.merge()

    def merge(self) -> None:
        """Sum up what waits."""
        keys = np.concatenate([self.keys, *(found for found, _ in self.waiting)])
        values = np.concatenate([self.sums, *(found for _, found in self.waiting)], axis=1)
        self.keys, places = np.unique(keys, return_inverse=True)
        self.sums = np.stack([np.bincount(places, row, len(self.keys)) for row in values])
        self.waiting, self.num_waiting = [], 0

    def result(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the keys in ascending order and the mean of each."""
        self.merge()
        return self.keys, self.sums[0] / self.sums[1]


@dataclass
class Score:
    """The errors of cells, and of how much they are the mean.

    Args:
        num_labels: More than any label's number.
        num_speakers: More than any speaker's number.
    """

    num_labels: int
    num_speakers: int
    cells: int = 0
    triplets: int = 0
    errors: Means = field(default_factory=Means)

    def add(self, group: Group, wins: np.ndarray) -> None:
        """Take the cells of a group in; ``wins`` are those of each query against each label."""
        sizes = np.diff(np.append(group.starts, len(group.columns)))
        places = np.array([place for place, _ in group.queries])
        queries = np.array([len(rows) for _, rows in group.queries])
        triplets = (queries * (sizes[places] - group.is_within))[:, None] * sizes
        other = np.arange(len(sizes)) != places[:, None]
        keys = (
            group.labels[places][:, None] * self.num_labels + group.labels
        ) * self.num_speakers + group.speaker
        self.errors.add(keys[other], 1 - wins[other] / triplets[other])
        self.cells += int(other.sum())
        self.triplets += int(triplets[other].sum())

    def mean(self) -> tuple[float, int]:
        """Return the mean error and the number of ordered pairs of labels.

        The mean over contexts and speakers of X comes first, then that over speakers of A and B, then that over
        pairs of labels, as in libri-light and fastabx.
        """
        keys, errors = self.errors.result()
        pairs = Means()
        pairs.add(keys // self.num_speakers, errors)
        means = pairs.result()[1]
        return float(means.mean()), len(means)
