"""Boundaries against brute-force matchings and the table of conventions, worked by hand."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import permutations
from math import sqrt

import numpy as np
import pytest

from tests.plugins.metric_oracles import labelled_frames, random_split, score, utterance
from unitdisc.data import TargetSpec
from unitdisc.errors import DataError, RecipeError
from unitdisc.metric import Evaluated
from unitdisc.testing import check_metric
from unitdisc_metrics.boundaries import Boundaries
from unitdisc_metrics.boundary_matching import nearest, one_to_one, window
from unitdisc_metrics.majority import as_labels

PHONES = {"phones": TargetSpec("frames", ("a", "b", "c"))}
boundaries = partial(Boundaries, target="phones", tolerance=2)  # columns: the oracles' frames have no rate


def largest_matching(reference: list[int], predicted: list[int], tolerance: int) -> int:
    """Try every order in which the shorter side may take its partners."""
    few, many = sorted((reference, predicted), key=len)
    return max(
        sum(abs(a - b) <= tolerance for a, b in zip(few, order, strict=True))
        for order in permutations(many, len(few))
    )


def found_in_order(reference: list[int], predicted: list[int], tolerance: int) -> int:
    """Give each predicted boundary the first free reference, as vqwordseg does."""
    free, hits = list(reference), 0
    for place in predicted:
        near = [other for other in free if abs(other - place) <= tolerance]
        if near:
            free.remove(near[0])
            hits += 1
    return hits


def nearest_free(reference: list[int], predicted: list[int], tolerance: int) -> int:
    free, hits = list(reference), 0
    for place in predicted:
        closest = min(free, key=lambda other: (abs(other - place), other), default=None)
        if closest is not None and abs(closest - place) <= tolerance:
            free.remove(closest)
            hits += 1
    return hits


def filled_windows(reference: list[int], predicted: list[int], tolerance: int) -> int:
    """Cut overlapping windows in the middle; the middle itself belongs to the earlier one."""
    hits = 0
    for index, place in enumerate(reference):
        low, high = float(place - tolerance), float(place + tolerance)
        if index and (reference[index - 1] + place) / 2 >= low:
            low = (reference[index - 1] + place) / 2 + 0.25
        if index + 1 < len(reference):
            high = min(high, (place + reference[index + 1]) / 2)
        hits += any(low <= other <= high for other in predicted)
    return hits


def drawn(seed: int) -> tuple[list[int], list[int], int]:
    draw = np.random.default_rng(seed)
    sizes = draw.integers(0, 6, 2)
    reference, predicted = (sorted(draw.choice(20, size, replace=False).tolist()) for size in sizes)
    return reference, predicted, int(draw.integers(0, 4))


@pytest.mark.parametrize(
    ("fast", "slow"),
    [
        (one_to_one, largest_matching),
        (one_to_one, found_in_order),
        (nearest, nearest_free),
        (window, filled_windows),
    ],
)
def test_matching_equals_its_definition(fast, slow) -> None:
    for seed in range(500):
        reference, predicted, tolerance = drawn(seed)
        expected = slow(reference, predicted, tolerance)
        assert fast(np.array(reference, int), np.array(predicted, int), tolerance) == expected


def test_conventions_differ_where_two_references_are_near() -> None:
    reference, predicted = np.array([5, 7]), np.array([6, 8])
    assert one_to_one(reference, predicted, 1) == 2  # 6 with 5, 8 with 7
    assert nearest(np.array([4, 7]), np.array([6, 8]), 2) == 1  # 6 takes 7, nothing is left for 8
    assert one_to_one(np.array([4, 7]), np.array([6, 8]), 2) == 2
    assert window(reference, np.array([7, 8]), 1) == 1  # both lie in the window of 7
    assert one_to_one(reference, np.array([6, 7]), 1) == 2


def test_scores_are_those_of_the_formulas() -> None:
    item = utterance([0, 1, 1, 2, 2, 3, 3, 3], [0, 0, 0, 1, 1, 1, 1, 2])  # 1, 3, 5 against 3, 7
    found = score(Boundaries(target="phones", tolerance=0), [item])
    assert (found["hits"], found["predicted"], found["reference"]) == (1, 3, 2)
    assert found["precision"] == pytest.approx(1 / 3)
    assert found["recall"] == pytest.approx(1 / 2)
    assert found["value"] == pytest.approx(2 / 5)
    assert found["over_segmentation"] == pytest.approx(found["recall"] / found["precision"] - 1)
    first, second = sqrt(0.5**2 + 0.5**2), (-0.5 + 0.5 - 1) / sqrt(2)
    assert found["r_value"] == pytest.approx(1 - (abs(first) + abs(second)) / 2)


def test_perfect_boundaries_score_one_everywhere() -> None:
    found = score(boundaries(), [utterance([3, 3, 4, 4], [0, 0, 1, 1])])
    assert (found["value"], found["r_value"], found["over_segmentation"]) == (1, 1, 0)


def test_units_that_never_change_find_nothing() -> None:
    found = score(boundaries(), [utterance([0, 0, 0, 0], [0, 0, 1, 1])])
    assert (found["value"], found["precision"], found["recall"], found["over_segmentation"]) == (0, 0, 0, -1)


def test_tolerance_is_in_seconds_of_the_frame_rate() -> None:
    item = utterance([0, 0, 0, 1, 1, 1], [0, 1, 1, 1, 1, 1])
    fast = Evaluated(**{**vars(item), "frame_rate": 100.0})
    slow = Evaluated(**{**vars(item), "frame_rate": 50.0})
    assert score(Boundaries(target="phones"), [fast])["hits"] == 1  # two frames of 10 ms
    assert score(Boundaries(target="phones"), [slow])["hits"] == 0
    assert score(Boundaries(target="phones", tolerance=0.04), [slow])["hits"] == 1
    far = utterance([0] * 29 + [1] * 31, [0] * 58 + [1] * 2)
    fast = Evaluated(**{**vars(far), "frame_rate": 100.0})  # 0.29 * 100 is a little less than 29
    assert score(Boundaries(target="phones", tolerance=0.29), [fast])["hits"] == 1


def test_units_begin_at_multiples_of_the_stride() -> None:
    item = utterance([0, 0, 1, 1], [0, 0, 0, 0, 1, 1, 1], stride=2)
    found = score(Boundaries(target="phones", tolerance=0), [item])
    assert (found["hits"], found["predicted"]) == (1, 1)


def test_one_of_several_codebooks_may_be_scored() -> None:
    item = utterance([[0, 0], [0, 1], [1, 1]], [0, 0, 1])
    assert score(boundaries(), [item])["predicted"] == 2
    assert score(boundaries(book=0), [item])["predicted"] == 1


def test_unlabelled_frames_are_cut_off_at_the_ends_and_bounded_inside() -> None:
    codes = [0, 1, 2, 3, 4, 5, 6, 7]
    found = score(boundaries(tolerance=0), [utterance(codes, [-1, 0, 0, -1, -1, 0, -1, -1])])
    assert found["reference"] == 2  # at 3 and 5
    assert found["predicted"] == 3  # at 2, 3, 5: not 4, within the gap, nor 1 and 6, its outer edges
    assert found["hits"] == 2


def test_ends_are_counted_on_request() -> None:
    item = utterance([0, 1, 1, 1], [0, 0, 0, 1])
    counts = {
        ends: [score(boundaries(tolerance=0, ends=ends), [item])[name] for name in ("hits", "reference")]
        for ends in ("drop-both", "drop-last", "keep")
    }
    assert counts == {"drop-both": [0, 1], "drop-last": [1, 2], "keep": [2, 3]}


def test_mean_over_utterances_is_the_mean_of_their_own_scores() -> None:
    split = [item for item in random_split(0) if item.num_frames > 12]
    alone = [score(boundaries(), [item]) for item in split]
    split.append(utterance([0, 1], [0, 0]))  # has no boundary to find
    found = score(boundaries(average="utterance"), split)
    for name in ("value", "precision", "recall", "over_segmentation", "r_value"):
        assert found[name] == pytest.approx(np.mean([one[name] for one in alone]))


def test_units_of_one_phone_are_merged_when_mapped() -> None:
    split = [utterance([0, 1, 2, 2], [0, 0, 1, 1]), utterance([0, 2], [0, 1])]
    assert score(boundaries(tolerance=0), split)["predicted"] == 3
    found = score(boundaries(tolerance=0, units="mapped"), split)
    assert (found["predicted"], found["value"]) == (2, 1)


def test_mapping_is_that_of_a_dictionary_of_counts() -> None:
    split = random_split(1, num_codebooks=2, stride=1)
    units, labels = [item.codes for item in split], [item.targets["phones"] for item in split]
    for heard, found in zip(units, as_labels(units, labels), strict=True):
        for unit, label in zip(heard, found, strict=True):
            met = np.concatenate(
                [known[(one == unit).all(axis=1)] for one, known in zip(units, labels, strict=True)]
            )
            counts = np.bincount(met[met >= 0], minlength=1)
            assert label == (counts.argmax() if counts.max() else -1)


def test_unit_of_two_labels_can_stand_for_the_frequent_one() -> None:
    split = [utterance([0, 0, 1], [0, 1, 1])]
    assert score(boundaries(tolerance=0, units="mapped"), split)["predicted"] == 1  # unit 0 is label 0
    assert score(boundaries(tolerance=0, units="mapped", ties="frequent"), split)["predicted"] == 0


def test_of_labels_met_equally_often_the_first_in_order_is_taken() -> None:
    units, labels = [np.zeros((4, 1), int)], [np.array([2, 1, 0, -1])]
    assert as_labels(units, labels)[0].tolist() == [0] * 4
    assert as_labels(units, labels, np.array([1, 2, 0]))[0].tolist() == [1] * 4


@pytest.mark.parametrize(
    "options",
    [
        {"units": "raw"},
        {"units": "mapped"},
        {"units": "mapped", "ties": "frequent"},
        {"units": "mapped-one-to-one"},
        {"units": "mapped-one-to-one", "ties": "frequent"},
    ],
)
@pytest.mark.parametrize("matching", ["one-to-one", "nearest", "window"])
def test_boundaries_keep_the_contract(matching: str, options: dict[str, str]) -> None:
    check_metric(partial(Boundaries, target="phones", matching=matching, **options), targets=PHONES)


def test_units_with_labels_of_their_own_are_those_of_scipys_assignment() -> None:
    optimize = pytest.importorskip("scipy.optimize")
    for seed in range(500):
        split = random_split(seed)[:6]
        pairs = [(unit, label) for (unit,), label in labelled_frames(split)]
        units, labels = (sorted({*column}) for column in zip(*pairs, strict=True)) if pairs else ([], [])
        counts = np.array([[pairs.count((unit, label)) for label in labels] for unit in units])
        if len(labels) < 2:
            continue
        chosen = zip(*optimize.linear_sum_assignment(counts, maximize=True), strict=True)
        stands = {units[row]: labels[column] for row, column in chosen if counts[row, column]}
        names = [[stands.get(unit, 7) for (unit,) in item.codes.tolist()] for item in split]
        renamed = [
            replace(item, codes=np.array(own, np.int64)[:, None])
            for item, own in zip(split, names, strict=True)
        ]
        assert score(boundaries(units="mapped-one-to-one"), split) == score(boundaries(), renamed)


@pytest.mark.parametrize("units", ["raw", "mapped", "mapped-one-to-one"])
def test_split_without_a_boundary_is_refused(units: str) -> None:
    with pytest.raises(DataError, match="no boundary"):
        score(boundaries(units=units), [utterance([0, 1], [0, 0]), utterance([], [])])


def test_unknown_target_is_refused_with_those_that_exist() -> None:
    with pytest.raises(RecipeError, match=r"no target 'words' to score \(accepted: phones\)"):
        Boundaries(target="words").update(utterance([0], [0]))
