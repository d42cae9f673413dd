"""Purity of units and labels."""

from __future__ import annotations

import numpy as np

from unitdisc_metrics.pair_metric import PairMetric


class Purity(PairMetric):
    """Phone purity sum_y max_x p(x, y) of labels X and units Y.

    It is the accuracy of the best many-to-one map from units to labels (HuBERT, Hsu et al. 2021; fairseq's
    "ref pur"; DistSup's many-to-one accuracy). vqwordseg counts segments instead of frames.

    "cluster_purity" is sum_x max_y p(x, y) (fairseq's "hyp pur"); "frames" (or "segments"), "units" and
    "labels" say from how many labelled ones, different units and different labels.

    Args:
        target: Name of a target with one label per frame.
        book: Codebook to score by itself, from 0; null takes the tuple of all codes as the unit.
        over: "frames": every labelled frame counts once. "segments": every run of equal units, with the label of
            most of its frames, as in vqwordseg.
    """

    def compute(self) -> dict[str, float]:
        """Return both purities. Raises `DataError` when no frame had a label."""
        pairs = self._pairs.result()
        return {
            "value": _purity(pairs.units, pairs.counts),
            "cluster_purity": _purity(pairs.labels, pairs.counts),
            **pairs.sizes(self._over),
        }


def _purity(groups: np.ndarray, counts: np.ndarray) -> float:
    """Return the share of frames that belong to the largest pair of their group."""
    largest = np.zeros(groups.max() + 1, np.int64)
    np.maximum.at(largest, groups, counts)
    return float(largest.sum() / counts.sum())
