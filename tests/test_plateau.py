"""The schedule that follows scores: PyTorch's own as oracle, and a stopped run that goes on as if it had not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.test_scoring import scored, scores
from tests.test_train import assert_same, final, log
from tests.toy import toy_recipe, train_in_two
from unitdisc import steps
from unitdisc.errors import RecipeError
from unitdisc.optimizer import Plateau
from unitdisc.recipe import read
from unitdisc.use import Use
from unitdisc_metrics.per import PER

CPU = torch.device("cpu")


def plateau(**more: Any) -> Plateau:
    settings = {"schedule": "plateau", "score_every": 1, "final_lr_scale": 0.1, "milestone_scale": 0.7}
    return Plateau(scored(**settings | more), CPU)


@pytest.mark.parametrize("patience", [0, 3])
def test_the_rate_falls_as_with_pytorchs_own_schedule(patience: int):
    torch.manual_seed(1)
    values = (torch.rand(200).cumsum(0) / torch.arange(1, 201)).tolist()  # "accuracy": higher is better
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    oracle = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, mode="max", factor=0.7, patience=patience, min_lr=0.1
    )
    found, expected, ours = [], [], plateau(patience=patience)
    for step, value in enumerate(values):
        ours.look({"step": step, "score.accuracy": value})
        oracle.step(value)
        found.append(ours.scale)
        expected.append(optimizer.param_groups[0]["lr"])
    assert found == pytest.approx(expected)
    assert found[-1] == pytest.approx(0.1)
    assert len(set(found)) > 4


def test_errors_get_better_when_they_fall():
    errors = {"errors": Use("metric", "per", PER, {"head": "probe", "target": "states"}, "test")}
    settings = {"schedule": "plateau", "score_every": 1, "patience": 0, "milestone_scale": 0.7}
    ours = Plateau(toy_recipe(metrics=errors, **settings), CPU)
    scales = []
    for value in (3.0, 2.0, 2.5, 1.0):
        ours.look({"step": 1, "score.errors": value})
        scales.append(ours.scale)
    assert scales == pytest.approx([1, 1, 0.7, 0.7])


def test_lines_without_the_score_and_other_schedules_leave_the_rate_alone():
    ours, other = plateau(patience=0), plateau(schedule="cosine", patience=0)
    for _ in range(5):
        ours.look({"step": 1, "score.codes": 1.0})
        other.look({"step": 1, "score.accuracy": 1.0})
    assert (ours.scale, other.scale) == (1, 1)


def test_a_run_that_was_stopped_goes_on_with_the_same_rate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    # With a rate too small to learn most scores are no better than the best.
    recipe = scored(
        schedule="plateau", score_every=2, patience=0, milestone_scale=0.5, final_lr_scale=1e-3, lr=1e-6
    )
    steps.train(recipe, tmp_path / "whole")
    train_in_two(recipe, tmp_path / "cut", monkeypatch, killed_after=9)
    assert_same(final(tmp_path / "whole"), final(tmp_path / "cut"))
    assert scores(tmp_path / "whole") == scores(tmp_path / "cut")
    rates = [line["lr"] for line in log(tmp_path / "cut")]
    assert rates == [line["lr"] for line in log(tmp_path / "whole")]
    assert rates[-1] < rates[0]


def test_a_schedule_that_follows_scores_needs_some():
    with pytest.raises(
        RecipeError, match=r"train.schedule: 'plateau' needs train.score_every, the steps between"
    ):
        read("speech/ema", overrides=["train.schedule=plateau"])
