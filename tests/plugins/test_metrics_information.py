"""AMI, V-measure and the rival NMIs against scikit-learn; segments against plain loops."""

from __future__ import annotations

from collections import Counter
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
import pytest
from sklearn.metrics import (
    adjusted_mutual_info_score,
    adjusted_rand_score,
    homogeneity_completeness_v_measure,
    normalized_mutual_info_score,
)
from sklearn.metrics.cluster import contingency_matrix, expected_mutual_information

from tests.plugins.metric_oracles import labelled_frames, purity, random_split, score, utterance
from unitdisc.data import TargetSpec
from unitdisc.errors import DataError
from unitdisc.testing import check_metric
from unitdisc_metrics.ami import AMI
from unitdisc_metrics.ari import ARI
from unitdisc_metrics.expected_information import expected_information
from unitdisc_metrics.nmi import NMI
from unitdisc_metrics.pnmi import PNMI
from unitdisc_metrics.purity import Purity
from unitdisc_metrics.v_measure import VMeasure

if TYPE_CHECKING:
    from unitdisc.metric import Evaluated
    from unitdisc_metrics.pair_metric import PairMetric

PHONES = {"phones": TargetSpec("frames", tuple("abcde"))}
MEANS = ("arithmetic", "geometric", "min", "max")
METRICS = [NMI, PNMI, AMI, ARI, VMeasure, Purity]
CASES = range(500)


def drawn(seed: int) -> tuple[list[Evaluated], np.ndarray, np.ndarray]:
    """One utterance of up to 60 frames, with its labels and units as scikit-learn takes them."""
    draw = np.random.default_rng(seed)
    size = int(draw.integers(2, 61))
    labels, units = (draw.integers(0, draw.integers(2, 9), size) for _ in range(2))
    units = np.where(draw.random(size) < draw.random(), labels, units)
    labels[0], labels[1], units[0], units[1] = 0, 1, 0, 1  # never a single label or unit
    return [utterance(units.tolist(), labels.tolist(), num_codes=16)], labels, units


@pytest.mark.parametrize("mean", MEANS)
def test_nmi_and_ami_are_scikit_learns_by_any_mean(mean: str) -> None:
    for seed in CASES:
        split, labels, units = drawn(seed)
        expected = normalized_mutual_info_score(labels, units, average_method=mean)
        assert score(NMI(target="phones", mean=mean), split)["value"] == pytest.approx(expected, abs=1e-9)
        if max(len({*labels}), len({*units})) < len(labels):  # else nothing may be left above chance
            expected = adjusted_mutual_info_score(labels, units, average_method=mean)
            assert score(AMI(target="phones", mean=mean), split)["value"] == pytest.approx(expected, abs=1e-9)


def test_nmi_by_one_entropy_is_homogeneity_or_completeness() -> None:
    for seed in CASES:
        split, labels, units = drawn(seed)
        homogeneity, completeness, _ = homogeneity_completeness_v_measure(labels, units)
        assert score(NMI(target="phones", mean="labels"), split)["value"] == pytest.approx(homogeneity)
        assert score(NMI(target="phones", mean="units"), split)["value"] == pytest.approx(completeness)
        assert score(PNMI(target="phones"), split)["value"] == pytest.approx(homogeneity)


def test_ari_is_scikit_learns() -> None:
    for seed in CASES:
        split, labels, units = drawn(seed)
        if max(len({*labels}), len({*units})) < len(labels):
            expected = adjusted_rand_score(labels, units)
            assert score(ARI(target="phones"), split)["value"] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("beta", [1.0, 0.5, 2.0])
def test_v_measure_is_scikit_learns(beta: float) -> None:
    for seed in CASES:
        split, labels, units = drawn(seed)
        found = score(VMeasure(target="phones", beta=beta), split)
        expected = homogeneity_completeness_v_measure(labels, units, beta=beta)
        assert (found["homogeneity"], found["completeness"], found["value"]) == pytest.approx(expected)


def test_expected_information_is_scikit_learns_also_where_its_tails_are_cut() -> None:
    draw = np.random.default_rng(0)
    for size in (3, 50, 4000, 200_000):
        table = draw.multinomial(size, draw.dirichlet(np.full(60, 0.3))).reshape(12, 5)
        labels, units = (
            np.repeat(np.tile(np.arange(5), 12), table.ravel()),
            np.repeat(np.arange(12).repeat(5), table.ravel()),
        )
        expected = expected_mutual_information(contingency_matrix(labels, units, sparse=True), size)
        found = expected_information(*(np.unique(one, return_counts=True)[1] for one in (units, labels)))
        assert found == pytest.approx(expected / np.log(2), abs=1e-10)


