"""Bitrate against closed forms and plain loops."""

from __future__ import annotations

from functools import partial
from itertools import groupby
from math import log2

import numpy as np
import pytest

from tests.plugins.metric_oracles import entropy, random_split, score, utterance
from unitdisc.errors import DataError
from unitdisc.metric import Evaluated
from unitdisc.testing import check_metric
from unitdisc_metrics.bitrate import Bitrate


def at(item: Evaluated, frame_rate: float) -> Evaluated:
    return Evaluated(**{**vars(item), "frame_rate": frame_rate})


def test_equally_frequent_units_cost_their_logarithm_each() -> None:
    item = at(utterance([0, 1, 2, 3] * 25, range(200), num_codes=16, stride=2), 100.0)  # 100 units in 2 s
    found = score(Bitrate(), [item])
    assert found["value"] == pytest.approx(50 * 2)
    assert found["nominal"] == pytest.approx(50 * 4)
    assert (found["units"], found["seconds"]) == (100, 2)


@pytest.mark.parametrize("num_codebooks", [1, 2])
def test_rates_are_those_of_plain_loops(num_codebooks: int) -> None:
    for seed in range(250):
        split = random_split(seed, num_codebooks=num_codebooks)[:8]
        if any(item.num_frames for item in split):
            compare(split)


def compare(split: list[Evaluated]) -> None:
    seconds = sum(item.num_frames for item in split)
    units = [[tuple(unit) for unit in item.codes.tolist()] for item in split]
    runs = [(unit, len([*run])) for sequence in units for unit, run in groupby(sequence)]
    symbols = {
        "fixed": [unit for sequence in units for unit in sequence],
        "deduplicated": [unit for unit, _ in runs],
        "with_durations": runs,
    }
    for name, listed in symbols.items():
        expected = len(listed) / seconds * entropy(listed)
        assert score(Bitrate(count=name), split)["value"] == pytest.approx(expected)


def test_a_single_unit_costs_nothing_without_its_durations() -> None:
    found = score(Bitrate(), [utterance([0, 0], [0, 0]), utterance([0], [0])])
    assert (found["fixed"], found["deduplicated"]) == (0, 0)
    assert found["with_durations"] == pytest.approx(2 / 3 * log2(2))


@pytest.mark.parametrize("num_codebooks", [1, 2])
def test_bitrate_keeps_the_contract(num_codebooks: int) -> None:
    check_metric(partial(Bitrate, count="deduplicated"), num_codebooks=num_codebooks)


def test_split_without_units_is_refused() -> None:
    with pytest.raises(DataError, match="no unit"):
        score(Bitrate(), [Evaluated("u", np.zeros((0, 1), np.int64), 4, 0, 1)])
