"""Scores over a number that recipes differ in: which number, where it stands, and what is drawn."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from toy import toy_recipe

from unitdisc.ablate import strips, sweep
from unitdisc.ablate.axis import LogAxis
from unitdisc.ablate.comparison import Comparison, compare
from unitdisc.ablate.ink import colour
from unitdisc.ablate.outcome import Outcome
from unitdisc.ablate.plot import plot
from unitdisc.ablate.processes import Ended
from unitdisc.ablate.variants import Cell
from unitdisc.errors import RecipeError
from unitdisc.recipe import Recipe
from unitdisc.report import Score

RATES = {"a": 0.001, "b": 0.1, "c": 0.01}
SCORES = {"a": {1: 2.0, 2: 4.0}, "b": {1: 9.0, 2: 9.0}, "c": {1: 5.0}}


def recipe(rate: float, **more: object) -> Recipe:
    return replace(toy_recipe(lr=rate), **more)


def swept(*, name: str = "toy") -> Comparison:
    outcomes = []
    for variant, rate in RATES.items():
        for seed in (1, 2):
            cell = Cell(variant, recipe(rate, seed=seed, name=name), Path("out") / variant / f"seed-{seed}")
            value = SCORES[variant].get(seed)
            if value is None:
                outcomes.append(Outcome(cell, Ended(4, "gave up", 1.0)))
                continue
            log = [{"step": step, "bottleneck.norm_ratio": step * value} for step in (10, 20)]
            scores = {"accuracy": Score("accuracy", value, None, "", "higher")}
            outcomes.append(Outcome(cell, None, scores, perplexity=5.0, num_codes=8, log=log))
    return compare(outcomes, variants=list(RATES), seeds=[1, 2], baseline="a")


def test_the_number_is_that_of_the_recipe_or_the_first_one_logged():
    assert sweep.places(swept(), "train.lr") == RATES
    # The mean over seeds; of c one run failed.
    assert sweep.places(swept(), "bottleneck.norm_ratio") == {"a": 30.0, "b": 90.0, "c": 50.0}
    assert sweep.places(swept(), "bottleneck.absent") == {}


def test_a_number_that_some_recipes_lack_is_refused():
    with_crop, without = recipe(0.1), recipe(0.1, name="whole")
    with_crop = replace(with_crop, train=replace(with_crop.train, crop=8))
    sweep.check("train.crop", [with_crop, with_crop])
    sweep.check("bottleneck.norm_ratio", [with_crop, without])
    with pytest.raises(RecipeError, match=r"--over: train.crop is no number in whole"):
        sweep.check("train.crop", [with_crop, without])
    # A name or a switch is no number.
    assert sweep.places(swept(), "train.optimizer") == sweep.places(swept(), "train.tensorboard") == {}


@pytest.mark.parametrize(
    ("ends", "numbers"),
    [
        ((0.01, 100), [0.01, 0.1, 1, 10, 100]),
        ((0.3, 4), [0.5, 1, 2]),
        ((2, 31.6), [2, 5, 10, 20]),
        ((0.9, 110), [1, 10, 100]),
    ],
)
def test_a_logarithmic_axis_counts_in_powers_of_ten(ends, numbers):
    axis = LogAxis(*ends, start=10, stop=410)
    assert axis.numbers == numbers
    assert (axis.place(ends[0]), axis.place(ends[1])) == pytest.approx((10, 410))
    assert axis.place(math.sqrt(ends[0] * ends[1])) == pytest.approx(210)
    labels = axis.labels()
    assert all(10 <= place <= 410 for place, _ in labels)
    assert [text for _, text in labels] == [f"{number:g}" for number in numbers]


def test_means_intervals_and_seeds_stand_over_their_numbers():
    found = swept()
    (row,) = sweep.rows(found, "train.lr", 800)
    pixels = np.asarray(row).astype(int)
    inked = (np.abs(pixels - np.array(colour(0))).sum(2) == 0).any(0).nonzero()[0]
    low, high = strips.limits(found.lines)
    assert low <= 2
    assert high >= 9
    # One panel of two in a row; the line goes from the smallest to the largest number.
    left, right = inked.min(), inked.max()
    assert 0 < left < right < 400
    middle = pixels[26:326, (left + right) // 2]  # 0.01 of 0.001 to 0.1, with a failed seed: the mean is 5
    marked = (np.abs(middle - np.array(colour(0))).sum(1) == 0).nonzero()[0]
    expected = 292 - (5 - low) / (high - low) * (292 - 8)
    assert marked.mean() == pytest.approx(expected, abs=2)


def test_the_picture_has_the_scores_over_the_number_where_there_is_one():
    without, over, absent = (
        plot(swept(), title="", names=(), over=name) for name in (None, "train.lr", "bottleneck.absent")
    )
    assert over.height > without.height == absent.height
    assert over.tobytes() == plot(swept(), title="", names=(), over="train.lr").tobytes()
    # One number for all is nothing to draw over.
    assert plot(swept(), title="", names=(), over="train.steps").height == without.height


def test_each_recipe_has_a_line_of_its_own():
    found = swept()
    others = [
        replace(item, cell=replace(item.cell, recipe=replace(item.cell.recipe, name="other")))
        if item.cell.variant == "b"
        else item
        for item in found.outcomes
    ]
    two = replace(found, outcomes=others)
    assert sweep.series(found) == ["toy"]
    assert sweep.series(two) == ["toy", "other"]
    pixels = {tuple(pixel) for pixel in np.asarray(sweep.rows(two, "train.lr", 800)[0]).reshape(-1, 3)}
    assert {colour(0), colour(1)} <= pixels
    assert (
        plot(two, title="", names=(), over="train.lr").height
        > plot(found, title="", names=(), over="train.lr").height
    )  # a legend


def test_scores_that_no_run_has_are_not_drawn():
    found = swept()
    failed = [replace(item, ended=Ended(4, "", 1.0), scores={}) for item in found.outcomes]
    none = compare(failed, variants=list(RATES), seeds=[1, 2], baseline="a", metrics=["accuracy"])
    assert sweep.rows(none, "train.lr", 800) == []
