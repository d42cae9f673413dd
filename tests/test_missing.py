"""Heads and metrics for which the data have nothing."""

from __future__ import annotations

import pytest

from tests.tiny import REPOSITORY
from unitdisc.missing import left_out, without_missing
from unitdisc.recipe import Recipe, read


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
