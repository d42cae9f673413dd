"""Share of frames that units label correctly once each stands for a label."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Annotated, ClassVar, Self

import numpy as np
from annotated_types import Ge

from unitdisc.errors import DataError, RecipeError
from unitdisc.named import codes, field_value, frame_target
from unitdisc_metrics.label_counts import LabelCounts, Ties
from unitdisc_metrics.mergeable import Mergeable
from unitdisc_metrics.tuple_counts import TupleCounts
from unitdisc_metrics.unit_labels import Fit, Map, fitted, halves, tables

if TYPE_CHECKING:
    from unitdisc.metric import Evaluated


class UnitAccuracy(Mergeable):
    """Share of the labelled frames whose unit stands for their label, after each unit was given a label.

    The map is learnt from the counts of the same frames that it is judged on, as DistSup, discophon, beer and
    vqwordseg do, which flatters many units; or, with ``fit: halves``, on other speakers; or, with ``unitdisc evaluate
    --fit-on``, on another split. Then "same" is what the usual score would be, and "gap" is how much that is more.
    Many-to-one on the same frames is `purity`.

    "frames", "units" and "labels" say from how many labelled frames, different units and different labels.

    Args:
        target: Name of a target with one label per frame.
        book: Codebook to score by itself, from 0; null takes the tuple of all codes as the unit.
        map: "many-to-one": each unit stands for the label that it meets most often. "one-to-one": no two units
            stand for one label, such that most frames are right (Hungarian algorithm); further units are wrong.
        ties: To which label a unit goes that meets two equally often: "lowest" is the one that the corpus lists
            first, "frequent" the one of more frames in all, of equals the one that first comes last by id (discophon).
            One to one "frequent" leaves no unit without a label while there is one, be it never met.
        fit: "same": the map is learnt on all frames, or on those of another split. "halves": the speakers are dealt
            into two halves, and each half is scored by the map of the other; a unit that occurs in one half only is
            wrong.
        field: Manifest field that names the speaker (or the writer), for "halves".
        seed: Of the halves.
    """

    learns: ClassVar[bool] = True
    taken: ClassVar[tuple[str, ...]] = ("_counts", "_labels")

    def __init__(
        self,
        *,
        target: str,
        book: Annotated[int, Ge(0)] | None = None,
        map: Map = "many-to-one",  # noqa: A002  (the recipe's word)
        ties: Ties = "lowest",
        fit: Fit = "same",
        field: str = "speaker",
        seed: Annotated[int, Ge(0)] = 0,
    ) -> None:
        self._target, self._book = target, book
        self._map: Map = map
        self._ties: Ties = ties
        self._fit, self._field, self._seed = fit, field, seed
        self._counts: dict[str, TupleCounts] = defaultdict(TupleCounts)
        self._labels = LabelCounts()
        self._learnt: Self | None = None

    def learn_from(self, other: Self) -> None:
        """Learn the map from the items of ``other``. Raises `RecipeError` for ``fit: halves``."""
        if self._fit == "halves":
            raise RecipeError("fit halves learns the map on other speakers; leave it or --fit-on out")
        self._learnt = other

    def update(self, item: Evaluated) -> None:
        """Count the frames of one utterance."""
        speaker = field_value(item, self._field) if self._fit == "halves" else ""
        labels = frame_target(item, self._target)
        units = np.repeat(codes(item, self._book), item.stride, axis=0)[: item.num_frames]
        self._counts[speaker].add(np.column_stack([units, labels])[labels >= 0])
        self._labels.add(item.key, labels)

    def compute(self) -> dict[str, float]:
        """Return the share. Raises `DataError` when no frame had a label, or with fewer than two speakers."""
        return self._alone() if self._learnt is None else self._by_map_of(self._learnt)

    def _alone(self) -> dict[str, float]:
        """Return the share by maps of this split."""
        parts = halves(self._counts, self._seed) if self._fit == "halves" else dict.fromkeys(self._counts, 0)
        found = tables(self._counts, parts, self._target, self._labels.in_order(self._ties))
        counts = found.all_counts
        frames = float(counts.sum())
        same = _correct(counts, fitted(counts, self._map, self._ties)) / frames
        sizes = {"frames": frames, "units": float(len(found.units)), "labels": float(len(found.labels))}
        if self._fit == "same":
            return {"value": same, **sizes}
        maps = {part: fitted(table, self._map, self._ties) for part, table in found.counts.items()}
        other = sum(_correct(table, maps[1 - part]) for part, table in found.counts.items()) / frames
        return {"value": other, "same": same, "gap": same - other, **sizes}

    def _by_map_of(self, other: UnitAccuracy) -> dict[str, float]:
        """Return the share by the map of another split, beside that by the map of this one."""
        sizes = self._alone()
        same, frames = sizes.pop("value"), sizes["frames"]
        # Of labels that both splits have, the other says to which a tie goes.
        first, here = other._labels.in_order(self._ties), self._labels.in_order(self._ties)
        order = np.concatenate([first, here[~np.isin(here, first)]])
        counted = {"here": self._counts[""], "there": other._counts[""]}
        found = tables(counted, {"here": 0, "there": 1}, self._target, order)
        if not found.counts[1].any():
            raise DataError(
                f"no labelled frame of target '{self._target}' in the split that maps are learnt on"
            )
        value = _correct(found.counts[0], fitted(found.counts[1], self._map, self._ties)) / frames
        return {"value": value, "same": same, "gap": same - value, **sizes}


def _correct(counts: np.ndarray, labels: np.ndarray) -> int:
    """Return how many frames of ``counts`` (Y, X) are right when units stand for ``labels`` (Y,)."""
    known = labels >= 0
    return int(counts[known, labels[known]].sum())
