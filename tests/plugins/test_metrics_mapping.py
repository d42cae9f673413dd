"""Accuracy and error rate of units that stand for labels, against SciPy and plain loops."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.plugins.metric_oracles import labelled_frames, merged, purity, random_split, score, utterance
from unitdisc.data import TargetSpec
from unitdisc.errors import DataError, RecipeError
from unitdisc.testing import check_metric
from unitdisc_metrics.assignment import best_assignment
from unitdisc_metrics.label_counts import LabelCounts
from unitdisc_metrics.mapped_per import MappedPER
from unitdisc_metrics.purity import Purity
from unitdisc_metrics.unit_accuracy import UnitAccuracy
from unitdisc_metrics.unit_labels import fitted, halves

if TYPE_CHECKING:
    from unitdisc.metric import Evaluated, Metric

PHONES = {"phones": TargetSpec("frames", tuple("abcde"))}
CASES = range(500)


def spoken(seed: int, **options: int) -> list[Evaluated]:
    """A random split of four speakers."""
    split = random_split(seed, **options)
    return [replace(item, fields={"speaker": f"s{n % 4}"}) for n, item in enumerate(split)]


def levenshtein(a: list[int], b: list[int]) -> int:
    row = list(range(len(b) + 1))
    for i, x in enumerate(a):
        diagonal, row[0] = row[0], i + 1
        for j, y in enumerate(b):
            diagonal, row[j + 1] = row[j + 1], min(row[j] + 1, row[j + 1] + 1, diagonal + (x != y))
    return row[-1]


def commonest(pairs: list[tuple[tuple[int, ...], int]]) -> dict[tuple[int, ...], int]:
    met: dict[tuple[int, ...], Counter[int]] = {}
    for unit, label in pairs:
        met.setdefault(unit, Counter())[label] += 1
    return {unit: min(seen, key=lambda label: (-seen[label], label)) for unit, seen in met.items()}


def spelt(item: Evaluated, labels: dict[tuple[int, ...], int]) -> list[int]:
    """The labels that units stand for, frame by frame, merged."""
    frames = [
        labels.get(tuple(item.codes[t // item.stride].tolist()), -1) if known >= 0 else -1
        for t, known in enumerate(item.targets["phones"].tolist())
    ]
    return merged(frames)


def rate(split: list[Evaluated], labels: dict[str, dict[tuple[int, ...], int]]) -> float:
    references = [merged(item.targets["phones"].tolist()) for item in split]
    edits = [
        levenshtein(spelt(item, labels[item.fields["speaker"]]), reference)
        for item, reference in zip(split, references, strict=True)
    ]
    return 100 * sum(edits) / sum(map(len, references))


# One label of its own for each unit


def test_assignment_is_scipys_where_several_are_the_best_too() -> None:
    optimize = pytest.importorskip("scipy.optimize")
    for seed in CASES:
        draw = np.random.default_rng(seed)
        counts = draw.integers(0, 1 + draw.integers(1, 50), draw.integers(1, 12, 2))
        rows, columns = optimize.linear_sum_assignment(counts, maximize=True)
        labels = best_assignment(counts)
        assert np.flatnonzero(labels >= 0).tolist() == rows.tolist()
        assert labels[rows].tolist() == columns.tolist()


def test_assignment_of_many_units_is_as_good_as_scipys() -> None:
    optimize = pytest.importorskip("scipy.optimize")
    counts = np.random.default_rng(0).integers(0, 10**6, (2000, 45))
    rows, columns = optimize.linear_sum_assignment(counts, maximize=True)
    labels = best_assignment(counts)
    units = np.flatnonzero(labels >= 0)
    assert counts[units, labels[units]].sum() == counts[rows, columns].sum()


# Ties


def chosen(pairs: list[tuple[tuple[int, ...], int]]) -> dict[tuple[int, ...], int]:
    """The label of each unit: met most often, else most frequent, else first met last."""
    names = [label for _, label in pairs]
    met = {unit: Counter(label for other, label in pairs if other == unit) for unit, _ in pairs}
    return {
        unit: max(seen, key=lambda label: (seen[label], names.count(label), names.index(label)))
        for unit, seen in met.items()
    }


def test_lowest_of_two_labels_is_taken_unless_the_frequent_one_is_asked_for() -> None:
    split = [utterance([0, 0, 1], [0, 1, 1])]  # unit 0 meets both once
    assert score(MappedPER(target="phones"), split)["value"] == 0
    assert score(MappedPER(target="phones", ties="frequent"), split)["value"] == 50


@pytest.mark.parametrize(("first", "second", "expected"), [("a", "b", 1), ("b", "a", 0)])
def test_of_labels_as_frequent_the_one_that_first_comes_last_by_id_is_taken(
    first: str, second: str, expected: int
) -> None:
    counts = LabelCounts(), LabelCounts()
    counts[0].add(first, np.array([0, -1, 0, 1]))
    counts[1].add(second, np.array([1]))
    counts[0].merge(counts[1])
    assert counts[0].in_order("frequent").tolist() == [expected, 1 - expected]
    assert counts[0].in_order("lowest").tolist() == [0, 1]


def test_frequent_labels_are_those_of_plain_loops() -> None:
    for seed in CASES:
        split = spoken(seed, num_codebooks=1 + seed % 2)[:3]
        pairs = labelled_frames(split)
        if pairs:
            labels = dict.fromkeys(("s0", "s1", "s2", "s3"), chosen(pairs))
            found = score(MappedPER(target="phones", ties="frequent"), split)
            assert found["value"] == pytest.approx(rate(split, labels))


def test_frequent_labels_choose_their_units_as_scipys_assignment_does() -> None:
    optimize = pytest.importorskip("scipy.optimize")
    for seed in CASES:
        draw = np.random.default_rng(seed)
        num_units, num_labels = draw.integers(1, 9, 2).tolist()
        counts = draw.integers(0, 4, (num_units, num_labels))
        square = np.zeros((num_labels, max(num_units, num_labels)))
        square[:, :num_units] = counts.T
        places, units = optimize.linear_sum_assignment(square, maximize=True)
        expected = {unit: place for place, unit in zip(places, units, strict=True) if unit < num_units}
        labels = fitted(counts, "one-to-one", "frequent")
        occurs = counts.any(axis=1)
        assert labels.tolist() == [
            expected.get(unit, -1) if occurs[unit] else -1 for unit in range(num_units)
        ]


def test_unit_gets_a_label_that_it_never_meets_only_where_ties_are_frequent() -> None:
    counts = np.array([[3, 0], [2, 0]])
    assert fitted(counts, "one-to-one").tolist() == [0, -1]
    assert fitted(counts, "one-to-one", "frequent").tolist() == [0, 1]


# Accuracy


def test_many_to_one_on_the_same_frames_is_purity() -> None:
    for seed in CASES:
        split = random_split(seed, num_codebooks=1 + seed % 2)[:8]
        pairs = labelled_frames(split)
        if pairs:
            found = score(UnitAccuracy(target="phones"), split)
            assert found["value"] == score(Purity(target="phones"), split)["value"]
            assert found["value"] == pytest.approx(purity(pairs))


def test_one_to_one_is_scipys_assignment() -> None:
    optimize = pytest.importorskip("scipy.optimize")
    for seed in CASES:
        pairs = labelled_frames(split := random_split(seed)[:8])
        if not pairs:
            continue
        counts = np.zeros((8, 5))
        for (unit,), label in pairs:
            counts[unit, label] += 1
        expected = counts[optimize.linear_sum_assignment(counts, maximize=True)].sum() / len(pairs)
        assert score(UnitAccuracy(target="phones", map="one-to-one"), split)["value"] == expected


def test_maps_of_the_other_half_are_those_of_plain_loops() -> None:
    for seed in CASES:
        split = spoken(seed)[:10]
        parts = halves({f"s{n}" for n in range(4)}, seed)
        sides = [[item for item in split if parts[item.fields["speaker"]] == side] for side in (0, 1)]
        learnt = [commonest(labelled_frames(side)) for side in sides]
        right = [
            learnt[1 - side].get(unit) == label
            for side in (0, 1)
            for unit, label in labelled_frames(sides[side])
        ]
        found = score(UnitAccuracy(target="phones", fit="halves", seed=seed), split)
        assert found["value"] == pytest.approx(sum(right) / len(right))
        assert found["same"] == pytest.approx(purity(labelled_frames(split)))
        assert found["gap"] == pytest.approx(found["same"] - found["value"])


def test_units_of_one_frame_each_are_perfect_on_themselves_and_wrong_on_others() -> None:
    codes, labels = list(range(8)), [0, 1, 0, 1, 0, 1, 0, 1]
    split = [
        replace(utterance(codes[:4], labels[:4]), fields={"speaker": "a"}),
        replace(utterance(codes[4:], labels[4:]), fields={"speaker": "b"}),
    ]
    found = score(UnitAccuracy(target="phones", fit="halves"), split)
    assert (found["value"], found["same"], found["gap"]) == (0, 1, 1)


def test_halves_deal_the_speakers_out_evenly_and_by_seed() -> None:
    names = {f"s{n}" for n in range(9)}
    dealt = [halves(names, seed) for seed in range(20)]
    assert all(4 <= sum(parts.values()) <= 5 for parts in dealt)
    assert dealt[0] == halves(names, 0)
    assert len({tuple(parts.values()) for parts in dealt}) > 10


# Error rate


def test_mapped_per_is_that_of_plain_loops() -> None:
    for seed in CASES:
        split = spoken(seed, num_codebooks=1 + seed % 2)[:10]
        labels = commonest(labelled_frames(split))
        found = score(MappedPER(target="phones"), split)
        assert found["value"] == pytest.approx(rate(split, dict.fromkeys(("s0", "s1", "s2", "s3"), labels)))


def test_mapped_per_by_the_other_half_is_that_of_plain_loops() -> None:
    for seed in CASES:
        split = spoken(seed)
        parts = halves({f"s{n}" for n in range(4)}, 0)
        sides = [[item for item in split if parts[item.fields["speaker"]] == side] for side in (0, 1)]
        learnt = [commonest(labelled_frames(side)) for side in sides]
        found = score(MappedPER(target="phones", fit="halves"), split)
        expected = rate(split, {speaker: learnt[1 - part] for speaker, part in parts.items()})
        assert found["value"] == pytest.approx(expected)
        assert found["same"] == score(MappedPER(target="phones"), split)["value"]
        assert found["gap"] == pytest.approx(found["value"] - found["same"])


def test_units_that_are_the_labels_make_no_error() -> None:
    split = [utterance([3, 3, 4, 3, 5], [0, 0, 1, 0, 2]), utterance([4], [1])]
    for kind in ("many-to-one", "one-to-one"):
        assert score(MappedPER(target="phones", map=kind), split)["value"] == 0


def test_units_of_one_label_merge_unless_each_needs_its_own() -> None:
    split = [utterance([0, 0, 1, 2], [0, 0, 0, 1])]
    assert score(MappedPER(target="phones"), split)["value"] == 0
    # One to one, unit 1 stands for nothing and is left out.
    assert score(MappedPER(target="phones", map="one-to-one"), split)["value"] == 0


def test_mapped_per_can_be_the_mean_of_the_utterances_rates() -> None:
    split = [utterance([0, 0, 2, 2], [0, 0, 1, 1]), utterance([0, 2], [0, 0])]  # right; 1 insertion into 1
    assert score(MappedPER(target="phones"), split)["value"] == pytest.approx(100 / 3)
    assert score(MappedPER(target="phones", average="utterance"), split)["value"] == 50


# What can be wrong


@pytest.mark.parametrize("metric", [UnitAccuracy, MappedPER])
def test_one_speaker_has_no_other_half(metric: type[Metric]) -> None:
    item = replace(utterance([0], [0]), fields={"speaker": "a"})
    with pytest.raises(DataError, match="found 1 speaker, too few"):
        score(metric(target="phones", fit="halves"), [item])


@pytest.mark.parametrize("metric", [UnitAccuracy, MappedPER])
@pytest.mark.parametrize("split", [[], [utterance([1, 2], [-1, -1])], [utterance([])]])
def test_split_without_labels_is_refused(metric: type[Metric], split: list[Evaluated]) -> None:
    with pytest.raises(DataError, match="no labelled frame of target 'phones'"):
        score(metric(target="phones"), split)


@pytest.mark.parametrize("metric", [UnitAccuracy, MappedPER])
def test_field_of_the_speakers_has_to_exist(metric: type[Metric]) -> None:
    with pytest.raises(RecipeError, match="no field 'writer'"):
        score(metric(target="phones", fit="halves", field="writer"), [utterance([0], [0])])


@pytest.mark.parametrize("ties", ["lowest", "frequent"])
@pytest.mark.parametrize("fit", ["same", "halves"])
@pytest.mark.parametrize("kind", ["many-to-one", "one-to-one"])
@pytest.mark.parametrize("metric", [UnitAccuracy, MappedPER])
def test_mapped_scores_keep_the_contract(metric: type[Metric], kind: str, fit: str, ties: str) -> None:
    check_metric(
        partial(metric, target="phones", map=kind, fit=fit, ties=ties), targets=PHONES, num_codebooks=2
    )
