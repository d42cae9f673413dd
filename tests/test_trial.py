"""A few steps on noise say what a recipe would take."""

from __future__ import annotations

import re

import pytest

from tests.toy import toy_recipe
from unitdisc import recipe, trial

TINY = ["data.root=nowhere", "train.batch_frames=160", "train.threads=1"]


@pytest.mark.parametrize(
    "name",
    [
        "speech/wsj/bn_reestimate",  # frame, sequence and mapping heads, a schedule that never fires here
        "speech/wsj/none",
        "speech/units_cpc",  # asks for speakers without counting them
        "speech/units_mfcc",  # nothing learns by gradient
        "handwriting/ema",
        "images/cifar10_8x128/bn",
    ],
)
def test_every_kind_of_recipe_is_tried_without_data(name):
    asked = recipe.read(name, preset="small", overrides=TINY)
    found = trial.estimate(asked)
    assert found["device"] == "CPU, 1 threads"
    assert float(found["time of a step"].split()[0]) > 0
    assert re.fullmatch(r"[\d,]+ MiB of the process", found["peak memory"])


def test_a_head_that_does_not_ask_for_the_kind_of_its_target_is_given_labels_of_frames():
    found, conditions = trial.asked_for(toy_recipe())
    assert {name: spec.kind for name, spec in found.items()} == {"states": "frames"}
    assert conditions == {}


def test_the_whole_time_is_the_steps_times_the_time_of_one(monkeypatch):
    monkeypatch.setattr(trial._Watch, "seconds", lambda _: 0.5)
    asked = recipe.read("speech/ema", preset="small", overrides=[*TINY, "train.steps=28800"])
    assert trial.estimate(asked)["time of all steps"] == "4.0 hours for 28,800 steps"


def test_the_first_steps_do_not_count():
    watch = trial._Watch(steps=6, quiet=True)
    watch.times = [10.0, 11.0, 11.5, 12.0, 13.0, 13.5]  # ends of the steps
    assert watch.seconds() == 0.5
