"""Normalised mutual information between units and labels."""

from __future__ import annotations

from unitdisc_metrics.entropy import entropy
from unitdisc_metrics.pair_metric import PairMetric


class NMI(PairMetric):
    """Normalised mutual information I(X; Y) / mean(H(X), H(Y)) of labels X and units Y, over frames.

    The mean is arithmetic, as in DistSup, beer and scikit-learn's ``average_method="arithmetic"``; a
    geometric mean or a maximum gives other numbers. A split with a single unit or a single label has I = 0
    and scores 0 (where both are single scikit-learn says 1).

    "mutual_information", "label_entropy" and "unit_entropy" are in bits; "frames", "units" and "labels" say
    from how many labelled frames, different units and different labels.

    Args:
        target: Name of a target with one label per frame.
        book: Codebook to score by itself, from 0; null takes the tuple of all codes as the unit.
    """

    def compute(self) -> dict[str, float]:
        """Return the information and the entropies. Raises `DataError` when no frame had a label."""
        pairs = self._pairs.result()
        information = pairs.mutual_information()
        labels, units = entropy(pairs.label_counts), entropy(pairs.unit_counts)
        return {
            "value": 2 * information / (labels + units) if labels + units else 0.0,
            "mutual_information": information,
            "label_entropy": labels,
            "unit_entropy": units,
            **pairs.sizes(),
        }
