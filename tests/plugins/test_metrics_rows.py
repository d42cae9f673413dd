"""Rows as numbers: they sort and compare as the rows do, however wide."""

from __future__ import annotations

import numpy as np
import pytest

from unitdisc_metrics.row_numbers import box, fits, numbered, places, rows_of, small_numbers


@pytest.mark.parametrize("scale", [1, 2**13, 2**40])
def test_numbers_sort_as_rows_do(scale: int) -> None:
    draw = np.random.default_rng(0)
    for _ in range(500):
        rows = (draw.integers(0, 5, (int(draw.integers(0, 12)), 3)) - 2) * scale
        numbers = small_numbers(rows)
        for one, row in zip(numbers, rows.tolist(), strict=True):
            for other, another in zip(numbers, rows.tolist(), strict=True):
                assert (one < other) == (row < another)
        known = np.unique(rows, axis=0)
        assert np.array_equal(known[places(rows, known)], rows)


def test_rows_come_back_from_their_numbers() -> None:
    rows = np.random.default_rng(0).integers(-50, 1000, (40, 3))
    low, spans = box(rows)
    assert fits(spans)
    assert np.array_equal(rows_of(numbered(rows, low, spans), low, spans), rows)


def test_numbers_stay_few_however_far_apart_the_values_are() -> None:
    rows = np.array([[0, 0], [10**6, 10**6], [0, 0]])
    assert small_numbers(rows).tolist() == [0, 1, 0]
