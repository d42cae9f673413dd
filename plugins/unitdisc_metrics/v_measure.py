"""Homogeneity, completeness and V-measure of units."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge

from unitdisc_metrics.co_occurrence import Over
from unitdisc_metrics.entropy import entropy
from unitdisc_metrics.pair_metric import PairMetric


class VMeasure(PairMetric):
    """V-measure (1 + beta) h c / (beta h + c) of labels X and units Y (Rosenberg and Hirschberg 2007).

    "homogeneity" h = I / H(X): units hold one label each; the same number as PNMI. "completeness" c = I / H(Y):
    labels lie in one unit each. With beta = 1 V is NMI by the arithmetic mean. As in the paper h is 1 where there
    is a single label and c is 1 where there is a single unit.

    "frames" (or "segments"), "units" and "labels" say from how many labelled ones, different units and
    different labels.

    Args:
        target: Name of a target with one label per frame.
        book: Codebook to score by itself, from 0; null takes the tuple of all codes as the unit.
        beta: Above 1 completeness weighs more, below 1 homogeneity.
        over: "frames": every labelled frame counts once. "segments": every run of equal units, with the label of
            most of its frames, as in vqwordseg.
    """

    def __init__(
        self,
        *,
        target: str,
        book: Annotated[int, Ge(0)] | None = None,
        beta: Annotated[float, Ge(0)] = 1.0,
        over: Over = "frames",
    ) -> None:
        super().__init__(target=target, book=book, over=over)
        self._beta = beta

    def compute(self) -> dict[str, float]:
        """Return the three numbers. Raises `DataError` when no frame had a label."""
        pairs = self._pairs.result()
        information = pairs.mutual_information()
        labels, units = entropy(pairs.label_counts), entropy(pairs.unit_counts)
        homogeneity = information / labels if labels else 1.0
        completeness = information / units if units else 1.0
        weighted = self._beta * homogeneity + completeness
        return {
            "value": (1 + self._beta) * homogeneity * completeness / weighted if weighted else 0.0,
            "homogeneity": homogeneity,
            "completeness": completeness,
            **pairs.sizes(self._over),
        }
