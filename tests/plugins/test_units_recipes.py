"""The recipes for units from audio alone: with labels they are scored, without they run all the same."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from tests.plugins.small_hubert import replace_base
from tests.tiny import Done, command, write_speech
from unitdisc import load

FEW = (
    *(
        "train.steps=3",
        "train.batch_frames=256",
        "train.crop=48",
        "train.warmup=0",
        "train.checkpoint_every=3",
    ),
    *("train.threads=1", "train.device=cpu", "evaluate.missing=skip"),
)
SMALL = {
    "vae": ("encoder.channels=6", "bottleneck.num_codes=5", "decoder.hidden=6"),
    "cpc": ("encoder.channels=6", "bottleneck.rule.num_codes=5", "decoder.hidden=6", "decoder.steps=2"),
    "segmental": ("encoder.channels=6", "bottleneck.rule.num_codes=5", "decoder.hidden=6"),
    "mfcc": ("bottleneck.num_codes=5", "bottleneck.collect=2"),
}


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("UNITDISC_CACHE", str(tmp_path / "cache"))


def one_line(done: Done, code: int) -> str:
    assert done.code == code, done
    assert done.err.count("\n") == 1
    return done.err


def unlabelled(root: Path) -> Path:
    """Recordings and nothing else: no labels, no speakers, one split."""
    root.mkdir()
    entries = []
    for number in range(3):
        samples = 0.1 * np.random.default_rng(number).standard_normal(8000 + 1000 * number)
        soundfile.write(root / f"{number}.flac", samples, 16000)
        entries.append({"id": f"u{number}", "path": f"{number}.flac"})
    (root / "manifest.jsonl").write_text("\n".join(map(json.dumps, entries)))
    return root


@pytest.mark.parametrize("name", SMALL)
def test_with_labels_a_recipe_is_scored_by_them(name, tmp_path):
    write_speech(tmp_path / "speech")
    done = command(
        *("run", f"speech/units_{name}", f"data.root={tmp_path / 'speech'}", "--out", tmp_path / "run"),
        *(*FEW, *SMALL[name], "metrics.speaker=null", "metrics.speaker_input=null"),
    )
    assert done.code == 0, done.err
    run = load(tmp_path / "run")
    assert {"pnmi", "boundaries", "perplexity"} <= run.metrics["metrics"].keys()
    assert run.model.bottleneck.num_codes == 5
    assert any(parameter.requires_grad for parameter in run.model.parameters()) == (name != "mfcc")


@pytest.mark.parametrize("name", SMALL)
def test_without_labels_speakers_and_splits_it_gives_units_and_says_what_is_left_out(name, tmp_path):
    root = unlabelled(tmp_path / "own")
    nameless = ("decoder.condition=null",) if name != "mfcc" else ()
    done = command(
        *("run", f"speech/units_{name}", f"data.root={root}", "--out", tmp_path / "run", *FEW, *SMALL[name]),
        *(*nameless, "evaluate.split=train", "export.splits=[train]"),
    )
    assert done.code == 0, done.err
    without = ("pnmi", "purity", "boundaries", "speaker", "speaker_input")
    before = ", ".join(f"metrics.{metric}" for metric in without)
    assert f"left out, as the data have nothing for them: {before}\n" in done.out
    assert f"not scored, as the data have nothing for them: {', '.join(without)}\n" in done.out
    run = load(tmp_path / "run")
    assert run.metrics["metrics"].keys() == {"perplexity", "usage"}
    assert {units.key for units in run.units("train")} == {"u0", "u1", "u2"}


def test_missing_labels_are_refused_unless_a_recipe_says_otherwise(tmp_path):
    root = unlabelled(tmp_path / "own")
    done = command(
        *("run", "speech/units_mfcc", f"data.root={root}", "--out", tmp_path / "run", *FEW, *SMALL["mfcc"]),
        *("evaluate.split=train", "export.splits=[train]", "evaluate.missing=refuse"),
    )
    assert "metrics.pnmi: u0: no target 'phones' to score" in one_line(done, 2)


@pytest.mark.torchaudio
def test_units_of_a_pretrained_network_need_its_file_and_no_gradient(tmp_path, monkeypatch):
    write_speech(tmp_path / "speech")
    torch.save(replace_base(monkeypatch, layers=7).state_dict(), tmp_path / "hubert.pt")
    asked = (
        *("run", "speech/units_hubert", f"data.root={tmp_path / 'speech'}", "--out", tmp_path / "run", *FEW),
        *(
            "bottleneck.num_codes=5",
            "bottleneck.collect=2",
            "metrics.speaker=null",
            "metrics.speaker_input=null",
        ),
    )
    assert "encoder.checkpoint is missing; give the file" in one_line(command(*asked), 2)
    done = command(*asked, f"encoder.checkpoint={tmp_path / 'hubert.pt'}")
    assert done.code == 0, done.err
    run = load(tmp_path / "run")
    assert run.model.stride == 2
    assert run.metrics["metrics"]["perplexity"]["values"]["value"] > 1
