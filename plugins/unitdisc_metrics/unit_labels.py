"""Maps from units to labels, learnt where they are used or on the other half of the speakers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from unitdisc.errors import DataError
from unitdisc_metrics.assignment import best_assignment
from unitdisc_metrics.row_numbers import places, small_numbers
from unitdisc_metrics.tuple_counts import TupleCounts

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from unitdisc_metrics.label_counts import Ties

Map = Literal["many-to-one", "one-to-one"]
Fit = Literal["same", "halves"]


@dataclass(frozen=True)
class Tables:
    """How often each unit meets each label, for several parts of a split.

    Args:
        units: (Y, Q) the different units, in ascending order.
        labels: (X,) the different labels, of two the one first to which a tie goes.
        counts: By part, (Y, X) int64.
    """

    units: np.ndarray
    labels: np.ndarray
    counts: dict[int, np.ndarray]

    @property
    def all_counts(self) -> np.ndarray:
        """(Y, X) int64 of all parts together."""
        pooled: np.ndarray = np.sum([*self.counts.values()], axis=0)
        return pooled


def tables(
    counted: Mapping[str, TupleCounts],
    parts: Mapping[str, int],
    target: str,
    labels: np.ndarray,
) -> Tables:
    """Return the tables of units and labels. Raises `DataError` when no frame had a label.

    Args:
        counted: By speaker, how often each row of codes and, last, label occurs.
        parts: The part of each speaker.
        target: Name of the labels, for the error.
        labels: (X,) all that occur, of two the one first to which a tie goes.
    """
    pooled: dict[int, TupleCounts] = {part: TupleCounts() for part in sorted({*parts.values()})}
    for name, counts in counted.items():
        pooled[parts[name]].merge(counts)
    rows, numbers = zip(*(counts.result() for counts in pooled.values()), strict=True) if pooled else ((), ())
    filled = [found for found in rows if len(found)]
    if not filled:
        raise DataError(f"no labelled frame of target '{target}' in the split; score one that has labels")
    together = np.concatenate(filled)
    units = np.unique(together[:, :-1], axis=0)
    ascending = np.argsort(labels)
    found = {}
    for part, row, number in zip(pooled, rows, numbers, strict=True):
        found[part] = np.zeros((len(units), len(labels)), np.int64)
        if len(row):
            columns = ascending[np.searchsorted(labels, row[:, -1], sorter=ascending)]
            found[part][places(row[:, :-1], units), columns] = number
    return Tables(units, labels, found)


def fitted(counts: np.ndarray, kind: Map, ties: Ties = "lowest") -> np.ndarray:
    """Return (Y,) the label number that each unit of ``counts`` (Y, X) stands for, -1 for none.

    "many-to-one": the label that it meets most often, of equals the first. "one-to-one": `best_assignment`; where
    ``ties`` is "frequent", labels choose among units, and also get a unit that they never meet, but none that
    does not occur here at all.
    """
    if kind == "many-to-one":
        return np.where(counts.any(axis=1), counts.argmax(axis=1), -1)
    if ties == "frequent":
        return _chosen(counts)
    labels = best_assignment(counts)
    return np.where(counts[np.arange(len(counts)), labels] > 0, labels, -1)


def _chosen(counts: np.ndarray) -> np.ndarray:
    """Return (Y,) the label of the unit that each label of ``counts`` (Y, X) chooses, with units for all labels."""
    missing = max(0, counts.shape[1] - len(counts))
    units = best_assignment(np.pad(counts, ((0, missing), (0, 0))).T)
    labels = np.full(len(counts) + missing, -1)
    labels[units] = np.arange(len(units))
    return np.where(counts.any(axis=1), labels[: len(counts)], -1)


def own_labels(
    units: list[np.ndarray], labels: list[np.ndarray], order: np.ndarray, ties: Ties
) -> list[np.ndarray]:
    """Return for each utterance the label (T,) that the unit of each frame stands for one to one, -1 for none.

    Args:
        units: Units (T, Q) of the frames of each utterance.
        labels: (T,) of each utterance, -1 where unlabelled.
        order: (X,) all labels, of two the one first to which a tie goes.
        ties: As in `fitted`.
    """
    if not len(order):
        return [np.full(len(frames), -1) for frames in labels]
    numbers, pooled = small_numbers(np.concatenate(units)), np.concatenate(labels)
    met, rows = np.unique(numbers[pooled >= 0], return_inverse=True)
    ascending = np.argsort(order)
    columns = ascending[np.searchsorted(order, pooled[pooled >= 0], sorter=ascending)]
    counts = np.bincount(rows * len(order) + columns, minlength=len(met) * len(order))
    mapped = np.full(int(numbers.max()) + 1, -1)
    mapped[met] = np.append(order, -1)[fitted(counts.reshape(len(met), len(order)), "one-to-one", ties)]
    return np.split(mapped[numbers], np.cumsum([len(frames) for frames in labels])[:-1])


def halves(speakers: Collection[str], seed: int) -> dict[str, int]:
    """Return 0 or 1 for each speaker, as many of one as of the other. Raises `DataError` for fewer than two."""
    if len(speakers) < 2:
        raise DataError(
            f"found {len(speakers)} speaker, too few to learn the map on some and use it on others; score a split "
            "with more, or set fit to same"
        )
    order = np.random.Generator(np.random.PCG64(seed)).permutation(len(speakers))
    return {name: int(place % 2) for name, place in zip(sorted(speakers), order, strict=True)}
