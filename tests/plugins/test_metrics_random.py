"""Metrics that look at one thing at a time, on 500 random splits each, against plain loops."""

from __future__ import annotations

from dataclasses import replace
from math import sqrt
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.plugins.metric_oracles import entropy, labelled_frames, merged, random_split, score
from tests.plugins.test_boundaries import filled_windows, nearest_free
from tests.plugins.test_metrics_mapping import commonest, levenshtein
from unitdisc_metrics.boundaries import Boundaries
from unitdisc_metrics.frame_accuracy import FrameAccuracy
from unitdisc_metrics.per import PER
from unitdisc_metrics.perplexity import Perplexity
from unitdisc_metrics.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from unitdisc.metric import Evaluated


def largest_matching(reference: list[int], predicted: list[int], tolerance: int) -> int:
    optimize = pytest.importorskip("scipy.optimize")
    near = np.abs(np.subtract.outer(reference, predicted)) <= tolerance
    return int(near[optimize.linear_sum_assignment(near, maximize=True)].sum()) if near.size else 0


SLOW = {"one-to-one": largest_matching, "nearest": nearest_free, "window": filled_windows}


def splits(stride: int = 3) -> Iterator[list[Evaluated]]:
    """500 splits of up to five utterances that hold a frame, with a head that is right half of the time."""
    for seed in range(500):
        draw = np.random.default_rng(seed)
        found = []
        for item in random_split(seed, num_codebooks=1 + seed % 2, stride=stride)[:5]:
            labels = item.targets["phones"]
            guess = np.where(draw.random(item.num_frames) < 0.5, labels, draw.integers(0, 5, item.num_frames))
            found.append(replace(item, predictions={"probe": guess, "ctc": guess[guess >= 0][::3]}))
        if labelled_frames(found):
            yield found


def test_perplexity_and_usage_are_those_of_plain_loops() -> None:
    for split in splits():
        books = list(zip(*(unit for item in split for unit in item.codes.tolist()), strict=True))
        assert score(Perplexity(), split)["value"] == pytest.approx(
            np.mean([2 ** entropy(book) for book in books])
        )
        assert score(Usage(), split)["value"] == np.mean([len({*book}) / 8 for book in books])


def test_per_is_that_of_plain_loops() -> None:
    for split in splits():
        references = [merged(item.targets["phones"].tolist()) for item in split]
        edits = [
            levenshtein(item.predictions["ctc"].tolist(), reference)
            for item, reference in zip(split, references, strict=True)
        ]
        found = score(PER(head="ctc", target="phones", reference="dedup-alignment"), split)
        assert found["value"] == pytest.approx(100 * sum(edits) / sum(map(len, references)))


def test_frame_accuracy_is_that_of_plain_loops() -> None:
    for split in splits():
        right = [
            item.predictions["probe"][t] == label
            for item in split
            for t, label in enumerate(item.targets["phones"].tolist())
            if label >= 0
        ]
        found = score(FrameAccuracy(head="probe", target="phones"), split)
        assert found["value"] == pytest.approx(sum(right) / len(right))


@pytest.mark.parametrize("units", ["raw", "mapped"])
@pytest.mark.parametrize("matching", SLOW)
def test_boundary_scores_are_those_of_plain_loops(matching: str, units: str) -> None:
    for split in splits(stride=6):
        labels = commonest(labelled_frames(split)) if units == "mapped" else {}
        counts = np.zeros(3)
        for item in split:
            reference, predicted = changes(item, labels)
            counts += SLOW[matching](reference, predicted, 2), len(predicted), len(reference)
        hits, predicted, reference = counts
        if not reference:
            continue
        metric = Boundaries(target="phones", matching=matching, units=units, tolerance=2)
        found = score(metric, split)
        recall, over = hits / reference, predicted / reference - 1
        assert (found["hits"], found["predicted"], found["reference"]) == (hits, predicted, reference)
        assert found["value"] == pytest.approx(2 * hits / (predicted + reference))
        assert found["over_segmentation"] == pytest.approx(over)
        assert found["r_value"] == pytest.approx(
            1 - (sqrt((1 - recall) ** 2 + over**2) + abs((recall - 1 - over) / sqrt(2))) / 2
        )


def changes(item: Evaluated, labels: dict[tuple[int, ...], int]) -> tuple[list[int], list[int]]:
    """Frames where the label changes, and those where the unit, or its label, does."""
    known = item.targets["phones"].tolist()
    units = [tuple(item.codes[t // item.stride].tolist()) for t in range(item.num_frames)]
    stands = [labels.get(unit, -1) for unit in units] if labels else units
    labelled = [t for t, label in enumerate(known) if label >= 0]
    inner = range(labelled[0] + 1, labelled[-1] + 1) if labelled else range(0)
    reference = [t for t in inner if known[t] != known[t - 1]]
    return reference, [t for t in inner if stands[t] != stands[t - 1] and max(known[t - 1 : t + 1]) >= 0]
