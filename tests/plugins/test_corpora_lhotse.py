"""lhotse's manifests are read as data: what they hold becomes cuts, what they would run never runs."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from lhotse import CutSet, Recording, RecordingSet, SupervisionSegment, SupervisionSet
from lhotse.supervision import AlignmentItem

from unitdisc.cli.data import command
from unitdisc.errors import DataError, UnitdiscError
from unitdisc.testing import check_reader
from unitdisc_corpora.manifests import Lhotse
from unitdisc_speech.source import Speech


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("UNITDISC_CACHE", str(tmp_path / "cache"))


def sets(root: Path) -> tuple[RecordingSet, SupervisionSet]:
    """A recording of two seconds with two utterances, made by lhotse itself."""
    root.mkdir(parents=True, exist_ok=True)
    soundfile.write(root / "r.wav", 0.1 * np.random.default_rng(0).standard_normal(32000), 16000)
    first = SupervisionSegment("u1", "r", 0.25, 0.5, text="ONE", speaker="s1", gender="female")
    second = SupervisionSegment("u2", "r", 1.1, 0.9, text="TWO", speaker="s2")
    items = [AlignmentItem("AA", 0.25, 0.1), AlignmentItem("S", 0.35, 0.4)], [AlignmentItem("S", 1.1, 0.9)]
    labelled = [item.with_alignment("phone", rows) for item, rows in zip((first, second), items, strict=True)]
    return RecordingSet([Recording.from_file(root / "r.wav", "r")]), SupervisionSet(labelled)


def supervised(root: Path, part: str = "train-clean-5") -> Path:
    recordings, supervisions = sets(root)
    recordings.to_file(root / f"corpus_recordings_{part}.jsonl.gz")
    supervisions.to_file(root / f"corpus_supervisions_{part}.jsonl.gz")
    return root


def cut(root: Path, part: str = "train") -> Path:
    recordings, supervisions = sets(root)
    cuts = CutSet.from_manifests(recordings, supervisions).trim_to_supervisions()
    CutSet.from_cuts([item.with_id(f"u{n}") for n, item in enumerate(cuts, 1)]).to_file(
        root / f"cuts_{part}.jsonl"
    )
    return root


def edited(path: Path, change) -> None:
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt") as file:
        rows = [json.loads(line) for line in file]
    change(rows[0])
    with opened(path, "wt") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def error_of(root: Path) -> str:
    with pytest.raises(UnitdiscError) as caught:
        list(Lhotse().read(root))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("make", [supervised, cut])
def test_supervisions_and_cuts_become_the_same_examples_with_frame_labels(tmp_path, make):
    root, out = make(tmp_path / "c"), tmp_path / "out"
    CliRunner().invoke(
        command, ["import", "--from", "lhotse", str(root), "--out", str(out)], catch_exceptions=False
    )
    source = Speech(root=out)
    source.prepare()
    first, second = source.split("train")
    assert source.targets["phones"].vocab == ("AA", "S")
    assert first.targets["phones"].tolist() == [0] * 10 + [1] * 40
    assert second.targets["phones"].tolist() == [1] * 90
    assert source.split("train").utterances[0].fields == {"speaker": "s1", "sex": "female", "text": "ONE"}
    samples, _ = soundfile.read(root / "r.wav", dtype="float32")
    np.testing.assert_array_equal(source.split("train").utterances[1].read(), samples[17600:32000])


@pytest.mark.parametrize("make", [supervised, cut])
def test_the_reader_keeps_the_contract(tmp_path, make):
    check_reader(Lhotse(), make(tmp_path / "c"))


def test_the_part_in_the_name_is_the_split(tmp_path):
    for part in ("train-clean-5", "dev-clean-2", "mine"):
        supervised(tmp_path / "c", part)
    assert [item.split for item in Lhotse().read(tmp_path / "c")] == [
        "dev", "dev", "mine", "mine", "train", "train",
    ]  # fmt: skip


def test_no_part_in_the_name_is_train(tmp_path):
    root = supervised(tmp_path / "c")
    for path in list(root.glob("corpus_*")):
        path.rename(root / path.name.replace("_train-clean-5", ""))
    assert {item.split for item in Lhotse().read(root)} == {"train"}
    (root / "corpus_recordings.jsonl.gz").rename(root / "dev_recordings.jsonl.gz")
    (root / "corpus_supervisions.jsonl.gz").rename(root / "dev_supervisions.jsonl.gz")
    assert {item.split for item in Lhotse().read(root)} == {"dev"}


def test_two_corpora_in_a_folder_are_both_read(tmp_path):
    root = supervised(tmp_path / "c")
    (root / "other_recordings_train-clean-5.jsonl.gz").write_bytes(
        (root / "corpus_recordings_train-clean-5.jsonl.gz").read_bytes()
    )
    supervisions = SupervisionSet.from_file(root / "corpus_supervisions_train-clean-5.jsonl.gz")
    supervisions.transform_text(str.lower).to_file(root / "other_supervisions_train-clean-5.jsonl.gz")
    texts = [item.fields["text"] for item in Lhotse().read(root)]
    assert texts == ["ONE", "TWO", "one", "two"]


def test_a_relative_path_is_relative_to_the_manifests(tmp_path):
    root = cut(tmp_path / "c")
    edited(root / "cuts_train.jsonl", lambda row: row["recording"]["sources"][0].update(source="r.wav"))
    assert next(Lhotse().read(root)).path == root / "r.wav"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            lambda row: row["sources"][0].update(type="command", source="touch pwned"),
            "found an audio source of the type 'command', which is never opened; accepted is file",
        ),
        (lambda row: row["sources"][0].update(type="url"), "the type 'url'"),
        (lambda row: row["sources"][0].update(type="memory"), "the type 'memory'"),
        (lambda row: row["sources"][0].update(source="gone.wav"), "gone.wav, which does not exist"),
        (lambda row: row["sources"][0].update(channels=[0, 1]), "the channels [0, 1]"),
        (lambda row: row.update(transforms=[{"name": "Speed"}]), "a recording with transforms"),
        (lambda row: row.pop("sources"), "'sources' is missing"),
        (lambda row: row.update(sources=3), "found cannot unpack"),
    ],
)
def test_what_lhotse_would_run_or_fetch_is_refused_in_one_line(tmp_path, monkeypatch, change, says):
    monkeypatch.chdir(tmp_path)
    root = supervised(tmp_path / "c")
    edited(root / "corpus_recordings_train-clean-5.jsonl.gz", change)
    message = error_of(root)
    assert "corpus_recordings_train-clean-5.jsonl.gz:1: " in message
    assert says in message
    assert not Path("pwned").exists()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda row: row.update(type="MixedCut"), "a cut of the type 'MixedCut'; accepted is MonoCut"),
        (lambda row: row.pop("recording"), "'recording' is missing"),
        (lambda row: row["recording"].update(num_samples=5), "5 samples at 16000 Hz, which"),
        (lambda row: row.update(start="x"), "could not convert string to float"),
        (
            lambda row: row["supervisions"].append({**row["supervisions"][0], "speaker": "z"}),
            "several values of",
        ),
    ],
)
def test_a_cut_that_is_no_plain_utterance_is_refused_in_one_line(tmp_path, change, says):
    root = cut(tmp_path / "c")
    edited(root / "cuts_train.jsonl", change)
    assert f"cuts_train.jsonl:1: found {says}" in error_of(root).replace(": 'rec", ": found 'rec")


def test_a_wrong_folder_or_a_damaged_manifest_is_named_in_one_line(tmp_path):
    (tmp_path / "c").mkdir()
    assert "no recordings_PART.jsonl.gz with supervisions_PART.jsonl.gz" in error_of(tmp_path / "c")
    root = supervised(tmp_path / "c")
    manifest = root / "corpus_supervisions_train-clean-5.jsonl.gz"
    whole = manifest.read_bytes()
    manifest.write_bytes(whole[:-9])
    assert "train-clean-5.jsonl.gz:" in error_of(root)
    manifest.unlink()
    assert "has no supervisions beside it" in error_of(root)
    (root / "cuts.jsonl").write_text("{\n")
    (root / "corpus_recordings_train-clean-5.jsonl.gz").unlink()
    assert "cuts.jsonl: line 1 or after: " in error_of(root)


def test_a_supervision_beyond_its_recording_leaves_nothing_behind(tmp_path):
    root = supervised(tmp_path / "c")
    edited(root / "corpus_supervisions_train-clean-5.jsonl.gz", lambda row: row.update(duration=9.0))
    arguments = ["import", "--from", "lhotse", str(root), "--out", str(tmp_path / "out")]
    with pytest.raises(DataError, match=r"u1 goes from 0.25 to 9.25 s of a recording of 2 s"):
        CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert not list(tmp_path.glob("*out*"))
