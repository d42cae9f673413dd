"""The steps of reestimations."""

from __future__ import annotations

import pytest

from unitdisc_reestimate.schedule import due_steps, shown


@pytest.mark.parametrize(
    ("warm_up", "every", "duration"),
    [(500, 500, 2000), (3, 2, 7), (3, 2, 8), (0, 4, 9), (5, 9, 1), (1, 1, 1)],
)
def test_schedule_is_that_of_algorithm_1(warm_up, every, duration):
    expected = [
        step
        for step in range(1, 4000)
        if step >= warm_up and (step - warm_up) % every == 0 and step < warm_up + duration
    ]
    assert list(due_steps(warm_up=warm_up, every=every, duration=duration)) == expected


def test_intervals_expand():
    assert due_steps(warm_up=4, every=2, duration=17, expansion=1.5) == (4, 6, 9, 13, 20)


def test_a_long_schedule_is_shown_shortened():
    assert shown(due_steps(warm_up=500, every=500, duration=9000)) == "500, 1000, 1500, ..., 9000 (18 times)"
