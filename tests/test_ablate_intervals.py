"""Intervals over seeds, against tables, scipy and arithmetic by hand."""

from __future__ import annotations

import math
import random

import pytest

from unitdisc.ablate.intervals import paired, summarize, t_probability, t_quantile

T2 = 0.95 / math.sqrt(
    2 * 0.975 * 0.025
)  # quantile 0.975 of Student's t with 2 degrees of freedom, closed form


@pytest.mark.parametrize(
    ("degrees", "quantile"),
    # Two-sided 95 %, from any printed table.
    [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (5, 2.571), (9, 2.262), (30, 2.042), (120, 1.980)],
)
def test_quantiles_are_those_of_the_tables(degrees, quantile):
    assert t_quantile(0.975, degrees) == pytest.approx(quantile, abs=6e-4)


def test_one_and_two_degrees_of_freedom_have_closed_forms():
    for probability in (0.6, 0.9, 0.975, 0.9995):
        assert t_quantile(probability, 1) == pytest.approx(math.tan(math.pi * (probability - 0.5)), rel=1e-12)
        closed = (2 * probability - 1) * math.sqrt(1 / (2 * probability * (1 - probability)))
        assert t_quantile(probability, 2) == pytest.approx(closed, rel=1e-12)


def test_quantiles_and_probabilities_are_those_of_scipy():
    stats = pytest.importorskip("scipy.stats")
    for degrees in (*range(1, 60), 99, 100, 999, 1000):
        for probability in (0.75, 0.95, 0.975, 0.995):
            expected = stats.t.ppf(probability, degrees)
            assert t_quantile(probability, degrees) == pytest.approx(expected, rel=1e-9)
        for t in (-3.0, -0.2, 0.0, 0.7, 5.0):
            assert t_probability(t, degrees) == pytest.approx(stats.t.cdf(t, degrees), abs=1e-12)


def test_a_summary_is_what_arithmetic_by_hand_gives():
    found = summarize([2.0, 4.0, 9.0])  # mean 5, variance (9 + 1 + 16) / 2 = 13
    half = T2 * math.sqrt(13 / 3)
    assert (found.n, found.median, found.mean) == (3, 4.0, 5.0)
    assert found.interval == pytest.approx((5 - half, 5 + half), rel=1e-12)


def test_a_paired_interval_is_what_arithmetic_by_hand_gives_over_common_seeds():
    ours = {1: 10.0, 2: 25.0, 3: 31.0, 9: 1e6}
    base = {3: 30.0, 2: 20.0, 1: 7.0, 4: -1e6}  # differences 3, 5, 1: mean 3, variance 4
    half = T2 * math.sqrt(4 / 3)
    found = paired(ours, base)
    assert (found.n, found.mean, found.median) == (3, 3.0, 3.0)
    assert found.interval == pytest.approx((3 - half, 3 + half), rel=1e-12)


def test_pairing_removes_what_seeds_have_in_common():
    rng = random.Random(0)
    base = {seed: rng.gauss(0, 100) for seed in range(5)}
    ours = {seed: value + 1 + rng.gauss(0, 0.1) for seed, value in base.items()}
    low, high = paired(ours, base).interval
    assert 0.7 < low < 1 < high < 1.3


def test_the_interval_holds_the_true_mean_in_95_percent_of_trials():
    rng = random.Random(1)
    trials = 4000
    held = 0
    for _ in range(trials):
        low, high = summarize([rng.gauss(3, 2) for _ in range(3)]).interval
        held += low <= 3 <= high
    assert held / trials == pytest.approx(0.95, abs=0.011)  # three standard errors


def test_too_little_gives_no_interval():
    assert summarize([]) is None
    assert summarize([1.5]).interval is None
    assert paired({1: 2.0}, {2: 2.0}) is None
    for bad in (math.nan, math.inf):
        found = summarize([1.0, bad, 2.0])
        assert found.n == 3
        assert math.isnan(found.mean)
        assert found.interval is None
