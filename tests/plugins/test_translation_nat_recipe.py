"""The recipe of the non-autoregressive Transformer says what the papers say, and runs with a teacher that chooses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.tiny import command
from unitdisc.recipe import read
from unitdisc.run import load

ENGLISH = ["a man sees a dog", "two dogs run", "a woman and a man", "the dog sees the women"] * 5
GERMAN = [
    "ein Mann sieht einen Hund",
    "zwei Hunde laufen",
    "eine Frau und ein Mann",
    "der Hund sieht die Frauen",
] * 5
TINY = (
    *("data.vocab_size=300", "data.files=null", "decoder.hidden=16", "decoder.layers=1", "decoder.inner=16"),
    *("train.steps=4", "train.batch_frames=64", "train.warmup=0", "train.threads=1", "train.device=cpu"),
)


@pytest.mark.parametrize("preset", [None, "small", "gpu-hour", "paper"])
def test_the_recipe_reads_and_says_what_the_paper_says(preset):
    recipe = read("translation/nat", preset=preset)
    assert recipe.paper.values["bleu"] == 17.7
    assert recipe.paper.values["bleu_npd10"] == 18.7
    assert {name: use.arguments["beam"] for name, use in recipe.metrics.items()}.items() >= {
        ("bleu", 1),
        ("bleu_npd10", 10),
    }
    assert recipe.data.arguments["fertilities"] == 50


def test_a_run_is_scored_with_its_own_choice_and_with_that_of_a_teacher(tmp_path: Path):
    for split, number in (("train", 20), ("test", 3)):
        for language, lines in (("en", ENGLISH), ("de", GERMAN)):
            (tmp_path / f"{split}.{language}").write_text("".join(f"{line}\n" for line in lines[:number]))
    root = f"data.root={tmp_path}"
    teacher, out = tmp_path / "teacher", tmp_path / "nat"
    done = command("run", "translation/autoregressive", "--preset", "small", root, *TINY, "--out", teacher)
    assert done.code == 0, done.err
    chosen = f"metrics.bleu_npd10.teacher={teacher}"

    done = command("run", "translation/nat", "--preset", "small", root, *TINY, chosen, "--out", out)

    assert done.code == 0, done.err
    found = json.loads((out / "metrics.json").read_text())
    assert {"bleu", "bleu_compound_split", "bleu_npd10"} == set(found["metrics"])
    assert found["losses"]["decoder"] == pytest.approx(found["losses"]["decoder.bound"], rel=1e-5)
    run = load(out)
    own = run.translate(["two dogs run", ""], beam=3)
    theirs = run.translate(["two dogs run", ""], beam=3, teacher=str(teacher))
    assert own[1] == theirs[1] == ""
