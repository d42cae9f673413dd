"""Share of the labels' entropy that the units explain."""

from __future__ import annotations

from unitdisc_metrics.entropy import entropy
from unitdisc_metrics.pair_metric import PairMetric


class PNMI(PairMetric):
    """Phone-normalised mutual information I(X; Y) / H(X) of labels X and units Y.

    Defined for HuBERT (Hsu et al. 2021; fairseq ``measure_teacher_quality.py``); the same number as
    homogeneity (Rosenberg and Hirschberg 2007). It grows with the number of units, so read it beside its
    chance value. A split with a single label has H(X) = 0, nothing to explain, and scores 0 (homogeneity says
    1).

    "mutual_information" and "label_entropy" are in bits; "frames" (or "segments"), "units" and "labels" say
    from how many labelled ones, different units and different labels.

    Args:
        target: Name of a target with one label per frame.
        book: Codebook to score by itself, from 0; null takes the tuple of all codes as the unit.
        over: "frames": every labelled frame counts once. "segments": every run of equal units, with the label of
            most of its frames.
    """

    def compute(self) -> dict[str, float]:
        """Return the information and the labels' entropy. Raises `DataError` when no frame had a label."""
        pairs = self._pairs.result()
        information, labels = pairs.mutual_information(), entropy(pairs.label_counts)
        return {
            "value": information / labels if labels else 0.0,
            "mutual_information": information,
            "label_entropy": labels,
            **pairs.sizes(self._over),
        }
