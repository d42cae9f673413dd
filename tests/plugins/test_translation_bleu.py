"""BLEU by sacreBLEU, and the recipe of the autoregressive Transformer from text to score."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from tests.plugins.test_translation_source import ENGLISH, GERMAN, write
from tests.tiny import command
from unitdisc.errors import DataError, RecipeError
from unitdisc.metric import Evaluated
from unitdisc.recipe import read
from unitdisc.run import Run
from unitdisc.testing import check_metric
from unitdisc_translation.bleu import BLEU


class Exact:
    """Stands for sacreBLEU where that is not installed: the share of sentences that are right."""

    def __init__(self, *, tokenize: str, lowercase: bool, **more: object) -> None:
        del more
        self.signature = f"tok:{tokenize}|lc:{lowercase}"

    def corpus_score(self, written: list[str], references: list[list[str]]) -> SimpleNamespace:
        right = [one == other for one, other in zip(written, references[0], strict=True)]
        return SimpleNamespace(
            score=100 * sum(right) / len(right), precisions=[0.0] * 4, bp=1.0, sys_len=3, ref_len=4
        )

    def get_signature(self) -> str:
        return self.signature


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("sacrebleu.metrics")
    module.BLEU = Exact
    monkeypatch.setitem(sys.modules, "sacrebleu", ModuleType("sacrebleu"))
    monkeypatch.setitem(sys.modules, "sacrebleu.metrics", module)


def sentence(reference: str, written: str) -> Evaluated:
    fields = {"target": reference}
    codes = np.zeros((1, 0), np.int64)
    return Evaluated(
        "u", codes, 0, 1, 1, fields=fields, translate=lambda **options: f"{written}{options['beam']}"
    )


def test_bleu_keeps_the_contract(stand_in):
    check_metric(BLEU)


def test_bleu_asks_for_the_decoding_it_names_and_says_so(stand_in):
    metric = BLEU(beam=7, lowercase=True)
    metric.update(sentence("a man 7", "a man "))
    metric.update(sentence("a dog 4", "a dog "))
    assert metric.compute()["value"] == 50
    assert metric.signature() == "BLEU|tok:13a|lc:True|beam:7|length_penalty:0.6"


def test_bleu_hands_on_what_is_asked_for_beside_the_beam_and_says_so(stand_in):
    asked: list[dict[str, object]] = []
    item = replace(sentence("a", ""), translate=lambda **options: asked.append(options) or "a")
    for metric in (
        BLEU(beam=2, max_length=9, teacher=Path("runs/teacher"), early_stop=False),
        BLEU(forced=True),
    ):
        metric.update(item)
        metric.compute()
    usual = {"beam": 2, "length_penalty": 0.6, "max_length": 9}
    assert asked == [{**usual, "teacher": Path("runs/teacher"), "early_stop": False}, {"forced": True}]
    assert metric.signature() == "BLEU|tok:13a|lc:False|forced:True"


def test_bleu_without_a_translating_decoder_reference_or_sentence_is_refused(stand_in):
    with pytest.raises(RecipeError, match="no decoder that translates"):
        BLEU().update(replace(sentence("a", "b"), translate=None))
    with pytest.raises(RecipeError, match=r"no field 'text' \(it has: target\)"):
        BLEU(reference="text").update(sentence("a", "b"))
    with pytest.raises(DataError, match="no sentence to score"):
        BLEU().compute()


def test_without_sacrebleu_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sacrebleu.metrics", None)
    with pytest.raises(RecipeError, match=r"pip install 'unitdisc\[translation\]'"):
        BLEU()


def test_bleu_is_that_of_sacrebleu():
    sacrebleu = pytest.importorskip("sacrebleu")
    pairs = [
        ("The dog bit the man.", "The dog bit the guy."),
        ("It was not unexpected.", "It was not unexpected."),
    ]
    metric = BLEU(beam=1)
    for reference, written in pairs:
        metric.update(replace(sentence(reference, ""), translate=partial(lambda text, **_: text, written)))
    expected = sacrebleu.corpus_bleu(
        [written for _, written in pairs], [[reference for reference, _ in pairs]]
    )
    assert metric.compute()["value"] == pytest.approx(expected.score)
    assert "tok:13a" in metric.signature()


def test_the_recipe_trains_scores_and_translates(stand_in, tmp_path):
    for split in ("train", "val", "test_2016_flickr"):
        write(tmp_path, split, ENGLISH, GERMAN)
    small = [
        "data.vocab_size=330",
        "decoder.hidden=32",
        "decoder.layers=1",
        "decoder.dropout=0",
        "train.steps=60",
    ]
    small += ["train.batch_frames=400", "train.warmup=10", "train.lr=0.01", "train.average=null"]
    scoring = ["train.score_every=30", "train.score_metrics=[bleu_greedy]"]
    scoring += ["metrics.bleu_forced={use: bleu, forced: true}"]
    done = command(
        "run", "translation/autoregressive", "--preset", "small", f"data.root={tmp_path}", *small, *scoring,
        "--out", tmp_path / "run",
    )  # fmt: skip
    assert done.code == 0, done.err
    run = Run(tmp_path / "run")
    found = run.metrics["metrics"]
    assert found["bleu"]["values"]["value"] == found["bleu_greedy"]["values"]["value"] == 100
    assert found["bleu_forced"]["values"]["value"] == 100
    assert found["bleu"]["chance"] is None
    assert found["bleu"]["signature"] == "BLEU|tok:13a|lc:False|beam:4|length_penalty:0.6"
    assert found["bits_per_token"]["values"]["value"] < 0.5
    assert [line["score.bleu_greedy"] for line in run.log() if "score.bleu_greedy" in line][-1] == 100


@pytest.mark.parametrize("preset", [None, "small"])
def test_the_recipe_is_the_transformer_of_the_paper_or_a_small_one(preset):
    recipe = read("translation/autoregressive", preset=preset)
    sizes = {name: recipe.decoder.arguments[name] for name in ("hidden", "layers", "heads", "inner")}
    if preset is None:
        assert sizes == {"hidden": 512, "layers": 6, "heads": 8, "inner": 2048}
        assert recipe.train.lr == pytest.approx((512 * 4000) ** -0.5, rel=0.01)
    assert (recipe.train.schedule, recipe.export.formats) == ("rsqrt", ())


def test_a_recipe_of_tokens_is_checked_and_timed_without_data():
    done = command(
        "check", "translation/autoregressive", "--preset", "small", "train.batch_frames=50", "--time"
    )
    assert done.code == 0, done.err
    assert "one of 4,000 tokens, 1 per token" in done.out
    assert "time of a step" in done.out


def test_a_head_cannot_look_at_tokens_as_if_they_were_measured():
    head = "heads.probe={use: framewise, target: words, on: input}"
    done = command("check", "translation/autoregressive", head)
    assert done.code == 2
    assert (
        "the inputs are numbers of tokens, which a framewise head cannot look at; look at bottleneck"
        in done.err
    )