def test_a_hundred_million_frames_have_a_chance_value_in_seconds() -> None:
    units = np.full(200, 500_000)
    found = expected_information(units, np.full(40, 2_500_000))
    assert found == pytest.approx(199 * 39 / (2 * 1e8 * np.log(2)), rel=1e-3)  # the limit for many frames


def test_unrelated_units_have_no_adjusted_information_however_many() -> None:
    draw = np.random.default_rng(0)
    split = [utterance(draw.integers(0, 200, 600).tolist(), draw.integers(0, 9, 600).tolist(), num_codes=200)]
    assert abs(score(AMI(target="phones"), split)["value"]) < 0.02
    assert score(NMI(target="phones"), split)["value"] > 0.2


@pytest.mark.parametrize(("codes", "labels"), [([0, 0, 0], [0, 1, 2]), ([0, 1, 2], [0, 0, 0])])
@pytest.mark.parametrize("metric", [AMI, ARI, NMI, VMeasure])
def test_a_single_unit_or_label_scores_zero(metric: type[PairMetric], codes, labels) -> None:
    assert score(metric(target="phones"), [utterance(codes, labels)])["value"] == 0


def test_units_as_many_as_frames_leave_nothing_above_chance() -> None:
    assert score(AMI(target="phones"), [utterance([0, 1, 2], [2, 0, 1])])["value"] == 0


# Segments


def segments(split: list[Evaluated]) -> list[tuple[tuple[int, ...], int]]:
    """(unit, commonest label) of each run of units, frame by frame."""
    found = []
    for item in split:
        units = [tuple(item.codes[t // item.stride].tolist()) for t in range(item.num_frames)]
        for unit, run in groupby(range(len(units)), key=units.__getitem__):
            met = Counter(label for t in run if (label := int(item.targets["phones"][t])) >= 0)
            if met:
                found.append((unit, min(met, key=lambda label: (-met[label], label))))
    return found


def test_segments_count_once_with_the_label_of_most_of_their_frames() -> None:
    for seed in CASES:
        split = random_split(seed, num_codebooks=1 + seed % 2, stride=1 + seed % 3)[:6]
        pairs = segments(split)
        if not pairs:
            continue
        found = score(Purity(target="phones", over="segments"), split)
        assert found["value"] == pytest.approx(purity(pairs))
        assert found["segments"] == len(pairs)
        assert found["units"] == len({unit for unit, _ in pairs})
        swapped = [((label,), unit) for unit, label in pairs]
        assert found["cluster_purity"] == pytest.approx(purity(swapped))


def test_segment_scores_are_those_of_scikit_learn_on_segments() -> None:
    for seed in CASES:
        split = random_split(seed)
        units, labels = zip(*segments(split), strict=True)
        numbers = [unit[0] for unit in units]
        found = score(VMeasure(target="phones", over="segments"), split)
        expected = homogeneity_completeness_v_measure(labels, numbers)
        assert (found["homogeneity"], found["completeness"], found["value"]) == pytest.approx(expected)


def test_frames_and_segments_differ_where_long_runs_are_pure() -> None:
    split = [utterance([0, 0, 0, 0, 1, 0, 1], [0, 0, 0, 0, 1, 1, 1])]
    assert score(Purity(target="phones"), split)["value"] == 6 / 7
    assert score(Purity(target="phones", over="segments"), split)["value"] == 3 / 4


@pytest.mark.parametrize("metric", METRICS)
def test_split_of_unlabelled_segments_is_refused(metric: type[PairMetric]) -> None:
    with pytest.raises(DataError, match="no labelled frame of target 'phones'"):
        score(metric(target="phones", over="segments"), [utterance([0, 1], [-1, -1]), utterance([])])


@pytest.mark.parametrize("over", ["frames", "segments"])
@pytest.mark.parametrize("metric", METRICS)
def test_scores_of_pairs_keep_the_contract(metric: type[PairMetric], over: str) -> None:
    check_metric(partial(metric, target="phones", over=over), targets=PHONES, num_codebooks=2)


def test_labelled_frames_are_those_counted() -> None:
    split = random_split(0)
    assert score(AMI(target="phones"), split)["frames"] == len(labelled_frames(split))
