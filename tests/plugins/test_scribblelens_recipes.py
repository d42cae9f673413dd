"""The recipes of paper A's Table II: rows differ as the table says, hold its numbers, and train."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tests.tiny import command, write_corpora
from unitdisc.metric import Evaluated
from unitdisc.recipe import Recipe, available, read
from unitdisc.recipe_files import folder
from unitdisc.summary import summarize
from unitdisc_metrics.bpd import BPD
from unitdisc_metrics.nelbo import NELBO

ROWS = ("vanilla", "bn", "bn_codebook_lr", "bn_ema", "bn_reestimate", "bn_reestimate_codebook_lr")
PRESETS = (None, "small", "paper", "code")
TABLE = {  # bits per dimension, perplexity, uniform NELBO, unigram NELBO
    "vanilla": (0.213, 322, 0.307, 0.278),
    "bn": (0.216, 260, 0.309, 0.278),
    "bn_codebook_lr": (0.212, 432, 0.306, 0.281),
    "bn_ema": (0.207, 1118, 0.301, 0.287),
    "bn_reestimate": (0.200, 2388, 0.294, 0.288),
    "bn_reestimate_codebook_lr": (0.200, 2446, 0.294, 0.288),
}
SHORT = (
    *(
        "train.steps=2",
        "train.schedule=constant",
        "train.crop=32",
        "train.batch_frames=64",
        "train.log_every=2",
    ),
    *("train.threads=1", "train.device=cpu", "train.score_every=null", "export.splits=[]"),
)
REESTIMATED = (
    *("bottleneck.warm_up=1", "bottleneck.every=1", "bottleneck.duration=1", "bottleneck.restarts=1"),
    "bottleneck.rule.num_codes=8",
)


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four lines of strokes, one of them for tests; the strokes count as characters."""
    root = tmp_path_factory.mktemp("corpora")
    write_corpora(root)
    manifest = root / "lines" / "manifest.jsonl"
    few = manifest.read_text().splitlines()[:4]  # three of them for training
    manifest.write_text("".join(f"{line}\n" for line in few))
    kept = tuple(json.loads(line)["id"] for line in few)
    table = (root / "lines" / "strokes.tsv").read_text().splitlines()
    labels = [table[0], *(row for row in table[1:] if row.startswith(kept))]
    (root / "lines" / "characters.tsv").write_text("".join(f"{row}\n" for row in labels))
    return root / "lines"


def scribblelens(row: str, preset: str | None = None) -> Recipe:
    return read(f"handwriting/scribblelens/{row}", preset=preset)


def rule(recipe: Recipe) -> dict[str, Any]:
    """Arguments of the rule by which the codebook learns."""
    found = recipe.bottleneck.arguments
    return dict(found["rule"].arguments if "rule" in found else found)


def changed(row: str, other: str, preset: str | None) -> dict[str, tuple[Any, Any]]:
    """What two rows do not have in common, by path, but for what they are called and what the paper says."""
    here, there = (_flat(scribblelens(name, preset).resolved()) for name in (row, other))
    paths = [path for path in here | there if here.get(path) != there.get(path)]
    told = ("name", "paper.")
    return {path: (here.get(path), there.get(path)) for path in paths if not path.startswith(told)}


def _flat(section: Any, path: str = "") -> dict[str, Any]:
    if not isinstance(section, dict):
        return {path: section}
    parts = [_flat(inner, f"{path}.{name}" if path else name) for name, inner in section.items()]
    return {name: value for part in parts for name, value in part.items()}


def test_there_is_one_recipe_for_each_row_of_the_table_in_its_order():
    listed = {info.name: info for info in available() if info.name.startswith("handwriting/scribblelens/")}
    assert set(listed) == {f"handwriting/scribblelens/{row}" for row in ROWS}
    assert all({"small", "paper", "code"} <= set(info.presets) for info in listed.values())
    papers = [scribblelens(row).paper for row in ROWS]
    assert [paper.table for paper in papers] == ["A, Table II"] * 6
    assert [int(paper.row.split()[0]) for paper in papers] == [1, 2, 3, 4, 5, 6]
    names = ("bpd", "perplexity", "nelbo_uniform", "nelbo_unigram")
    assert {
        row: tuple(paper.values[name] for name in names) for row, paper in zip(ROWS, papers, strict=True)
    } == TABLE


