"""The recipes of paper A's Table I: each preset reads, says what the paper or its code does, and trains."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.tiny import command, write_speech
from unitdisc.recipe import Recipe, available, read
from unitdisc.recipe_files import folder
from unitdisc.summary import summarize

ROWS = ("vanilla", "bn", "bn_codebook_lr", "bn_ema", "bn_reestimate", "bn_reestimate_codebook_lr", "none")
PRESETS = (None, "small", "paper", "code")
EPOCH = 37_416 // 32 + 1


def wsj(row: str, preset: str | None = None) -> Recipe:
    return read(f"speech/wsj/{row}", preset=preset)


def codebook_rate(recipe: Recipe) -> float:
    rule = recipe.bottleneck.arguments.get("rule", recipe.bottleneck)
    return recipe.train.lr * rule.arguments["lr_scale"]


def test_there_is_one_recipe_for_each_row_of_the_table_in_its_order():
    listed = {info.name: info for info in available() if info.name.startswith("speech/wsj/")}
    assert set(listed) == {f"speech/wsj/{row}" for row in ROWS}
    assert all({"small", "paper", "code"} <= set(info.presets) for info in listed.values())
    papers = [wsj(row).paper for row in ROWS]
    assert [int(paper.row.split()[0]) for paper in papers] == [1, 2, 3, 4, 5, 6, 7]
    assert [paper.values["per"] for paper in papers] == [16.9, 17.6, 13.1, 10.5, 10.4, 9.8, 11.6]
    perplexities = [paper.values.get("perplexity") for paper in papers]
    assert perplexities == [16, 16.5, 151, 61.8, 393, 574, None]


@pytest.mark.parametrize("row", ROWS)
def test_a_row_is_a_few_lines(row: str):
    text = (folder() / f"speech/wsj/{row}.yaml").read_text()
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert 3 <= len(lines) <= 8


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("row", ROWS)
def test_every_preset_of_every_row_can_be_built(row: str, preset: str | None):
    summary = summarize(wsj(row, preset))
    assert summary["input frame"] == "3 x 81, 100 per second"
    assert summary["units per second"] == pytest.approx(100 / 3, abs=1e-5)


@pytest.mark.parametrize("row", ROWS)
def test_presets_differ_in_no_metric_nor_head(row: str):
    recipes = [wsj(row, preset) for preset in PRESETS]
    assert len({tuple(recipe.metrics) for recipe in recipes}) == 1
    assert len({tuple(recipe.heads) for recipe in recipes}) == 1


def test_the_model_is_that_of_the_paper():
    recipe = wsj("bn", "paper")
    encoder = recipe.encoder.arguments
    assert (encoder["hidden"], encoder["layers"], encoder["channels"]) == (320, 4, (32, 32))
    assert (recipe.latents.norm, recipe.latents.dim) == ("batch", 64)
    assert recipe.bottleneck.arguments["num_codes"] == 2048
    assert (recipe.train.crop, recipe.train.batch_frames // recipe.train.crop) == (64, 32)
    assert recipe.heads["ctc"].arguments["mixer"] is None
    assert (recipe.train.average, recipe.train.clip, recipe.decoder) == (None, None, None)
    assert wsj("vanilla", "paper").latents.norm == "none"


def test_rates_of_the_code_preset_are_those_of_the_released_recipes():
    rates = {row: wsj(row, "code").train.lr for row in ROWS if row != "bn_ema"}
    assert rates == dict.fromkeys(rates, 5e-4) | {"bn_codebook_lr": 1e-3, "none": 1e-3}
    assert codebook_rate(wsj("bn", "code")) == pytest.approx(5e-4)
    assert codebook_rate(wsj("bn_codebook_lr", "code")) == pytest.approx(1e-2)
    assert codebook_rate(wsj("bn_reestimate_codebook_lr", "code")) == pytest.approx(5e-3)


@pytest.mark.parametrize("row", ["bn_reestimate", "bn_reestimate_codebook_lr"])
def test_the_code_preset_counts_epochs_in_steps(row: str):
    recipe = wsj(row, "code")
    train = recipe.train
    assert train.steps == 85 * EPOCH
    assert train.milestones == tuple((epoch - 1) * EPOCH for epoch in range(32, 73, 5))
    assert (train.milestone_scale, train.clip, train.skip_norm, train.average) == (0.5, 1000, 10_000, 0.998)
    announced = summarize(recipe)["announced"]
    due = ", ".join(str((epoch - 1) * EPOCH) for epoch in (3, 4, 5, 6))
    assert announced.endswith(f"after steps {due}")
    assert recipe.bottleneck.arguments["restarts"] == 10


def test_the_small_preset_is_short_and_reestimates_in_time():
    for row in ROWS:
        recipe = wsj(row, "small")
        assert recipe.train.steps <= 1500
    announced = summarize(wsj("bn_reestimate", "small"))["announced"]
    assert announced.endswith("after steps 150, 250, 350, 450")


@pytest.mark.parametrize("preset", ["paper", "code"])
@pytest.mark.parametrize("row", ["bn_reestimate_codebook_lr", "none"])
def test_a_row_trains_and_scores_under_both_presets_on_a_corpus_with_a_dev_split(
    tmp_path: Path, row: str, preset: str
):
    write_speech(tmp_path / "speech", 8)
    manifest = tmp_path / "speech" / "manifest.jsonl"
    manifest.write_text(manifest.read_text().replace('"test"', '"dev"', 1))
    short = ["train.steps=4", "train.milestones=[]", "train.schedule=constant", "train.score_every=2"]
    tiny = ["encoder.hidden=8", "encoder.layers=1", "encoder.channels=[4,4]", "data.num_mels=20"]
    if row != "none":
        short += ["bottleneck.warm_up=1", "bottleneck.every=1", "bottleneck.duration=2"]
        short += ["bottleneck.rule.num_codes=8", "bottleneck.lloyd=2", "bottleneck.restarts=1"]
    settings = [f"data.root={tmp_path / 'speech'}", "train.threads=1", "train.device=cpu", *short, *tiny]
    out = tmp_path / "run"
    done = command("run", f"speech/wsj/{row}", "--preset", preset, *settings, "--out", out)
    assert done.code == 0, done.err
    scores = yaml.safe_load((out / "metrics.json").read_text())
    assert scores["split"] == "dev"
    assert {"per", "per_alignment", "per_utterance"} <= set(scores["metrics"])
