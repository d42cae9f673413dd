"""What the command line of ``unitdisc ablate`` means: recipes, their own settings, seeds, folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fake_recipes import folder
from unitdisc import recipe as recipes
from unitdisc.ablate.variants import cells, find, read_seeds, read_variants
from unitdisc.errors import RecipeError

__all__ = ["folder"]


@pytest.mark.parametrize(
    ("text", "seeds"),
    [("3", [1, 2, 3]), ("1,4,7", [1, 4, 7]), ("7,", [7]), (" 2, 1, 2 ", [2, 1]), ("0,", [0])],
)
def test_seeds_are_a_count_or_a_list(text, seeds):
    assert read_seeds(text) == seeds


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "a", "1-4", "1.5", ",", "1,x", "99999999999999999999,", "20000"]
)
def test_other_seeds_are_refused_in_one_line(text):
    with pytest.raises(RecipeError, match=r"^--seeds: [^\n]*$"):
        read_seeds(text)


def test_settings_for_all_and_for_one_are_the_overrides_of_run():
    (plain, own) = read_variants(
        ["speech/ema", "speech/ema:bottleneck.decay=0.9,encoder.channels=[4, 4],name=fast", "train.steps=7"]
    )
    assert (plain.name, own.name) == ("speech/ema", "fast")
    assert plain.recipe == recipes.read("speech/ema", overrides=["train.steps=7"])
    overrides = ["train.steps=7", "bottleneck.decay=0.9", "encoder.channels=[4, 4]", "name=fast"]
    assert own.recipe == recipes.read("speech/ema", overrides=overrides)


def test_a_variant_without_a_name_is_called_by_its_settings():
    text = "speech/ema:bottleneck={use: gradient, num_codes: 5},train.lr=1.0"
    (variant,) = read_variants([text])
    assert variant.name == text
    assert variant.recipe.bottleneck.name == "gradient"
    assert variant.recipe.train.lr == 1.0
    assert variant.folder == "speech-ema-bottleneck=-use-gradient-num_codes-5-train.lr=1.0"


def test_its_own_settings_count_more_than_those_for_all():
    (variant,) = read_variants(["speech/ema:train.steps=5", "train.steps=7"])
    assert variant.recipe.train.steps == 5


def test_each_cell_is_the_recipe_with_its_seed_and_pairs_come_first():
    variants = read_variants(["speech/ema", "speech/gradient"], preset="small")
    made = cells(variants, [4, 2], Path("out"))
    assert [str(cell) for cell in made] == [
        "speech/ema seed 4",
        "speech/gradient seed 4",
        "speech/ema seed 2",
        "speech/gradient seed 2",
    ]
    assert made[1].folder == Path("out/speech-gradient/seed-4")
    assert made[1].output == Path("out/speech-gradient/seed-4.txt")
    assert made[1].recipe == recipes.read("speech/gradient", preset="small", overrides=["seed=4"])


def test_folders_stay_inside_and_are_short(tmp_path):
    for number, name in enumerate(["../../up", "..", "x" * 300, "a b/c"]):
        (tmp_path / f"r{number}.yaml").write_text(f"extends: speech/ema\nname: {name}\n")
    variants = read_variants([str(path) for path in sorted(tmp_path.iterdir())])
    folders = [variant.folder for variant in variants]
    assert folders[:2] == ["up", "recipe"]
    assert len(folders[2]) == 109
    assert folders[3] == "a-b-c"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["train.steps=2"], "give at least one recipe"),
        (["speech/emma"], "did you mean 'speech/ema'?"),
        (["speech/ema:train.step=2"], "did you mean 'steps'?"),
        (["speech/ema", "seed=3"], "give --seeds"),
        (["speech/ema:train.steps=2,seed=3"], "give --seeds"),
        (["speech/ema", "speech/ema"], r"are both called 'speech/ema'; .* speech/ema:name=other"),
        (["speech/ema:name=a", "speech/gradient:name=a"], r"as in speech/gradient:name=a,name=other"),
    ],
)
def test_what_is_wrong_is_said_before_anything_runs(arguments, says):
    with pytest.raises(RecipeError, match=says):
        read_variants(arguments)


def test_the_baseline_is_named_as_in_the_table_or_as_typed():
    variants = read_variants(["speech/ema", "speech/ema:train.steps=2,name=short"])
    assert find("short", variants) is variants[1]
    assert find("speech/ema:train.steps=2,name=short", variants) is variants[1]
    with pytest.raises(RecipeError, match=r"did you mean 'short'\? \(accepted: speech/ema, short\)"):
        find("shor", variants)


def test_a_pattern_stands_for_recipes_in_the_order_of_the_papers_rows_then_by_name(folder):
    for name, row in {"a": "10 last", "b": "9 first", "c": "no number"}.items():
        (folder / f"{name}.yaml").write_text(f"extends: base.yaml\npaper: {{table: T, row: {row}}}\n")
    (folder / "two_base.yaml").write_text("extends: base.yaml\n")
    (folder / "deep").mkdir()
    (folder / "deep" / "row.yaml").write_text("extends: ../base.yaml\n")
    names = [variant.name for variant in read_variants(["task/*"])]
    assert names == ["task/b", "task/a", "task/c", "task/other", "task/row"]
    names = [variant.name for variant in read_variants(["task/row", "task/[a-c]", "*/*", "train.steps=3"])]
    assert names == ["task/row", "task/b", "task/a", "task/c", "task/other"]
    (own,) = read_variants(["task/o*:bottleneck.num_codes=2"])
    assert own.name == "task/other:bottleneck.num_codes=2"
    with pytest.raises(RecipeError, match=r"'task/x\*': no recipe fits this pattern"):
        read_variants(["task/x*"])


def test_a_variant_with_settings_of_its_own_is_no_longer_the_papers_row(folder):
    (folder / "row.yaml").write_text("extends: base.yaml\npaper: {table: T, row: R, perplexity: 3}\n")
    own = "bottleneck.num_codes=2"
    texts = ["task/row", f"task/row:{own}", "task/row:name=b", f"task/row:{own},name=c,paper.perplexity=4"]
    papers = [variant.recipe.paper for variant in read_variants([*texts, "train.lr=0.5"])]
    assert [paper and paper.values["perplexity"] for paper in papers] == [3, None, 3, 4]
