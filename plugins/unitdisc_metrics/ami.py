"""Mutual information between units and labels, adjusted for chance."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Ge

from unitdisc_metrics.co_occurrence import Over
from unitdisc_metrics.entropy import entropy
from unitdisc_metrics.expected_information import expected_information
from unitdisc_metrics.information_mean import information_mean
from unitdisc_metrics.pair_metric import PairMetric


class AMI(PairMetric):
    """Adjusted mutual information (I - E[I]) / (mean(H(X), H(Y)) - E[I]) of labels X and units Y.

    E[I] is the mean of I over all ways to deal the units out anew, each as often as it occurs (Vinh, Epps and
    Bailey 2010), so that unrelated units score 0 on average however many there are. DistSup reports it. A single
    unit or a single label scores 0, and so do as many units and labels as frames, where chance is perfect, too
    (scikit-learn says 1 where both are single, and there).

    "mutual_information" and "expected_information" are in bits; "frames" (or "segments"), "units" and "labels"
    say from how many labelled ones, different units and different labels.

    Args:
        target: Name of a target with one label per frame.
        book: Codebook to score by itself, from 0; null takes the tuple of all codes as the unit.
        mean: Mean of the two entropies: "arithmetic" (scikit-learn's default today), "geometric", "min" or "max"
            (that of Vinh et al. and of scikit-learn before 0.22).
        over: "frames": every labelled frame counts once. "segments": every run of equal units, with the label of
            most of its frames.
    """

    def __init__(
        self,
        *,
        target: str,
        book: Annotated[int, Ge(0)] | None = None,
        mean: Literal["arithmetic", "geometric", "min", "max"] = "arithmetic",
        over: Over = "frames",
    ) -> None:
        super().__init__(target=target, book=book, over=over)
        self._mean = mean

    def compute(self) -> dict[str, float]:
        """Return the information and its chance value. Raises `DataError` when no frame had a label."""
        pairs = self._pairs.result()
        information = pairs.mutual_information()
        expected = expected_information(pairs.unit_counts, pairs.label_counts)
        whole = information_mean(entropy(pairs.label_counts), entropy(pairs.unit_counts), self._mean)
        # With as many units as frames nothing is left above chance, but for rounding.
        open_to_it = whole - expected if abs(whole - expected) > 1e-12 * max(whole, 1) else 0.0
        return {
            "value": (information - expected) / open_to_it if open_to_it else 0.0,
            "mutual_information": information,
            "expected_information": expected,
            **pairs.sizes(self._over),
        }
