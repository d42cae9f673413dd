"""Phoneme error rate of units that stand for labels."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
from annotated_types import Ge

from unitdisc.edit_distance import edit_distance
from unitdisc.named import codes, field_value, frame_target
from unitdisc.repeats import run_starts
from unitdisc_metrics.error_rate import error_rate
from unitdisc_metrics.label_counts import LabelCounts, Ties
from unitdisc_metrics.mergeable import Mergeable
from unitdisc_metrics.narrow import narrow
from unitdisc_metrics.row_numbers import places
from unitdisc_metrics.symbols import merged
from unitdisc_metrics.tuple_counts import TupleCounts
from unitdisc_metrics.unit_labels import Fit, Map, Tables, fitted, halves, tables

if TYPE_CHECKING:
    from collections.abc import Iterator

    from unitdisc.metric import Evaluated

Heard = tuple[str, np.ndarray, np.ndarray]
"""Speaker, the runs (R, Q + 1) of codes and whether they are labelled, and the reference (U,) of an utterance."""
_UTTERANCES = 1000
"""Whose units are numbered at once."""


class MappedPER(Mergeable):
    """Phoneme error rate in percent of units, each of which stands for a label (discophon; beer's equivalent PER).

    Units become labels frame by frame, equal neighbours merge, and what is left is compared with the reference,
    the frames' labels merged likewise, by substitutions, deletions and insertions. Unlabelled frames are left out
    on both sides, and so are units that stand for no label. With ``fit: halves`` "same" is the rate with the map
    learnt on all frames, and "gap" how much lower it is.

    "edits" and "reference_length" are the two sums, "utterances" the number of utterances with a reference.

    Args:
        target: Name of a target with one label per frame.
        book: Codebook to score by itself, from 0; null takes the tuple of all codes as the unit.
        map: "many-to-one": each unit stands for the label that it meets most often. "one-to-one": no two units
            stand for one label, such that most frames are right (Hungarian algorithm).
        ties: To which label a unit goes that meets two equally often: "lowest" is the one that the corpus lists
            first, "frequent" the one of more frames in all, of equals the one that first comes last by id (discophon).
            One to one "frequent" leaves no unit without a label while there is one, be it never met.
        fit: "same": the map is learnt on all frames. "halves": the speakers are dealt into two halves, and each
            half is scored by the map of the other.
        average: "corpus": the ratio of the two sums. "utterance": the mean of the utterances' own rates.
        field: Manifest field that names the speaker (or the writer), for "halves".
        seed: Of the halves.
    """

    higher_is_better: ClassVar[bool] = False
    taken: ClassVar[tuple[str, ...]] = ("_counts", "_labels", "_heard")

    def __init__(
        self,
        *,
        target: str,
        book: Annotated[int, Ge(0)] | None = None,
        map: Map = "many-to-one",  # noqa: A002  (the recipe's word)
        ties: Ties = "lowest",
        fit: Fit = "same",
        average: Literal["corpus", "utterance"] = "corpus",
        field: str = "speaker",
        seed: Annotated[int, Ge(0)] = 0,
    ) -> None:
        self._target, self._book = target, book
        self._map: Map = map
        self._ties: Ties = ties
        self._fit, self._field, self._seed = fit, field, seed
        self._average: Literal["corpus", "utterance"] = average
        self._counts: dict[str, TupleCounts] = defaultdict(TupleCounts)
        self._labels = LabelCounts()
        self._heard: list[Heard] = []

    def update(self, item: Evaluated) -> None:
        """Count the frames of one utterance, and keep its runs until all units are known."""
        speaker = field_value(item, self._field) if self._fit == "halves" else ""
        labels = frame_target(item, self._target)
        units = np.repeat(codes(item, self._book), item.stride, axis=0)[: item.num_frames]
        self._counts[speaker].add(np.column_stack([units, labels])[labels >= 0])
        self._labels.add(item.key, labels)
        rows = np.column_stack([units, labels >= 0])
        self._heard.append((speaker, narrow(rows[run_starts(rows)]), narrow(merged(labels))))

    def compute(self) -> dict[str, float]:
        """Return the rate. Raises `DataError` when no frame had a label, or with fewer than two speakers."""
        parts = halves(self._counts, self._seed) if self._fit == "halves" else dict.fromkeys(self._counts, 0)
        found = tables(self._counts, parts, self._target, self._labels.in_order(self._ties))
        everywhere = fitted(found.all_counts, self._map, self._ties)
        same = self._rate(found, dict.fromkeys(self._counts, everywhere))
        if self._fit == "same":
            return same
        maps = {part: fitted(table, self._map, self._ties) for part, table in found.counts.items()}
        other = self._rate(found, {speaker: maps[1 - part] for speaker, part in parts.items()})
        return {**other, "same": same["value"], "gap": other["value"] - same["value"]}

    def _numbers(self, found: Tables) -> Iterator[np.ndarray]:
        """Yield for each utterance the number (R,) of the unit of each run, -1 where it is unlabelled."""
        for first in range(0, len(self._heard), _UTTERANCES):
            some = [runs for _, runs, _ in self._heard[first : first + _UTTERANCES]]
            runs = np.concatenate(some).astype(np.int64)
            labelled = runs[:, -1] > 0
            numbers = np.full(len(runs), -1)
            numbers[labelled] = places(runs[labelled, :-1], found.units)
            yield from np.split(numbers, np.cumsum([len(runs) for runs in some])[:-1])

    def _rate(self, found: Tables, maps: dict[str, np.ndarray]) -> dict[str, float]:
        """Return the error rate when the units of each speaker stand for the labels of ``maps``."""
        labels = np.append(found.labels, -1)
        edits, lengths = [], []
        for (speaker, _, reference), units in zip(self._heard, self._numbers(found), strict=True):
            spelt = merged(labels[np.append(maps[speaker], -1)[units]])
            edits.append(edit_distance(spelt, reference))
            lengths.append(len(reference))
        return error_rate(edits, lengths, self._average, self._target)
