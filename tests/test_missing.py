"""Heads and metrics for which the data have nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.tiny import REPOSITORY
from tests.toy import toy_recipe
from unitdisc import steps
from unitdisc.errors import RecipeError
from unitdisc.missing import left_out, without_missing
from unitdisc.recipe import Recipe, read
from unitdisc_heads.framewise import Framewise


@pytest.fixture
def recipe() -> Recipe:
    extra = ("evaluate.missing=skip", "metrics.speaker={use: speaker_probe}")
    return read(REPOSITORY / "recipes/speech/ema.yaml", overrides=extra)


def test_what_names_a_target_or_field_that_is_not_there_is_left_out(recipe):
    kept = without_missing(recipe, targets=("phones",), fields=())
    assert list(kept.heads) == ["probe"]
    assert set(recipe.metrics) - set(kept.metrics) == {"per", "speaker"}
    assert left_out(recipe, kept) == [
        "left out, as the data have nothing for them: heads.ctc, metrics.per, metrics.speaker"
    ]


def test_fields_count_only_where_they_are_known(recipe):
    assert "speaker" in without_missing(recipe, targets=()).metrics
    assert "speaker" in without_missing(recipe, targets=(), fields=("speaker", "sex")).metrics


def test_nothing_is_left_out_where_all_is_there_or_the_recipe_refuses(recipe):
    targets = ("phones", "phones_sequence")
    assert without_missing(recipe, targets=targets, fields=("speaker",)) == recipe
    assert left_out(recipe, recipe) == []
    refusing = read(REPOSITORY / "recipes/speech/ema.yaml")
    assert without_missing(refusing, targets=(), fields=()) is refusing


def test_a_head_that_writes_a_sequence_needs_that_target_too():
    extra = ("evaluate.missing=skip", "heads.map={use: mapping, sequence: words}")
    recipe = read(REPOSITORY / "recipes/speech/ema.yaml", overrides=extra)
    kept = without_missing(recipe, targets=("phones", "phones_sequence"))
    assert set(recipe.heads) - set(kept.heads) == {"map"}


def test_when_every_head_is_left_out_and_nothing_decodes_there_is_nothing_to_learn(tmp_path):
    recipe = toy_recipe()
    heads = {"probe": replace(recipe.heads["probe"], component=Framewise, arguments={"target": "words"})}
    evaluate = replace(recipe.evaluate, missing="skip")
    with pytest.raises(RecipeError, match="neither decoder nor heads"):
        steps.train(replace(recipe, heads=heads, decoder=None, evaluate=evaluate), tmp_path)
