"""Pairs of frames on which units and labels agree, adjusted for chance."""

from __future__ import annotations

import numpy as np

from unitdisc_metrics.pair_metric import PairMetric


class ARI(PairMetric):
    """Adjusted Rand index (R - E[R]) / (max R - E[R]) of labels X and units Y (Hubert and Arabie 1985).

    R counts the pairs of frames that share both unit and label, E[R] what unrelated units of the same sizes share,
    max R the mean of the pairs that share a unit and those that share a label. DistSup reports it. Where unrelated
    units would be perfect, too, such as a single unit of a single label, it is 0 (scikit-learn says 1).

    "frames" (or "segments"), "units" and "labels" say from how many labelled ones, different units and different
    labels.

    Args:
        target: Name of a target with one label per frame.
        book: Codebook to score by itself, from 0; null takes the tuple of all codes as the unit.
        over: "frames": every labelled frame counts once. "segments": every run of equal units, with the label of
            most of its frames.
    """

    def compute(self) -> dict[str, float]:
        """Return the index. Raises `DataError` when no frame had a label."""
        pairs = self._pairs.result()
        both, units, labels = (
            _pairs(counts) for counts in (pairs.counts, pairs.unit_counts, pairs.label_counts)
        )
        expected = units * labels / max(_pairs(np.array([pairs.total])), 1.0)
        most = (units + labels) / 2
        return {
            "value": (both - expected) / (most - expected) if most > expected else 0.0,
            **pairs.sizes(self._over),
        }


def _pairs(counts: np.ndarray) -> float:
    """Return how many pairs can be drawn from groups of ``counts`` (N,)."""
    sizes = counts.astype(np.float64)
    return float((sizes * (sizes - 1) / 2).sum())
