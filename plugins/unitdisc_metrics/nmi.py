"""Normalised mutual information between units and labels."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge

from unitdisc_metrics.co_occurrence import Over
from unitdisc_metrics.entropy import entropy
from unitdisc_metrics.information_mean import Mean, information_mean
from unitdisc_metrics.pair_metric import PairMetric


class NMI(PairMetric):
    """Normalised mutual information I(X; Y) / mean(H(X), H(Y)) of labels X and units Y.

    Peers divide by different means, and scikit-learn has changed its own. A split with a single unit or a single
    label has I = 0 and scores 0 (where both are single scikit-learn says 1).

    "mutual_information", "label_entropy" and "unit_entropy" are in bits; "frames" (or "segments"), "units" and
    "labels" say from how many labelled ones, different units and different labels.

    Args:
        target: Name of a target with one label per frame.
        book: Codebook to score by itself, from 0; null takes the tuple of all codes as the unit.
        mean: "arithmetic" as in DistSup and beer (which prints percent), "geometric", "min" or "max" of the two
            entropies; "labels" takes H(X) alone, which is PNMI, and "units" H(Y) alone, as beer once did.
        over: "frames": every labelled frame counts once. "segments": every run of equal units, with the label of
            most of its frames.
    """

    def __init__(
        self,
        *,
        target: str,
        book: Annotated[int, Ge(0)] | None = None,
        mean: Mean = "arithmetic",
        over: Over = "frames",
    ) -> None:
        super().__init__(target=target, book=book, over=over)
        self._mean: Mean = mean

    def compute(self) -> dict[str, float]:
        """Return the information and the entropies. Raises `DataError` when no frame had a label."""
        pairs = self._pairs.result()
        information = pairs.mutual_information()
        labels, units = entropy(pairs.label_counts), entropy(pairs.unit_counts)
        whole = information_mean(labels, units, self._mean)
        return {
            "value": information / whole if whole else 0.0,
            "mutual_information": information,
            "label_entropy": labels,
            "unit_entropy": units,
            **pairs.sizes(self._over),
        }
