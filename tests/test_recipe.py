"""Recipes: extends, presets, overrides, the resolved recipe, and the list of them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.fake_recipes import folder, over_base, write
from unitdisc.cli.recipes import command
from unitdisc.errors import RecipeError
from unitdisc.recipe import available, read

__all__ = ["folder"]
pytestmark = pytest.mark.usefixtures("folder")


# Laying recipes over one another


def test_a_recipe_is_found_by_name_and_has_every_default():
    recipe = read("task/row")
    assert (recipe.name, recipe.seed, recipe.train.lr, recipe.train.steps) == ("task/row", 3, 1e-3, 1000)
    assert recipe.encoder.arguments == {"hidden": 16, "share": 0.5}


def test_a_recipe_of_ones_own_extends_a_shipped_one_by_name(tmp_path):
    mine = tmp_path / "mine.yaml"
    mine.write_text("extends: task/row\nseed: 9\n")
    recipe = read(mine)
    assert (recipe.name, recipe.seed, recipe.train.lr) == ("mine", 9, 1e-3)


def test_a_section_without_use_is_merged_and_one_with_use_replaces():
    assert read("task/row").bottleneck.arguments == {"num_codes": 32, "decay": 0.9}
    assert read("task/other").bottleneck.arguments == {"num_codes": 4, "lr_scale": 1.0}


def test_each_head_is_a_section_of_its_own():
    recipe = over_base("heads: {ctc: {target: words}, probe: {use: ctc}}")
    assert recipe.heads["ctc"].arguments == {"target": "words", "weight": 2.0}
    assert recipe.heads["probe"].arguments == {"target": "phones", "weight": 1.0}


def test_null_removes_a_section_and_is_a_value_for_a_parameter():
    recipe = over_base("decoder: null\nheads: {ctc: null}\ntrain: {clip: null}")
    assert (recipe.decoder, recipe.heads, recipe.train.clip, recipe.train.lr) == (None, {}, None, 1e-3)


def test_the_command_line_counts_more_than_the_preset_and_that_more_than_the_recipe():
    write("extends: recipes/task/base.yaml\nencoder: {hidden: 5}")
    assert read("x.yaml").encoder.arguments["hidden"] == 5
    assert read("x.yaml", preset="small").encoder.arguments["hidden"] == 4
    assert read("x.yaml", preset="small", overrides=["encoder.hidden=6"]).encoder.arguments["hidden"] == 6


def test_an_override_merges_and_one_of_use_swaps_the_component():
    assert read("task/row", overrides=["bottleneck.num_codes=64"]).bottleneck.arguments["decay"] == 0.9
    swapped = read("task/row", overrides=["bottleneck.lr_scale=2", "bottleneck.use=gradient"]).bottleneck
    assert (swapped.name, swapped.arguments) == ("gradient", {"num_codes": 4, "lr_scale": 2.0})


def test_paths_are_relative_to_the_file_that_has_them_and_on_the_command_line_to_here(folder):
    there = read("task/row").data.arguments["root"]
    here = read("task/row", overrides=["data.root=mine", "data.roots=[a, ../b]"]).data.arguments
    assert there == folder / "sets"
    assert here["root"] == Path.cwd() / "mine"
    assert here["roots"] == (Path.cwd() / "a", Path.cwd().parent / "b")


def test_a_nested_component_is_a_section_that_merges():
    recipe = over_base("data: {corpus: {use: synth, voices: 4}}", overrides=["data.corpus.voices=5"])
    assert recipe.data.arguments["corpus"].arguments == {"voices": 5}


def test_supplied_values_reach_nested_components():
    recipe = over_base("bottleneck: {use: reestimate, rule: {use: gradient}}")
    dim, rule = recipe.bottleneck.build(dim=7, features=(1,)).given
    assert (dim, rule.given) == (7, (7, 4))


def test_a_recipe_error_of_a_constructor_gets_the_place_of_its_section():
    use = over_base("bottleneck: {use: strict}").bottleneck
    with pytest.raises(RecipeError, match=r"^x.yaml:2:19: dim must be even$"):
        use.build(dim=3)


# The resolved recipe


def test_the_resolved_recipe_reads_as_the_same_recipe():
    recipe = over_base("data: {corpus: {use: synth}}\nname: '1e-3'\nheads: {yes: {use: ctc, target: '012'}}")
    again = read(write(recipe.to_yaml()))
    assert again == recipe
    assert again.to_yaml() == recipe.to_yaml()
    assert again.digest() == recipe.digest()


@pytest.mark.parametrize(
    "text", ["null", "1e-3", "1.", "012", "yes", "~", "", " a", "a: b", "#x", "é\n\x85y", "1_0", "+3"]
)
def test_text_that_looks_like_something_else_stays_text(text):
    recipe = read("task/row", overrides=[f"evaluate.split={json.dumps(text)}"])
    assert recipe.evaluate.split == text
    assert read(write(recipe.to_yaml())).evaluate.split == text


def test_the_digest_tells_recipes_apart():
    assert read("task/row").digest() != read("task/row", overrides=["seed=4"]).digest()


# Listing


def test_bases_and_presets_are_not_listed_and_broken_recipes_are(folder):
    (folder / "bad.yaml").write_text("extends: [")
    infos = available()
    assert [(info.name, info.summary, info.presets) for info in infos] == [
        ("task/bad", "", ()),
        ("task/other", "Another", ("small",)),
        ("task/row", "A row", ("small",)),
    ]
    assert infos[2].path == folder / "row.yaml"


def test_the_command_lists_and_shows():
    table = CliRunner().invoke(command, []).output.splitlines()
    assert table[2].split() == ["task/row", "small", "A", "row"]
    listed = json.loads(CliRunner().invoke(command, ["--json"]).output)
    assert [item["name"] for item in listed] == ["task/other", "task/row"]
    shown = CliRunner().invoke(command, ["task/row", "--preset", "small"]).output
    assert shown == read("task/row", preset="small").to_yaml()
    as_json = CliRunner().invoke(command, ["task/row", "--json"]).output
    assert json.loads(as_json) == read("task/row").resolved()
    assert CliRunner().invoke(command, ["--preset", "small"]).exit_code == 2


def test_importing_recipes_imports_neither_torch_nor_plugins():
    claim = "import sys, unitdisc.recipe; assert not {'torch', 'unitdisc.plugins'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", claim], check=True, timeout=60)