@pytest.mark.parametrize("row", ROWS)
def test_a_row_is_a_few_lines(row: str):
    text = (folder() / f"handwriting/scribblelens/{row}.yaml").read_text()
    told = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert 3 <= len(told) <= 10


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("row", ROWS)
def test_every_preset_of_every_row_can_be_built(row: str, preset: str | None):
    summary = summarize(scribblelens(row, preset))
    assert summary["input frame"] == "32, 1 per column"
    assert summary["units per column"] == 1 / 4


@pytest.mark.parametrize("preset", PRESETS)
def test_rows_differ_as_the_table_says_and_in_nothing_else(preset: str | None):
    assert changed("bn", "vanilla", preset) == {"latents.norm": ("batch", "none")}
    assert changed("bn_codebook_lr", "bn", preset) == {"bottleneck.lr_scale": (10.0, 1.0)}
    ema = changed("bn_ema", "bn", preset)
    assert ema["bottleneck.use"] == ("ema", "gradient")
    assert all(path.startswith("bottleneck.") for path in ema)
    reestimate = changed("bn_reestimate", "bn", preset)
    assert all(path.startswith("bottleneck.") for path in reestimate)
    assert rule(scribblelens("bn_reestimate", preset)) == rule(scribblelens("bn", preset))
    assert changed("bn_reestimate_codebook_lr", "bn_reestimate", preset) == {
        "bottleneck.rule.lr_scale": (10.0, 1.0)
    }


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("row", ROWS)
def test_all_rows_and_presets_are_scored_alike(row: str, preset: str | None):
    recipe = scribblelens(row, preset)
    assert tuple(recipe.metrics) == tuple(scribblelens("vanilla").metrics)
    assert tuple(recipe.heads) == tuple(scribblelens("vanilla").heads)
    assert (recipe.decoder.name, recipe.decoder.arguments["levels"]) == ("pixel_cnn", 4)
    assert recipe.train.score_metrics == ("bpd",)
    assert recipe.evaluate.missing == "skip"


@pytest.mark.parametrize("row", ROWS)
def test_the_nelbo_columns_of_the_paper_follow_from_its_bits_and_perplexity_by_our_formula(row: str):
    bpd, perplexity, uniform, unigram = TABLE[row]
    codes = np.arange(perplexity)[:, None]  # each code once
    line = Evaluated(
        key="line",
        codes=codes,
        num_codes=4096,
        num_frames=4 * perplexity,
        stride=4,
        targets={},
        frame_size=32,
        nats={"decoder": bpd * math.log(2) * 32 * 4 * perplexity},
    )
    found = {}
    for name, metric in {
        "bpd": BPD(),
        "uniform": NELBO(prior="uniform"),
        "unigram": NELBO(prior="unigram"),
    }.items():
        metric.update(line)
        found[name] = metric.compute()["value"]
    assert found["bpd"] == pytest.approx(bpd)
    # Both sides of the table are rounded to thousandths.
    assert found["uniform"] == pytest.approx(uniform, abs=0.001)
    assert found["unigram"] == pytest.approx(unigram, abs=0.001)


