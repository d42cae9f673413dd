"""The section ``paper`` of a recipe, and settings that must agree with one another."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from tests.fake_recipes import folder, over_base, write, wrong
from unitdisc import agreement
from unitdisc.cli.recipes import command
from unitdisc.errors import RecipeError
from unitdisc.paper import Paper
from unitdisc.recipe import read
from unitdisc.run_folder import RunFolder
from unitdisc.settings import Train

__all__ = ["folder"]
pytestmark = pytest.mark.usefixtures("folder")
PAPER = "paper: {table: 'A, Table I', row: 2 with BN, perplexity: 16, decoder.bpd: 0.25}"
BASE = "x.yaml:2:"


def test_a_paper_is_read_and_written_and_does_not_tell_recipes_apart(tmp_path):
    recipe = over_base(PAPER)
    assert recipe.paper == Paper("A, Table I", "2 with BN", {"perplexity": 16.0, "decoder.bpd": 0.25})
    assert str(recipe.paper) == "A, Table I: 2 with BN"
    (tmp_path / "resolved.yaml").write_text(recipe.to_yaml())
    again = read(tmp_path / "resolved.yaml", overrides=["name=x"])
    assert again.paper == recipe.paper
    assert again.digest() == over_base("").digest() == over_base(PAPER).digest()
    assert "paper" not in over_base("").resolved()


def test_another_recipe_does_not_inherit_what_a_paper_says_and_a_preset_leaves_it(folder):
    (folder / "row.yaml").write_text(f"extends: base.yaml\n{PAPER}\n")
    (folder / "next.yaml").write_text("extends: row.yaml\n")
    assert read("task/row").paper is not None
    assert read("task/next").paper is None
    assert read("task/row", preset="small").paper == read("task/row").paper
    assert read("task/row", overrides=["paper=null"]).paper is None
    assert read("task/row", overrides=["paper.perplexity=null"]).paper.values == {"decoder.bpd": 0.25}
    (folder / "base.small.yaml").write_text("paper: {perplexity: 3}\n")
    assert read("task/row", preset="small").paper.values["perplexity"] == 3


def test_the_value_of_a_metric_that_was_removed_goes_with_it(tmp_path):
    recipe = over_base(PAPER, overrides=["metrics.perplexity=null"])
    assert recipe.paper.values == {"decoder.bpd": 0.25}
    (tmp_path / "resolved.yaml").write_text(recipe.to_yaml())
    assert read(tmp_path / "resolved.yaml").paper == recipe.paper


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("paper: 3", "8: paper must be a section, found 3"),
        (
            "paper: {perplexity: 3}",
            "1: paper.table: missing; say where the values stand, as in table: 'A, Table I'",
        ),
        ("paper: {table: 3}", "16: paper.table must be text, found 3; put it in quotes"),
        ("paper: {table: A, perplexity: high}", "31: paper.perplexity must be a number, found 'high'"),
        (
            "paper: {table: A, perplexty: 3}",
            (
                "19: paper.perplexty: the recipe has no metric of that name; did you mean 'perplexity'? "
                "(accepted: table, row, perplexity, decoder.NAME)"
            ),
        ),
    ],
)
def test_a_wrong_paper_gets_its_message(text, message):
    assert wrong(text) == [BASE + message]


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        (
            "train: {schedule: steps}",
            [
                (
                    "19: train.schedule: 'steps' needs train.milestones, the steps after which the rate falls, "
                    "as in [500, 800]"
                )
            ],
        ),
        (
            "train: {schedule: steps, milestones: [5, 4, 4]}",
            [
                "38: train.milestones must rise, found 4 behind 4",
                "38: train.milestones must rise, found 4 behind 5",
            ],
        ),
        ("train: {milestones: [0]}", ["22: train.milestones[0] must be greater than 0, found 0"]),
        (
            "train: {score_metrics: [perplexty]}",
            [
                (
                    "24: train.score_metrics: perplexty: the recipe has no metric of that name; did you mean "
                    "'perplexity'? (accepted: perplexity)"
                )
            ],
        ),
        (
            "metrics: null\ntrain: {score_every: 2}",
            ["22: train.score_every: the recipe has no metrics to score; add some, or set it to null"],
        ),
    ],
)
def test_settings_that_do_not_agree_are_named(text, messages):
    found = [line.removeprefix("x.yaml:").partition(":")[2] for line in wrong(text)]
    assert found == messages


@pytest.mark.parametrize(
    ("train", "says"),
    [
        (
            {"schedule": "steps", "milestones": (5, 20), "steps": 20},
            ["20 will not come, as training ends after step 20"],
        ),
        ({"milestones": (5,)}, ["have no effect, as train.schedule is constant"]),
        ({"clip": 10.0, "skip_norm": 5.0}, ["train.clip: has no effect"]),
        ({"schedule": "steps", "milestones": (5,), "clip": 5.0, "skip_norm": 10.0}, []),
    ],
)
def test_settings_without_effect_are_said(train, says):
    found = list(agreement.announce(Train(**train)))
    assert len(found) == len(says)
    assert all(text in line for text, line in zip(says, found, strict=True))


def test_a_run_goes_on_when_only_the_paper_is_told_otherwise(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.claim(over_base(PAPER))
    run.record.write_text("{}")
    run.claim(over_base(""))
    run.claim(over_base(PAPER.replace("16", "17")))
    with pytest.raises(RecipeError, match=r"train\.steps: 1000 there, 7 here"):
        run.claim(over_base("train: {steps: 7}"))


def test_the_command_shows_it():
    write(f"extends: recipes/task/base.yaml\n{PAPER}\n")
    shown = CliRunner().invoke(command, ["x.yaml"]).output
    assert shown.endswith(
        "paper:\n  table: A, Table I\n  row: 2 with BN\n  perplexity: 16.0\n  decoder.bpd: 0.25\n"
    )
    asked = json.loads(CliRunner().invoke(command, ["x.yaml", "--json"]).output)
    assert asked["paper"] == {
        "table": "A, Table I",
        "row": "2 with BN",
        "perplexity": 16.0,
        "decoder.bpd": 0.25,
    }
