"""The mean of two entropies by which mutual information is divided; the choice of it sets rival scores apart."""

from __future__ import annotations

from math import sqrt
from typing import Literal

Mean = Literal["arithmetic", "geometric", "min", "max", "labels", "units"]


def information_mean(labels: float, units: float, mean: Mean) -> float:
    """Return the mean of the labels' and the units' entropy; "labels" and "units" take one of them alone."""
    return {
        "arithmetic": (labels + units) / 2,
        "geometric": sqrt(labels * units),
        "min": min(labels, units),
        "max": max(labels, units),
        "labels": labels,
        "units": units,
    }[mean]