@pytest.mark.parametrize("preset", [None, "paper", "code"])
def test_the_model_is_that_of_the_paper(preset: str | None):
    recipe = scribblelens("bn", preset)
    assert (recipe.data.arguments["height"], recipe.latents.norm, recipe.latents.dim) == (32, "batch", 128)
    assert rule(recipe)["num_codes"] == 4096
    assert (recipe.decoder.arguments["hidden"], recipe.decoder.arguments["layers"]) == (64, 7)
    assert (recipe.train.crop, recipe.train.batch_frames // recipe.train.crop) == (128, 32)
    assert scribblelens("vanilla", preset).latents.norm == "none"
    assert recipe.encoder.name == ("deep_speech" if preset == "paper" else "line_conv")


def test_the_code_preset_has_the_settings_of_the_released_recipes():
    train = scribblelens("bn", "code").train
    assert (train.lr, train.average, train.betas) == (2e-3, 0.998, (0.9, 0.999))
    assert (train.schedule, train.milestone_scale, train.patience) == ("plateau", 0.8, 3)
    assert train.lr * train.final_lr_scale == pytest.approx(2e-5)
    assert train.steps == 150 * train.score_every
    recipe = scribblelens("bn_codebook_lr", "code")
    assert recipe.train.lr * rule(recipe)["lr_scale"] == pytest.approx(2e-2)
    # Norms and losses of 32 pixels, where the code has their mean.
    assert (train.clip, rule(recipe)["commitment"]) == (32 * 10, 32 * 0.25)
    assert rule(scribblelens("bn_ema", "code"))["commitment"] == 32 * 0.25


def test_the_code_preset_reestimates_when_epochs_3_to_51_begin():
    recipe = scribblelens("bn_reestimate", "code")
    found = recipe.bottleneck.arguments
    epoch = recipe.train.score_every
    assert (found["warm_up"], found["every"], found["duration"]) == (2 * epoch, epoch, 49 * epoch)
    assert (found["capacity"], found["lloyd"], found["restarts"]) == (5 * 4096, 300, 10)
    assert summarize(recipe)["announced"].endswith(
        f"{2 * epoch}, {3 * epoch}, {4 * epoch}, ..., {50 * epoch} (49 times)"
    )


def test_the_small_preset_is_short_and_reestimates_in_time():
    for row in ROWS:
        assert scribblelens(row, "small").train.steps <= 1200
    announced = summarize(scribblelens("bn_reestimate", "small"))["announced"]
    assert announced.endswith("after steps 150, 250, 350, 450")


@pytest.mark.parametrize(("row", "preset"), [("bn_ema", "paper"), ("bn_reestimate_codebook_lr", "code")])
def test_a_row_trains_at_its_size_and_is_scored_without_letters(
    lines: Path, tmp_path: Path, row: str, preset: str
):
    settings = [*SHORT, *(REESTIMATED if "reestimate" in row else [])]
    out = tmp_path / "run"
    done = command(
        "run",
        f"handwriting/scribblelens/{row}",
        "--preset",
        preset,
        f"data.root={lines}",
        *settings,
        "--out",
        out,
    )
    assert done.code == 0, done.err
    scores = yaml.safe_load((out / "metrics.json").read_text())["metrics"]
    bits = {name: scores[name]["values"]["value"] for name in ("bpd", "nelbo_uniform", "nelbo_learned")}
    assert bits["bpd"] < min(bits["nelbo_uniform"], bits["nelbo_learned"])
    assert {"nelbo_unigram", "bpd_item", "perplexity", "usage"} <= set(scores)
    assert not any(name.startswith(("accuracy", "cer", "pnmi")) for name in scores)


def test_with_letters_in_columns_the_probes_train_under_crops_and_are_scored(lines: Path, tmp_path: Path):
    out = tmp_path / "run"
    small = ["--preset", "small", "bottleneck.num_codes=8", "decoder.hidden=4", "decoder.layers=1"]
    done = command(
        *("run", "handwriting/scribblelens/bn_ema", *small, f"data.root={lines}", "data.labels=[characters]"),
        *(*SHORT, "--out", out),
    )
    assert done.code == 0, done.err
    scores = yaml.safe_load((out / "metrics.json").read_text())["metrics"]
    assert list(scores) == list(scribblelens("bn_ema").metrics)


def test_lines_are_transcribed_behind_a_bottleneck(lines: Path, tmp_path: Path):
    manifest = lines / "manifest.jsonl"
    root = tmp_path / "lines"
    root.mkdir()
    for image in lines.glob("*.png"):
        (root / image.name).write_bytes(image.read_bytes())
    (root / "manifest.jsonl").write_text(manifest.read_text().replace('"width"', '"text": "de ee", "width"'))
    out = tmp_path / "run"
    done = command(
        *("run", "handwriting/transcribe", "--preset", "small", f"data.root={root}", *REESTIMATED),
        *("train.steps=2", "train.batch_frames=512", "train.score_every=2", "train.threads=1", "--out", out),
    )
    assert done.code == 0, done.err
    scores = yaml.safe_load((out / "metrics.json").read_text())["metrics"]
    assert scores["cer"]["values"]["reference_length"] == len("de ee")
    assert scores["cer"]["chance"] is not None
