"""Accuracy by the map of another split, against plain loops and SciPy."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from tests.plugins.metric_oracles import labelled_frames, random_split, score, utterance
from unitdisc.data import TargetSpec
from unitdisc.errors import DataError, PluginError, RecipeError
from unitdisc.metric import Evaluated
from unitdisc.testing import check_metric
from unitdisc_metrics.purity import Purity
from unitdisc_metrics.unit_accuracy import UnitAccuracy

CASES = range(500)


def taught(there: list[Evaluated], **options: str) -> UnitAccuracy:
    teacher, metric = (UnitAccuracy(target="phones", **options) for _ in range(2))
    for item in there:
        teacher.update(item)
    metric.learn_from(teacher)
    return metric


def test_many_to_one_by_another_split_is_that_of_plain_loops() -> None:
    for seed in CASES:
        split = random_split(seed)
        here, there = split[:7], split[7:]
        met: dict[tuple[int, ...], Counter[int]] = {}
        for unit, label in labelled_frames(there):
            met.setdefault(unit, Counter())[label] += 1
        learnt = {unit: min(seen, key=lambda label: (-seen[label], label)) for unit, seen in met.items()}
        pairs = labelled_frames(here)
        found = score(taught(there), here)
        assert found["value"] == pytest.approx(sum(learnt.get(u) == x for u, x in pairs) / len(pairs))
        assert found["same"] == pytest.approx(score(Purity(target="phones"), here)["value"])
        assert found["gap"] == pytest.approx(found["same"] - found["value"])
        assert found["frames"] == len(pairs)


def test_one_to_one_by_another_split_is_that_of_scipy() -> None:
    optimize = pytest.importorskip("scipy.optimize")
    for seed in CASES:
        split = random_split(seed)
        here, there = split[:7], split[7:]
        pairs, others = labelled_frames(here), labelled_frames(there)
        units, labels = sorted({u for u, _ in pairs + others}), sorted({x for _, x in others})
        labels += sorted({x for _, x in pairs} - {*labels})
        counts = np.array([[others.count((u, x)) for x in labels] for u in units])
        places = zip(*optimize.linear_sum_assignment(counts, maximize=True), strict=True)
        learnt = {units[y]: labels[x] for y, x in places if counts[y, x]}
        expected = sum(learnt.get(u) == x for u, x in pairs) / len(pairs)
        assert score(taught(there, map="one-to-one"), here)["value"] == pytest.approx(expected)


@pytest.mark.parametrize("ties", ["lowest", "frequent"])
@pytest.mark.parametrize("kind", ["many-to-one", "one-to-one"])
def test_what_is_learnt_on_the_same_split_has_no_gap(kind: str, ties: str) -> None:
    for seed in range(50):
        split = random_split(seed)
        found = score(taught(split, map=kind, ties=ties), split)
        assert found["gap"] == 0
        assert found["value"] == score(UnitAccuracy(target="phones", map=kind, ties=ties), split)["value"]


def test_a_tie_goes_where_the_other_split_says() -> None:
    # Unit 3 meets 0 and 1 equally often there, where 1 is the more frequent label.
    there = [utterance([3, 3, 4], [0, 1, 1])]
    here = [utterance([3, 3, 3, 5], [1, 0, 0, 0])]
    assert score(taught(there, ties="lowest"), here)["value"] == 0.5
    assert score(taught(there, ties="frequent"), here)["value"] == 0.25


def test_a_unit_that_the_other_split_lacks_is_wrong() -> None:
    assert score(taught([utterance([0], [0])]), [utterance([0, 7], [0, 0])])["value"] == 0.5


@pytest.mark.parametrize("ties", ["lowest", "frequent"])
def test_one_to_one_gives_no_label_to_a_unit_that_the_other_split_lacks(ties: str) -> None:
    metric = taught([utterance([1, 1], [0, 0])], map="one-to-one", ties=ties)
    assert score(metric, [utterance([1, 1, 2, 2], [0, 0, 1, 1])])["value"] == 0.5


def test_what_cannot_be_learnt_is_named() -> None:
    with pytest.raises(DataError, match="in the split that maps are learnt on"):
        score(taught([utterance([0], [-1])]), [utterance([0], [0])])
    with pytest.raises(RecipeError, match="fit halves learns the map on other speakers"):
        taught([], fit="halves")
    with pytest.raises(PluginError, match="Purity learns nothing; look at `learns` first"):
        Purity(target="phones").learn_from(Purity(target="phones"))


def test_parts_that_learnt_alike_merge_to_the_whole() -> None:
    split = random_split(0)
    teacher = UnitAccuracy(target="phones")
    for item in split[10:]:
        teacher.update(item)
    parts = [UnitAccuracy(target="phones") for _ in range(3)]
    for part in parts:
        part.learn_from(teacher)
    whole, *rest = parts
    for number, item in enumerate(split[:10]):
        parts[number % 3].update(replace(item, key=f"k{number}"))
    for part in rest:
        whole.merge(part)
    assert whole.compute() == pytest.approx(score(taught(split[10:]), split[:10]))


class Doubling(UnitAccuracy):
    """Counts what its teacher has taken in once more, there."""

    def learn_from(self, other: UnitAccuracy) -> None:
        super().learn_from(other)
        other.merge(other)


def test_a_metric_that_changes_what_it_learns_from_breaks_a_law() -> None:
    phones = {"phones": TargetSpec("frames", tuple("abcde"))}
    with pytest.raises(AssertionError, match="learns from another one leaves it alone"):
        check_metric(partial(Doubling, target="phones"), targets=phones)
