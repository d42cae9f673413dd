"""Scores in training: those of evaluation at that step, and without an effect on what is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.test_train import assert_same, final, log
from tests.toy import ToyProbe, ToySource, toy_recipe, train_in_two
from unitdisc import scoring, state, steps
from unitdisc.display import Display
from unitdisc.errors import DataError
from unitdisc.evaluate import evaluate, values
from unitdisc.model import build
from unitdisc.recipe import Recipe
from unitdisc.use import Use
from unitdisc_ema.rule import EMA
from unitdisc_gumbel.rule import Gumbel
from unitdisc_metrics.frame_accuracy import FrameAccuracy
from unitdisc_metrics.perplexity import Perplexity
from unitdisc_reestimate.rule import Reestimate

METRICS = {
    "accuracy": Use("metric", "frame_accuracy", FrameAccuracy, {"head": "probe", "target": "states"}, "test"),
    "codes": Use("metric", "perplexity", Perplexity, {}, "test"),
}
INNER = Use("bottleneck", "ema", EMA, {"num_codes": 8, "decay": 0.9}, "test")
RULES = {
    "ema": (EMA, {"num_codes": 8, "decay": 0.9}),
    "gumbel": (Gumbel, {"num_codes": 8}),
    "reestimate": (Reestimate, {"rule": INNER, "warm_up": 2, "every": 3, "duration": 6, "capacity": 60}),
}


def scored(**more: Any) -> Recipe:
    return toy_recipe(metrics=METRICS, encoder={"dropout": 0.2}, average=0.9, crop=11, **more)


def scores(path: Path) -> dict[int, dict[str, float]]:
    lines = {
        line["step"]: {name: line[name] for name in line if name.startswith("score.")} for line in log(path)
    }
    return {step: found for step, found in lines.items() if found}


@pytest.mark.parametrize("rule", RULES)
def test_scoring_changes_no_bit_of_what_is_trained(tmp_path: Path, rule: str):
    steps.train(scored(rule=RULES[rule]), tmp_path / "without")
    steps.train(scored(rule=RULES[rule], score_every=3), tmp_path / "with")
    assert_same(final(tmp_path / "without"), final(tmp_path / "with"))
    assert list(scores(tmp_path / "with")) == [3, 6, 9, 12]


def test_a_stopped_run_ends_with_the_same_scores_and_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    recipe = scored(score_every=5)
    steps.train(recipe, tmp_path / "whole")
    train_in_two(recipe, tmp_path / "cut", monkeypatch, killed_after=10)
    assert_same(final(tmp_path / "whole"), final(tmp_path / "cut"))
    assert scores(tmp_path / "whole") == scores(tmp_path / "cut")
    assert list(scores(tmp_path / "cut")) == [5, 10, 12]


@pytest.mark.parametrize("average", [None, 0.9])
def test_the_last_scores_are_those_of_evaluation(tmp_path: Path, average: float | None):
    recipe, source = toy_recipe(metrics=METRICS, average=average, score_every=100), ToySource()
    steps.train(recipe, tmp_path)
    model = build(recipe, source.features, source.targets, source.conditions)
    tensors = final(tmp_path)
    state.load_model(model, {**tensors["model"], **tensors.get("average", {})})
    found = evaluate(model.eval(), source.split("test"), recipe)["metrics"]
    assert scores(tmp_path) == {
        12: {f"score.{name}": metric["values"]["value"] for name, metric in found.items()}
    }


def test_a_split_and_metrics_of_its_own(tmp_path: Path):
    steps.train(scored(score_every=12, score_split="train", score_metrics=("codes",)), tmp_path / "train")
    steps.train(scored(score_every=12, score_metrics=("codes",)), tmp_path / "test")
    there, here = (scores(tmp_path / name)[12] for name in ("train", "test"))
    assert list(there) == list(here) == ["score.codes"]
    assert there != here


def test_only_heads_that_are_scored_predict(monkeypatch: pytest.MonkeyPatch):
    asked = []
    predict = ToyProbe.predict

    def counted(self: ToyProbe, *arguments: Any) -> Any:
        asked.append(len(arguments[1]))
        return predict(self, *arguments)

    monkeypatch.setattr(ToyProbe, "predict", counted)
    source, recipe = ToySource(), scored()
    model = build(recipe, source.features, source.targets, source.conditions)
    split = source.split("test")
    values(model, split, recipe, ["codes"])
    assert asked == []
    values(model, split, recipe, ["codes", "accuracy"])
    assert sum(asked) == len(split)  # each batch once, not each example


def test_a_split_that_does_not_exist_is_named_before_the_first_step(tmp_path: Path):
    with pytest.raises(DataError, match="there is no split 'dev'"):
        steps.train(scored(score_every=6, score_split="dev"), tmp_path)
    assert not (tmp_path / "log.jsonl").exists()


def test_what_cannot_be_scored_is_told_and_training_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def cannot(self: FrameAccuracy) -> dict[str, float]:
        raise DataError("no frame has a label")

    monkeypatch.setattr(FrameAccuracy, "compute", cannot)
    steps.train(scored(score_every=6), tmp_path)
    assert capsys.readouterr().out.count("warning: not scored: no frame has a label") == 2
    assert scores(tmp_path) == {}


def test_generators_modes_and_tensors_are_put_back(capsys: pytest.CaptureFixture[str]):
    source, recipe = ToySource(), scored()
    model = build(recipe, source.features, source.targets, source.conditions).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    generator = torch.get_rng_state()
    with Display(steps=1) as display:
        found = scoring.score(model, None, source.split("test"), recipe, display)
    assert list(found) == ["score.accuracy", "score.codes"]
    assert torch.equal(torch.get_rng_state(), generator)
    assert all(module.training for module in model.modules())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert capsys.readouterr().out == ""
