"""How well units begin and end where labels do."""

from __future__ import annotations

from math import hypot, sqrt
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
from annotated_types import Ge

from unitdisc.errors import DataError
from unitdisc.named import codes, frame_target
from unitdisc_metrics import boundary_matching
from unitdisc_metrics.label_counts import LabelCounts, Ties
from unitdisc_metrics.majority import as_labels
from unitdisc_metrics.mergeable import Mergeable
from unitdisc_metrics.unit_labels import own_labels

if TYPE_CHECKING:
    from unitdisc.metric import Evaluated

_MATCHING = {
    "one-to-one": boundary_matching.one_to_one,
    "nearest": boundary_matching.nearest,
    "window": boundary_matching.window,
}


class Boundaries(Mergeable):
    """Boundary F1: how well changes of unit find changes of label within a tolerance.

    "value" is F1 = 2PR / (P + R) of "precision" P = hits / predicted and "recall" R = hits / reference.
    "over_segmentation" OS = predicted / reference - 1 is R / P - 1; "r_value" punishes it (Räsänen et al. 2009):
    1 - (|r1| + |r2|) / 2 with r1 = sqrt((1 - R)^2 + OS^2), r2 = (R - 1 - OS) / sqrt(2); 1 is perfect, many
    boundaries make it negative. "hits", "predicted" and "reference" are the sums, "utterances" the
    number of those with a reference boundary.

    Peers match and count differently; only equal settings compare. DistSup: tolerance 0.01, average utterance.
    vqwordseg: the defaults (its search in order finds the largest matching, too). beer: matching nearest.
    discophon: matching window, units mapped.

    Unit s begins at frame s * stride. What lies outside the first and the last labelled frame is cut off;
    inside, an unlabelled stretch is bounded by two boundaries, and those of units within it are not counted.
    Equal labels in a row have no boundary between them.

    Args:
        target: Name of a target with one label per frame.
        book: Codebook to score by itself, from 0; null takes the tuple of all codes as the unit.
        tolerance: Largest distance of a hit, in seconds, or in columns for images; cut to whole frames.
        matching: "one-to-one": the largest matching that uses each boundary once. "nearest": predicted
            boundaries take, in order, the nearest free reference. "window": a reference is hit by any number of
            predicted ones around it; windows that overlap are cut in the middle.
        average: "corpus": from sums over the split. "utterance": the mean over utterances with a reference.
        ends: Edges of the utterance, which always match: "drop-both" counts neither, "drop-last" the first,
            "keep" both.
        units: "raw": as they are. "mapped": each first becomes the label that it meets most often in the
            split, so that neighbours of one label merge, which lowers over-segmentation. "mapped-one-to-one": no
            two units become one label, as in mapped_per.
        ties: Of a mapped unit that meets two labels equally often: "lowest" takes the one that the corpus lists
            first, "frequent" the one of more frames in all, of equals the one that first comes last by id (discophon);
            one to one as in mapped_per.
    """

    taken: ClassVar[tuple[str, ...]] = ("_counts", "_labels", "_waiting")

    def __init__(
        self,
        *,
        target: str,
        book: Annotated[int, Ge(0)] | None = None,
        tolerance: Annotated[float, Ge(0)] = 0.02,
        matching: Literal["one-to-one", "nearest", "window"] = "one-to-one",
        average: Literal["corpus", "utterance"] = "corpus",
        ends: Literal["drop-both", "drop-last", "keep"] = "drop-both",
        units: Literal["raw", "mapped", "mapped-one-to-one"] = "raw",
        ties: Ties = "lowest",
    ) -> None:
        self._target, self._book = target, book
        self._tolerance, self._matching = tolerance, _MATCHING[matching]
        self._average, self._ends = average, ends
        self._units, self._ties = units, ties
        self._counts: list[tuple[int, int, int]] = []
        self._labels = LabelCounts()
        self._waiting: list[tuple[np.ndarray, np.ndarray, int]] = []

    def update(self, item: Evaluated) -> None:
        """Count the boundaries of one utterance, or keep it until all units are known."""
        labels = frame_target(item, self._target)
        units = np.repeat(codes(item, self._book), item.stride, axis=0)[: item.num_frames]  # (T, Q)
        tolerance = int(self._tolerance * item.frame_rate + 1e-6)  # 0.29 s * 100 Hz is a little less than 29
        if self._units != "raw":
            self._labels.add(item.key, labels)
            self._waiting.append((units, labels, tolerance))
        else:
            self._counts.append(self._count(units, labels, tolerance))

    def compute(self) -> dict[str, float]:
        """Return the scores and the sums. Raises `DataError` when the split has no boundary to find."""
        counts = np.array([*self._counts, *self._mapped_counts()]).reshape(-1, 3)
        heard = counts[counts[:, 2] > 0]
        if not len(heard):
            raise DataError(
                f"target '{self._target}' has no boundary in the split; score one whose labels change"
            )
        sums = counts.sum(axis=0)
        rows = (
            [_scores(*sums.tolist())]
            if self._average == "corpus"
            else [_scores(*row) for row in heard.tolist()]
        )
        return {
            **{name: float(np.mean([row[name] for row in rows])) for name in rows[0]},
            **dict(zip(("hits", "predicted", "reference"), map(float, sums), strict=True)),
            "utterances": float(len(heard)),
        }

    def _mapped_counts(self) -> list[tuple[int, int, int]]:
        units, labels = [item[0] for item in self._waiting], [item[1] for item in self._waiting]
        order = self._labels.in_order(self._ties)
        if self._units == "mapped":
            mapped = as_labels(units, labels, order)
        else:
            mapped = own_labels(units, labels, order, self._ties)
        return [
            self._count(frames[:, None], labels, tolerance)
            for frames, (_, labels, tolerance) in zip(mapped, self._waiting, strict=True)
        ]

    def _count(self, units: np.ndarray, labels: np.ndarray, tolerance: int) -> tuple[int, int, int]:
        """Return hits, predicted and reference boundaries of units (T, Q) and labels (T,)."""
        labelled = np.flatnonzero(labels >= 0)
        if not len(labelled):
            return 0, 0, 0
        start, stop = labelled[0], labelled[-1] + 1
        reference = self._with_ends(_changes(labels[:, None], start, stop), start, stop)
        inner = _changes(units, start, stop)
        known = (labels[inner - 1] >= 0) | (labels[inner] >= 0)
        predicted = self._with_ends(inner[known], start, stop)
        return self._matching(reference, predicted, tolerance), len(predicted), len(reference)

    def _with_ends(self, inner: np.ndarray, start: int, stop: int) -> np.ndarray:
        first = [start] if self._ends != "drop-both" else []
        last = [stop] if self._ends == "keep" else []
        return np.concatenate([first, inner, last]).astype(np.int64)


def _changes(symbols: np.ndarray, start: int, stop: int) -> np.ndarray:
    """Return the frames in (start, stop) whose symbols (T, Q) differ from those of the frame before."""
    inside = symbols[start:stop]
    return start + 1 + np.flatnonzero((inside[1:] != inside[:-1]).any(axis=1))


def _scores(hits: int, predicted: int, reference: int) -> dict[str, float]:
    precision, recall = hits / max(predicted, 1), hits / reference
    over = predicted / reference - 1
    distances = hypot(1 - recall, over), abs(recall - 1 - over) / sqrt(2)
    return {
        "value": 2 * hits / (predicted + reference),
        "precision": precision,
        "recall": recall,
        "over_segmentation": over,
        "r_value": 1 - sum(distances) / 2,
    }
