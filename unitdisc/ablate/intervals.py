"""Intervals over seeds: Student's t, exact for every whole number of degrees of freedom."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Summary:
    """What several seeds gave.

    Args:
        n: Numbers behind it.
        median: Their median.
        mean: Their mean.
        interval: 95 % t interval of the mean; None from fewer than two numbers, or when one is not finite.
    """

    n: int
    median: float
    mean: float
    interval: tuple[float, float] | None


def summarize(values: Sequence[float]) -> Summary | None:
    """Return the summary of ``values``; None of none."""
    if not values:
        return None
    if not all(map(math.isfinite, values)):
        return Summary(len(values), math.nan, math.nan, None)
    mean = statistics.fmean(values)
    interval = None
    if len(values) > 1:
        error = statistics.stdev(values) / math.sqrt(len(values))
        half = t_quantile((1 + CONFIDENCE) / 2, len(values) - 1) * error
        interval = (mean - half, mean + half)
    return Summary(len(values), statistics.median(values), mean, interval)


def paired(values: Mapping[int, float], baseline: Mapping[int, float]) -> Summary | None:
    """Return the summary of the differences ``values - baseline`` over the seeds that both have."""
    return summarize([values[seed] - baseline[seed] for seed in sorted(values.keys() & baseline.keys())])


def t_probability(t: float, degrees: int) -> float:
    """Return P(T <= t) of Student's distribution, by its finite sum (Abramowitz & Stegun, 26.7.3 and 26.7.4)."""
    angle = math.atan2(t, math.sqrt(degrees))
    sine, cosine = math.sin(angle), math.cos(angle)
    is_odd = degrees % 2
    term, total = (cosine, 0.0) if is_odd else (1.0, 0.0)
    for number in range(is_odd + 1, degrees, 2):
        total += term
        term *= cosine * cosine * number / (number + 1)
    inside = 2 / math.pi * (angle + sine * total) if is_odd else sine * total
    return 0.5 + inside / 2


@cache
def t_quantile(probability: float, degrees: int) -> float:
    """Return t with P(T <= t) = ``probability`` in [0.5, 1), to the last bits, by bisection."""
    low, high = 0.0, 1.0
    while t_probability(high, degrees) < probability:
        low, high = high, 2 * high
    while low < (middle := (low + high) / 2) < high:
        if t_probability(middle, degrees) < probability:
            low = middle
        else:
            high = middle
    return high
