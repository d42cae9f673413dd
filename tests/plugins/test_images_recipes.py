"""The recipes of paper A's Table III and of paper B's pictures: they read, say what the papers say, and run."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from tests.tiny import command
from unitdisc.errors import RecipeError
from unitdisc.recipe import Recipe, available, read
from unitdisc.recipe_files import matching
from unitdisc.summary import summarize

ROWS = ("vanilla", "bn", "bn_codebook_lr", "bn_ema", "bn_reestimate", "bn_reestimate_codebook_lr")
COLUMNS = {
    "cifar10_8x128": (8, 128, [4.679, 4.677, 4.677, 4.683, 4.665, 4.659]),
    "cifar10_5x1024": (5, 1024, [4.811, 4.809, 4.796, 4.798, 4.807, 4.802]),
}
EVERY = [info.name for info in available() if info.name.startswith("images/")]
TINY = (
    *(
        "train.steps=6",
        "train.batch_frames=4096",
        "train.score_every=3",
        "train.threads=1",
        "train.device=cpu",
    ),
    *("encoder.channels=4", "decoder.channels=4", "train.warmup=0", "data.limit.test=5"),
)


def of(recipe: Recipe, name: str) -> object:
    rule = recipe.bottleneck.arguments.get("rule", recipe.bottleneck)
    return rule.arguments[name]


@pytest.mark.parametrize("column", COLUMNS)
def test_a_column_has_a_recipe_for_each_row(column: str):
    books, codes, values = COLUMNS[column]
    assert set(matching(f"images/{column}/*")) == {f"images/{column}/{row}" for row in ROWS}
    for number, row in enumerate(ROWS):
        recipe = read(f"images/{column}/{row}")
        assert (of(recipe, "num_codebooks"), of(recipe, "num_codes")) == (books, codes)
        assert recipe.paper.values == {"bpd": values[number]}
        assert recipe.paper.row.startswith(str(number + 1))
        assert recipe.latents.norm == ("none" if row == "vanilla" else "batch")
        assert (
            recipe.train.lr * of(recipe, "lr_scale") == (5e-3 if "lr" in row else 5e-4)
            if row != "bn_ema"
            else True
        )


def test_the_average_breaks_as_in_fig_4_in_the_paper_preset_alone():
    for column in COLUMNS:
        for row in ("bn_reestimate", "bn_reestimate_codebook_lr"):
            found = [read(f"images/{column}/{row}", preset=preset) for preset in (None, "paper", "small")]
            assert [recipe.bottleneck.arguments["average"] for recipe in found] == ["copy", "keep", "copy"]
            assert found[1].train.steps == 500_000


@pytest.mark.parametrize("name", EVERY)
def test_every_recipe_has_8_x_8_latents_whatever_the_preset(name: str):
    presets = next(info.presets for info in available() if info.name == name)
    assert "small" in presets
    for preset in (None, *presets):
        summary = summarize(read(name, preset=preset))
        assert summary["units per pixel"] == 1 / 16


def test_paper_b_has_640_codes_of_one_codebook_of_256():
    for name in ("hard_em", "soft_em"):
        recipe = read(f"images/paper_b/{name}")
        assert summarize(recipe)["bottleneck"] == "shared, 10 x 256 codes"
        assert recipe.latents.dim == 10 * 512
    dense = read("images/paper_b/hard_em", preset="dense640")
    assert (dense.encoder.arguments["halvings"], dense.decoder.arguments["dense"]) == (4, (2, 2))


def test_pictures_are_never_cut(tmp_path):
    cropped = read("images/cifar10_8x128/bn", overrides=["train.crop=100"])
    with pytest.raises(RecipeError, match=r"train\.crop: pictures are trained on as a whole"):
        summarize(cropped)
    for split in ("train", "test"):
        np.savez(tmp_path / f"{split}.npz", images=np.zeros((2, 32, 32, 3), np.uint8))
    small = (*TINY, "train.batch_frames=1000", "evaluate.batch_frames=1000")  # less than a picture has
    name = "images/cifar10_8x128/bn"
    done = command(
        "run", name, "--preset", "small", f"data.root={tmp_path}", *small, "--out", tmp_path / "run"
    )
    assert done.code == 0, done.err


@pytest.mark.parametrize("name", ["cifar10_8x128/bn_reestimate", "paper_b/soft_em"])
def test_a_recipe_runs_to_its_report(name: str, tmp_path):
    for seed, split in enumerate(("train", "test")):
        images = np.random.default_rng(seed).integers(0, 256, (12, 32, 32, 3), dtype=np.uint8)
        np.savez(tmp_path / f"{split}.npz", images=images, labels=np.arange(12) % 3)
    reestimate = ("bottleneck.warm_up=2", "bottleneck.every=2", "bottleneck.duration=3")
    own = reestimate if "reestimate" in name else ()

    done = command(
        "run",
        f"images/{name}",
        "--preset",
        "small",
        f"data.root={tmp_path}",
        *TINY,
        *own,
        "--out",
        tmp_path / "run",
    )

    assert done.code == 0, done.err
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())["metrics"]
    values = {score: found["values"]["value"] for score, found in metrics.items()}
    books, codes = (8, 128) if "8x128" in name else (10, 256)
    assert values["nelbo"] - values["bpd"] == pytest.approx(64 * books * np.log2(codes) / 3072)
    assert 0 < values["bpd"] < 12
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log if "score.bpd" in line] == [3, 6]
    assert any((tmp_path / "run" / "units").iterdir())
    with Image.open(tmp_path / "run" / "units.png") as picture:
        assert picture.width > 4 * 256 < picture.height * 5
