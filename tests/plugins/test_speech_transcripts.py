"""Transcripts without times: symbols, characters, words through a lexicon, and their return with times."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from unitdisc.data import collate
from unitdisc.errors import DataError, RecipeError, UnitdiscError
from unitdisc.manifest import Label, read_folder
from unitdisc.testing import check_data
from unitdisc_speech.source import Speech
from unitdisc_speech.transcripts import read_lexicon


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("UNITDISC_CACHE", str(tmp_path / "cache"))


def corpus(root: Path, *, rate: int = 16000, **fields: list[str]) -> Path:
    """Utterances of one second with these manifest fields; the last is the test split."""
    root.mkdir()
    count = len(next(iter(fields.values())))
    entries = []
    for number in range(count):
        path = f"u{number}.flac"
        noise = 0.1 * np.random.default_rng(number).standard_normal(rate)
        soundfile.write(root / path, noise.clip(-1, 1), rate)
        said = {name: values[number] for name, values in fields.items() if values[number]}
        split = "test" if number == count - 1 else "train"
        entries.append({"id": f"u{number}", "path": path, "split": split, "speaker": "v", **said})
    (root / "manifest.jsonl").write_text("\n".join(map(json.dumps, entries)))
    return root


def prepared(root: Path, **settings) -> Speech:
    source = Speech(root=root, **settings)
    source.prepare()
    return source


def said(source: Speech, split: str = "train", *, name: str = "phones_sequence") -> list[list[str]]:
    vocab = source.targets[name].vocab
    examples = source.split(split)
    return [[vocab[n] for n in examples[index].targets[name]] for index in range(len(examples))]


def error_of(action, kind: type[UnitdiscError] = DataError) -> str:
    with pytest.raises(kind) as caught:
        action()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_field_of_symbols_is_the_sequence_without_frames_or_times(tmp_path):
    root = corpus(tmp_path / "c", phones=["h# b  aa h#", "d b", "aa"])
    source = prepared(root, transcript="phones")
    assert set(source.targets) == {"phones_sequence"}
    assert source.targets["phones_sequence"].vocab == ("aa", "b", "d")  # h# is silence
    assert said(source) == [["b", "aa"], ["d", "b"]]
    example = source.split("train")[0]
    assert example.middles == {}
    assert error_of(lambda: example.crop(0, 50)).startswith("u0: phones_sequence has no times")
    assert collate([example]).targets["phones_sequence"].lengths.tolist() == [2]
    check_data(Speech(root=root, transcript="phones"))


def test_a_field_of_characters_takes_the_name_of_the_first_label_table(tmp_path):
    root = corpus(tmp_path / "c", text=[" Oh  no", "on", "h"])
    source = prepared(root, labels=("letters",), transcript="text", characters=True)
    assert said(source, name="letters_sequence")[0] == ["O", "h", "|", "n", "o"]


def test_a_lexicon_spells_words_whatever_their_case_and_punctuation(tmp_path):
    lexicon = tmp_path / "lexicon.txt"
    lexicon.write_text(
        ";;; a comment\nDON'T  D OW N T\nTIS\tT IH Z\nA AH0\nA EY1\n'TWAS T W\nA(2) EY1\n", encoding="utf-8"
    )
    root = corpus(tmp_path / "c", text=["\u201cDon\u2019t!\u201d - a,", "'tis 'twas", "A"])
    source = prepared(root, transcript="text", lexicon=lexicon)
    assert said(source) == [["D", "OW", "N", "T", "AH0"], ["T", "IH", "Z", "T", "W"]]
    lexicon.write_text("a AH0")
    assert "u0: '\u201cDon\u2019t!\u201d' is not in data.lexicon" in error_of(
        lambda: prepared(root, transcript="text", lexicon=lexicon)
    )


def test_a_fold_and_silence_count_for_transcripts(tmp_path):
    fold = tmp_path / "fold.tsv"
    fold.write_text("from\tto\nix\tih\nb\tb\nbcl\tsil\nq\t\n")
    root = corpus(tmp_path / "c", phones=["q ix bcl b", "b", "b"])
    source = prepared(root, transcript="phones", fold=fold)
    assert said(source)[0] == ["ih", "b"]
    fold.write_text("from\tto\nix\tih\n")
    message = error_of(lambda: prepared(root, transcript="phones", fold=fold))
    assert message.startswith("u0: phones has 'q', which data.fold does not map")


def test_a_label_table_with_times_counts_before_the_transcript(tmp_path):
    root = corpus(tmp_path / "c", phones=["a b", "a", "b"])
    (root / "phones.tsv").write_text("id\tstart_sample\tend_sample\tphone\nu0\t0\t8000\tx\n")
    source = prepared(root, transcript="phones")
    assert set(source.targets) == {"phones", "phones_sequence"}
    assert said(source) == [["x"], []]
    assert "phones_sequence" in source.split("train")[0].middles


def test_an_utterance_without_the_field_is_named(tmp_path):
    root = corpus(tmp_path / "c", phones=["a", "", "b"])
    message = error_of(lambda: prepared(root, transcript="phones"))
    assert message.startswith("u1: the manifest has no field 'phones' for data.transcript (fields: speaker")


def test_parameters_that_contradict_each_other_are_refused():
    for settings, says in (
        ({"characters": True}, "data.transcript is missing"),
        ({"lexicon": Path("x")}, "data.transcript is missing"),
        ({"transcript": "text", "characters": True, "lexicon": Path("x")}, "both characters and lexicon"),
        ({"transcript": "text", "labels": ()}, "takes the place of the first of data.labels"),
    ):
        assert says in error_of(lambda settings=settings: Speech(root=Path("x"), **settings), RecipeError)


def test_a_wrong_lexicon_is_named_with_its_line(tmp_path):
    path = tmp_path / "lexicon.txt"
    for text, says in (
        ("a AH\nbee\n", f"{path}:2: 'bee' has no symbols"),
        (";;; nothing\n", f"{path}: empty"),
    ):
        path.write_text(text)
        assert error_of(lambda: read_lexicon(path)).startswith(says)
    assert error_of(lambda: read_lexicon(tmp_path / "gone")).startswith(
        f"{tmp_path / 'gone'}: cannot be read"
    )


def test_the_checksum_depends_on_how_the_transcript_is_spelt(tmp_path):
    lexicon = tmp_path / "lexicon.txt"
    lexicon.write_text("a x\nb y\n")
    root = corpus(tmp_path / "c", phones=["a", "b", "a"], text=["a", "b", "a"])
    changes = [{}, {"transcript": "phones"}, {"transcript": "text"}]
    changes += [{"transcript": "text", **more} for more in ({"characters": True}, {"lexicon": lexicon})]
    sums = [prepared(root, **change).checksum() for change in changes]
    lexicon.write_text("a x\nb z\n")
    sums.append(prepared(root, transcript="text", lexicon=lexicon).checksum())
    assert len(set(sums)) == len(sums)


@pytest.mark.torchaudio
def test_times_return_in_samples_of_the_recording_with_unfolded_symbols_and_silence(tmp_path):
    fold = tmp_path / "fold.tsv"
    fold.write_text("from\tto\nix\tih\nb\tb\nh#\tsil\n")
    root = corpus(tmp_path / "c", rate=8000, phones=["h# ix b", "b", "b"])
    (root / "words.tsv").write_text("id\tstart_sample\tend_sample\tword\nu0\t0\t800\tto\n")
    source = prepared(root, transcript="phones", fold=fold, labels=("phones", "words"))
    (tmp_path / "out").mkdir()
    spans = {"u0": [(10.5, 20.0), (20.0, 90.0)], "u2": [(0.0, 100.0)]}

    assert source.write_aligned(tmp_path / "out", "phones_sequence", spans).startswith("2 utterances")

    timed = prepared(tmp_path / "out", transcript="phones", fold=fold)
    assert timed.split("train").utterances[0].tables["phones"] == [
        Label(0, 840, "h#"),
        Label(840, 1600, "ix"),
        Label(1600, 7200, "b"),
        Label(7200, 8000, "h#"),
    ]
    assert timed.split("test").utterances[0].tables["phones"] == [Label(0, 8000, "b")]
    assert timed.split("train").utterances[0].tables["words"] == [Label(0, 800, "to")]
    assert said(timed) == said(source)[:1]
    # The table can be laid beside the manifest.
    (root / "phones.tsv").write_bytes((tmp_path / "out" / "phones.tsv").read_bytes())
    labels = read_folder(root, tables=["phones"], unit="sample").tables["phones"]
    assert labels["u0"] == timed.split("train").utterances[0].tables["phones"]


@pytest.mark.torchaudio
def test_frame_targets_change_at_the_frame_where_a_span_ends(tmp_path):
    source = prepared(
        corpus(tmp_path / "c", rate=8000, phones=["a b", "b", "b"]), transcript="phones", silence=()
    )
    (tmp_path / "out").mkdir()
    source.write_aligned(tmp_path / "out", "phones_sequence", {"u0": [(10.0, 33.0), (33.0, 80.0)]})
    timed = prepared(tmp_path / "out")
    frames = timed.split("train")[0].targets["phones"]
    assert timed.targets["phones"].vocab == ("a", "b")
    assert torch.equal(frames, torch.tensor([-1] * 10 + [0] * 23 + [1] * 47 + [-1] * 20))
