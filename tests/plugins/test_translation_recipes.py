"""The recipes of the latent Transformer: any bottleneck trains, translates and shows its codes, a third party's too."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.plugins.test_translation_source import ENGLISH, GERMAN, write
from tests.tiny import command
from unitdisc import load
from unitdisc_translation.source import Parallel

ROWS = "translation/wmt14_ende"
TINY = (
    *("data.vocab_size=330", "encoder.dim=8", "latents.dim=4", "decoder.hidden=8", "decoder.layers=1"),
    *(
        "decoder.heads=2",
        "decoder.inner=8",
        "train.steps=3",
        "train.batch_frames=256",
        "train.checkpoint_every=3",
    ),
    *("train.threads=1", "train.device=cpu", "metrics.bleu_beam.beam=2"),
)
RULES = {
    "ema": "bottleneck={use: ema, num_codes: 5, num_codebooks: 2}",
    "soft_em": "bottleneck={use: soft_em, num_codes: 5, num_samples: 3}",
    "gradient": "bottleneck={use: gradient, num_codes: 5}",
    "gumbel": "bottleneck={use: gumbel, num_codes: 5}",
    "semantic_hash": "bottleneck={use: semantic_hash, bits: 3}",
    "reestimate": "bottleneck={use: reestimate, warm_up: 1, every: 1, duration: 2, rule: {use: ema, num_codes: 5}}",
    "fsq": "bottleneck={use: fsq, levels: [3, 3]}",
    "residual": "bottleneck={use: residual, num_levels: 2, rule: {use: ema, num_codes: 5}}",
}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNITDISC_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def text(tmp_path: Path) -> Path:
    folder = tmp_path / "text"
    folder.mkdir()
    write(folder, "train", ENGLISH, GERMAN)
    write(folder, "test", ENGLISH[:3], GERMAN[:3])
    return folder


def trained(text: Path, out: Path, *changes: str, recipe: str = f"{ROWS}/vq") -> Path:
    done = command("run", recipe, "--out", str(out), f"data.root={text}", *TINY, *changes)
    assert done.code == 0, done
    return out


@pytest.mark.parametrize("rule", RULES)
def test_any_rule_stands_behind_the_latent_transformer(text: Path, tmp_path: Path, rule: str):
    run = trained(text, tmp_path / "run", RULES[rule])
    found = load(run).metrics
    assert {"bleu", "bleu_full", "bleu_beam", "bleu_forced"} <= set(found["metrics"])
    assert found["losses"]["decoder.bound"] >= found["losses"]["decoder.perplexity"] >= 1
    done = command("latents", str(run), "--count", "2")
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[0].endswith("ein Mann sieht einen Hund")
    assert len(lines[1].split()) >= 1


@pytest.mark.usefixtures("third_party")
def test_a_third_partys_bottleneck_stands_behind_it(text: Path, tmp_path: Path):
    run = trained(text, tmp_path / "run", "bottleneck={use: random_codes, num_codes: 16}")
    assert json.loads((run / "metrics.json").read_text())["metrics"]["bleu"]["values"]["sentences"] == 3


def test_without_units_there_is_nothing_to_predict(text: Path, tmp_path: Path):
    done = command(
        "run",
        f"{ROWS}/vq",
        "--out",
        str(tmp_path / "run"),
        f"data.root={text}",
        *TINY,
        "bottleneck={use: none}",
    )
    assert done.code == 2
    assert "latent_transformer predicts codes, and the bottleneck has none" in done.err
    assert done.err.count("\n") == 1


def test_text_that_is_not_padded_is_refused_before_the_first_step(text: Path, tmp_path: Path):
    done = command(
        "run", f"{ROWS}/vq", "--out", str(tmp_path / "run"), f"data.root={text}", *TINY, "data.pad=null"
    )
    assert done.code == 2
    assert "set data.pad to 8" in done.err
    assert done.err.count("\n") == 1


def test_an_encoder_that_looks_at_the_source_and_noise_on_words_train(text: Path, tmp_path: Path):
    run = trained(text, tmp_path / "a", "encoder.heads=2", "bottleneck.num_codes=5", recipe=f"{ROWS}/attend")
    assert load(run).recipe.encoder.arguments["attend"] == "source"
    noisy = "translation/wmt13_enfr/vq_reg"
    run = trained(text, tmp_path / "b", "data.target=de", "bottleneck.num_codes=5", recipe=noisy)
    assert load(run).recipe.encoder.arguments["word_dropout"] == 0.3


def test_pads_lengthen_targets_to_twice_the_source(text: Path):
    source = Parallel(root=text, vocab_size=330, pad=8)
    source.prepare()
    split = source.split("test")
    for index, length in enumerate(split.lengths):
        example = split[index]
        words = example.inputs[example.inputs != 0]
        assert (
            length
            == len(example.inputs)
            == -(-max(len(words), 2 * len(example.conditions["source"])) // 8) * 8
        )
        assert split.text(example.inputs) == GERMAN[index]
