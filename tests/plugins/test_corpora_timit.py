"""TIMIT in the layout of the LDC becomes cuts with its own splits and phones."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from lhotse.recipes.timit import get_phonemes, get_speakers

from unitdisc.cli.data import command
from unitdisc.errors import UnitdiscError
from unitdisc.fold import read_fold
from unitdisc.testing import check_reader
from unitdisc_corpora.timit import TIMIT
from unitdisc_speech.source import Speech

SPEAKERS = {
    "TRAIN/DR1/FCJF0": "train",
    "TEST/DR2/MWEW0": "test",
    "TEST/DR1/FAKS0": "dev",
    "TEST/DR3/MXXX0": None,
}
PHONES = [(0, 1600, "h#"), (1600, 4000, "sh"), (4000, 4800, "q"), (4800, 7900, "ix")]


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("UNITDISC_CACHE", str(tmp_path / "cache"))


def ldc(root: Path, *, small: bool = False) -> Path:
    """One SA and one SX sentence of each speaker, as sphere files."""
    for n, place in enumerate(SPEAKERS):
        folder = root / (place.lower() if small else place)
        folder.mkdir(parents=True)
        for sentence in ("SA1", "SX37"):
            stem = folder / (sentence.lower() if small else sentence)
            ends = (".wav", ".phn", ".wrd", ".txt") if small else (".WAV", ".PHN", ".WRD", ".TXT")
            wav, phn, wrd, txt = (stem.with_suffix(end) for end in ends)
            samples = 0.1 * np.random.default_rng(n).standard_normal(8000)
            soundfile.write(wav, samples, 16000, format="NIST", subtype="PCM_16")
            phn.write_text("".join(f"{first} {last} {phone}\n" for first, last, phone in PHONES))
            wrd.write_text("1600 7900 she\n")
            txt.write_text("0 8000 She had.\n")
    return root


def imported(root: Path, out: Path, *options: str) -> Path:
    arguments = ["import", "--from", "timit", str(root), *options, "--out", str(out)]
    CliRunner().invoke(command, arguments, catch_exceptions=False)
    return out


def prepared(root: Path, **settings) -> Speech:
    source = Speech(root=root, **settings)
    source.prepare()
    return source


def error_of(root: Path) -> str:
    with pytest.raises(UnitdiscError) as caught:
        list(TIMIT().read(root))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_sphere_files_become_examples_with_the_label_in_the_middle_of_each_frame(tmp_path):
    source = prepared(imported(ldc(tmp_path / "LDC93S1" / "TIMIT").parent, tmp_path / "out"))
    vocab = source.targets["phones"].vocab
    assert vocab == ("h#", "ix", "q", "sh")
    for split in ("train", "dev", "test"):
        (example,) = source.split(split)
        expected = [
            next((vocab.index(phone) for first, last, phone in PHONES if first <= t * 160 + 80 < last), -1)
            for t in range(50)
        ]
        assert example.targets["phones"].tolist() == expected
    assert source.split("test")[0].key == "mwew0_sx37"
    assert source.split("test").utterances[0].fields == {
        "speaker": "mwew0",
        "sex": "m",
        "dialect_region": "2",
        "sentence": "sx37",
        "sentence_type": "sx",
        "text": "She had.",
    }


def test_the_reader_keeps_the_contract(tmp_path):
    check_reader(TIMIT(sa=True), ldc(tmp_path / "t"))


def test_the_fold_beside_the_import_is_one_for_data_fold(tmp_path):
    out = imported(ldc(tmp_path / "t"), tmp_path / "out")
    source = prepared(out, fold=out / "phones_61_39.tsv")
    assert source.targets["phones"].vocab == ("ih", "sh", "sil")
    assert source.split("train")[0].targets["phones"].tolist()[25:30] == [-1] * 5


@pytest.mark.parametrize("number", [48, 39])
def test_the_folds_are_those_of_lhotse(number):
    (path,) = [path for path in TIMIT().beside() if str(number) in path.name]
    fold = read_fold(path)
    assert len(fold) == 61
    assert len(set(fold.values()) - {""}) == number
    assert fold == {phone: kind for phone, kind in get_phonemes(number).items() if phone != "sil"}


def test_the_splits_are_the_core_test_set_and_the_usual_dev(tmp_path):
    root = ldc(tmp_path / "t")
    dev, core = get_speakers()
    assert (len(dev), len(core), set(dev) & set(core)) == (50, 24, set())
    found = {item.key: item.split for item in TIMIT().read(root)}
    assert found == {"fcjf0_sx37": "train", "mwew0_sx37": "test", "faks0_sx37": "dev"}
    complete = [item.split for item in TIMIT(test="complete", sa=True).read(root)]
    assert (complete.count("train"), complete.count("test")) == (2, 6)


def test_small_letters_and_the_folder_itself_are_taken(tmp_path):
    capitals = list(TIMIT().read(ldc(tmp_path / "a")))
    small = list(TIMIT().read(ldc(tmp_path / "b", small=True)))
    assert [(item.key, item.split, item.tables) for item in capitals] == [
        (item.key, item.split, item.tables) for item in small
    ]


def remove(name: str):
    return lambda root: [path.unlink() for path in root.rglob(name)]


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (
            lambda root: (root / "TEST").rename(root / "OTHER"),
            "no TRAIN and TEST in there; give the folder TIMIT",
        ),
        (remove("*.WAV"), "TRAIN: no DR1/SPEAKER/SENTENCE.WAV in there"),
        (remove("SX37.PHN"), "SX37.WAV: no SX37.PHN beside it"),
        (
            lambda root: (root / "TRAIN/DR1/FCJF0/SX37.PHN").write_text("0 h#\n"),
            "SX37.PHN:1: found '0 h#'; write first sample, last sample and symbol",
        ),
        (
            lambda root: (root / "TRAIN/DR1/FCJF0/SX37.PHN").write_text("h#\n"),
            "SX37.PHN:1: found 'h#'; write first sample, last sample and symbol",
        ),
        (
            lambda root: (root / "TRAIN/DR1/FCJF0/SX37.WAV").write_bytes(b"NIST_1A\n   1024\n shorten"),
            "SX37.WAV is no recording that libsndfile reads",
        ),
    ],
)
def test_a_wrong_layout_is_named_in_one_line(tmp_path, harm, says):
    root = ldc(tmp_path / "t")
    harm(root)
    assert says in error_of(root)


def test_a_real_sample_in_the_ldc_layout_equals_its_corpus_folder(shared_data, tmp_path):
    corpus = shared_data / "speech_phones"
    entries = [json.loads(line) for line in (corpus / "manifest.jsonl").read_text().splitlines()]
    entries = [entry for entry in entries if entry["speaker"] in ("faem0", "fvmh0")]
    labels = [row.split("\t") for row in (corpus / "phones.tsv").read_text().splitlines()[1:]]
    (tmp_path / "t/TEST/DR1/MWEW0").mkdir(parents=True)
    for entry in entries:
        stem = tmp_path / f"t/TRAIN/DR{entry['dialect_region']}/{entry['speaker']}/{entry['sentence']}"
        stem.parent.mkdir(parents=True, exist_ok=True)
        samples, rate = soundfile.read(corpus / entry["path"], dtype="int16")
        soundfile.write(stem.with_suffix(".wav"), samples, rate, format="NIST", subtype="PCM_16")
        rows = [row[1:4] for row in labels if row[0] == entry["id"]]
        stem.with_suffix(".phn").write_text("".join(f"{' '.join(row)}\n" for row in rows))
    some = next((tmp_path / "t/TRAIN").rglob("*.wav"))
    for path in (some, some.with_suffix(".phn")):
        (tmp_path / "t/TEST/DR1/MWEW0" / path.name).write_bytes(path.read_bytes())

    ours = prepared(imported(tmp_path / "t", tmp_path / "out", "sa=true")).split("train").utterances
    theirs = {
        utterance.key: utterance
        for split in ("train", "test")
        for utterance in prepared(corpus).split(split).utterances
    }

    assert len(ours) == len(entries) == 20
    for utterance in ours:
        same = theirs[utterance.key]
        assert (utterance.num_samples, utterance.tables) == (
            same.num_samples,
            {"phones": same.tables["phones"]},
        )
        np.testing.assert_array_equal(utterance.read(), same.read())
