"""WSJ as Kaldi prepares it, in miniature, through both presets of paper A as they stand."""

from __future__ import annotations

import json
from itertools import groupby
from pathlib import Path

import pytest

from tests.plugins.small_kaldi import frames_of, phones_of, wsj
from tests.tiny import command


def exported(path: Path) -> dict[str, int]:
    """Return the number of units of each utterance."""
    rows = map(json.loads, path.read_text().splitlines())
    return {row["file"]: len(row["units"]) for row in rows}


@pytest.mark.parametrize("preset", ["paper", "code"])
def test_a_kaldi_directory_of_wsj_trains_scores_dev93_and_exports_without_a_change_of_recipe(
    tmp_path: Path, preset: str
):
    imported, run = tmp_path / "imported", tmp_path / "run"
    done = command("data", "import", "--from", "kaldi", wsj(tmp_path / "wsj"), "--out", imported)
    assert done.code == 0, done.err

    settings = [f"data.root={imported}", "train.steps=2"]
    done = command("run", "speech/wsj/bn_ema", "--preset", preset, *settings, "--out", run)

    assert done.code == 0, done.err
    found = json.loads((run / "metrics.json").read_text())
    assert (found["split"], found["checkpoint_step"]) == ("dev", 2)
    # Each of dev93 and eval92 has one utterance of half a second, whose phones Kaldi aligned.
    phones = len(list(groupby(phones_of("4k0a", frames_of(8000)))))
    for name in ("per", "per_utterance", "per_alignment"):
        values = found["metrics"][name]["values"]
        assert (values["utterances"], values["reference_length"]) == (1, phones)
    # 50 frames, three of them a unit.
    assert exported(run / "units" / "units-dev.jsonl") == {"4k0a": 17}
    assert exported(run / "units" / "units-test.jsonl") == {"440a": 17}
