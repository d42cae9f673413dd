"""The speech data source: import, cuts, targets, and what it says about recordings that are wrong."""

from __future__ import annotations

import gzip
import json
import struct
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from click.testing import CliRunner
from lhotse import CutSet

from unitdisc import cache
from unitdisc.cli.data import command
from unitdisc.data import Corpus
from unitdisc.errors import DataError, RecipeError, StorageError, UnitdiscError
from unitdisc.manifest import Label
from unitdisc.testing import check_data
from unitdisc_speech.cuts import read_cuts
from unitdisc_speech.source import Speech


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("UNITDISC_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def sound(length: int, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(length)).astype(np.float32)


def corpus(root: Path, *, rate: int = 16000, phones: bool = True) -> Path:
    """Three utterances: a and b to train on, c with a speaker that training does not know."""
    root.mkdir()
    entries = []
    for key, split, speaker in (("a", "train", "f1"), ("b", "train", "m1"), ("c", "test", "f2")):
        soundfile.write(root / f"{key}.flac", sound(rate, len(entries)), rate)
        entries.append(
            {"id": key, "path": f"{key}.flac", "split": split, "speaker": speaker, "sex": speaker[0]}
        )
    (root / "manifest.jsonl").write_text("\n".join(map(json.dumps, entries)))
    if phones:
        rows = ["id\tstart_sample\tend_sample\tphone\n"]
        tenth = rate // 10
        rows += [f"{key}\t0\t{tenth}\tsil\n{key}\t{tenth}\t{3 * tenth}\tix\n" for key in "abc"]
        rows += [f"a\t{4 * tenth}\t{5 * tenth}\tq\na\t{5 * tenth}\t{5 * tenth + 7}\tb\n"]
        (root / "phones.tsv").write_text("".join(rows))
    return root


def prepared(root: Path, **settings) -> Speech:
    source = Speech(root=root, **settings)
    source.prepare()
    return source


def one(root: Path, samples: np.ndarray, rate: int = 16000, *, name: str = "a.wav", **format_) -> Path:
    """A corpus of one recording."""
    root.mkdir()
    soundfile.write(root / name, samples, rate, **format_)
    (root / "manifest.jsonl").write_text(json.dumps({"id": "utt1", "path": name}))
    return root


def error_of(action) -> str:
    with pytest.raises(UnitdiscError) as caught:
        action()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_construction_reads_nothing_and_knows_the_features():
    source = Speech(root=Path("/nowhere"))
    assert source.features.shape == (3, 81)
    assert (source.features.frame_rate, source.features.unit_of_time) == (100.0, "second")
    assert source.features.standardize


def test_the_source_keeps_the_contract(tmp_path):
    check_data(Speech(root=corpus(tmp_path / "c")))


def test_an_example_has_inputs_targets_and_condition(tmp_path):
    source = prepared(corpus(tmp_path / "c"))
    example = source.split("train")[0]

    assert source.split("train").lengths == [100, 100]
    assert example.key == "a"
    assert example.inputs.shape == (100, 3, 81)
    assert source.targets["phones"].vocab == ("b", "ix", "q", "sil")
    assert source.targets["phones_sequence"].vocab == ("b", "ix", "q")
    assert source.targets["phones_sequence"].kind == "sequence"
    expected = [3] * 10 + [1] * 20 + [-1] * 10 + [2] * 10 + [-1] * 50  # b ends before the middle of frame 50
    assert example.targets["phones"].tolist() == expected
    assert example.targets["phones_sequence"].tolist() == [1, 2, 0]
    assert example.middles["phones_sequence"].tolist() == [20, 45, 50]
    assert source.conditions == {"speaker": ("f1", "m1")}
    assert example.conditions == {"speaker": 0}
    assert source.split("test")[0].conditions == {"speaker": -1}


def test_a_speaker_that_training_does_not_know_has_a_name(tmp_path):
    fields = prepared(corpus(tmp_path / "c")).split("test").fields(0)
    assert (fields["speaker"], fields["sex"]) == ("f2", "f")


def test_frame_labels_are_those_at_the_middle_of_each_frame(shared_data):
    source = prepared(shared_data / "speech_phones")
    split = source.split("test")
    for index in range(0, len(split), 10):
        example, vocab = split[index], source.targets["phones"].vocab
        for t, number in enumerate(example.targets["phones"].tolist()):
            middle = t * 160 + 80
            found = [x.symbol for x in split.utterances[index].tables["phones"] if x.start <= middle < x.end]
            assert found == ([vocab[number]] if number >= 0 else [])


def test_a_fold_merges_classes_and_leaves_out_what_it_maps_to_nothing(tmp_path):
    fold = tmp_path / "fold.tsv"
    fold.write_text("from\tto\nix\tih\nb\tb\nsil\tsil\nq\t\n")
    source = prepared(corpus(tmp_path / "c"), fold=fold)
    example = source.split("train")[0]
    assert source.targets["phones"].vocab == ("b", "ih", "sil")
    assert example.targets["phones"][40:50].tolist() == [-1] * 10
    assert [source.targets["phones_sequence"].vocab[n] for n in example.targets["phones_sequence"]] == [
        "ih",
        "b",
    ]

    fold.write_text("from\tto\nix\tih\n")
    assert "which data.fold does not map" in error_of(lambda: prepared(tmp_path / "c", fold=fold))


@pytest.mark.torchaudio
def test_a_recording_at_8_khz_is_resampled_with_its_labels(tmp_path):
    source = prepared(corpus(tmp_path / "c", rate=8000))
    example = source.split("train")[0]
    assert source.split("train").lengths == [100, 100]
    assert example.inputs.shape == (100, 3, 81)
    assert example.targets["phones"].tolist()[:30] == [3] * 10 + [1] * 20
    assert example.middles["phones_sequence"].tolist() == [20, 45, 50]


def test_without_tables_or_field_there_are_no_targets_and_conditions(tmp_path):
    source = prepared(corpus(tmp_path / "c", phones=False), condition="mood")
    example = source.split("train")[0]
    assert (source.targets, source.conditions, example.targets, example.conditions) == ({}, {}, {}, {})


def test_labels_pass_through_lhotse_sample_for_sample(tmp_path):
    root = corpus(tmp_path / "c", rate=44100)
    rng = np.random.default_rng(0)
    edges = np.unique(rng.integers(0, 44100, 400)).tolist()
    rows = [f"a\t{start}\t{end}\ts\n" for start, end in pairwise(edges)]
    (root / "phones.tsv").write_text("id\tstart_sample\tend_sample\tphone\n" + "".join(rows))

    Speech.import_folder(root, tmp_path, ["phones"])

    utterances, _ = read_cuts(tmp_path)
    expected = [Label(start, end, "s") for start, end in pairwise(edges)]
    assert utterances[0].tables["phones"] == expected
    cut = next(iter(CutSet.from_file(tmp_path / "cuts.jsonl.gz")))
    assert cut.supervisions[0].speaker == "f1"
    assert cut.sex == "f"


def test_a_corpus_is_imported_once_and_again_when_its_manifest_changes(tmp_path, own_cache):
    root = corpus(tmp_path / "c")
    first = prepared(root).checksum()
    assert prepared(root).checksum() == first
    assert len(list((own_cache / "imports").glob("c-*"))) == 1

    manifest = root / "manifest.jsonl"
    manifest.write_text(manifest.read_text().replace("f2", "f3"))

    assert prepared(root).checksum() != first
    assert len(list((own_cache / "imports").glob("c-*"))) == 2


def test_the_checksum_depends_on_every_parameter_that_changes_examples(tmp_path):
    root = corpus(tmp_path / "c")
    changes = [{}, {"num_mels": 40}, {"energy": False}, {"deltas": False}, {"labels": ()}, {"silence": ()}]
    changes += [{"frame_shift": 0.02}, {"frame_length": 0.03}, {"condition": "sex"}, {"sample_rate": 8000}]
    assert len({prepared(root, **change).checksum() for change in changes}) == len(changes)


class Tones(Corpus):
    made = 0

    def __init__(self, *, number: int) -> None:
        self.number = number

    def make(self, folder: Path) -> None:
        Tones.made += 1
        soundfile.write(folder / "a.wav", sound(1000 * self.number), 16000)
        (folder / "manifest.jsonl").write_text('{"id": "a", "path": "a.wav"}')


def test_a_corpus_component_is_made_once_per_parameters(monkeypatch):
    monkeypatch.setattr(Tones, "made", 0)
    lengths = []
    for number in (1, 2, 1):
        source = Speech(corpus=Tones(number=number))
        source.prepare()
        lengths += source.split("train").lengths
    assert lengths == [6, 13, 6]
    assert Tones.made == 2


def test_root_or_corpus_is_needed_and_not_both():
    assert "data.root is missing" in error_of(Speech().prepare)
    assert "found both" in error_of(lambda: Speech(root=Path("x"), corpus=Tones(number=1)))
    assert "no label table to fold" in error_of(lambda: Speech(root=Path("x"), labels=(), fold=Path("y")))


def test_an_unknown_split_names_the_existing_ones(tmp_path):
    source = prepared(corpus(tmp_path / "c"))
    assert "no split 'dev' (existing: test, train)" in error_of(lambda: source.split("dev"))


def test_a_missing_folder_is_named(tmp_path):
    assert f"{tmp_path / 'gone'}: no such folder" in error_of(lambda: prepared(tmp_path / "gone"))


def test_one_sample_and_silence_are_examples(tmp_path):
    single = prepared(one(tmp_path / "single", sound(1))).split("train")
    silent = prepared(one(tmp_path / "silent", np.zeros(16000))).split("train")
    assert single.lengths == [1]
    assert single[0].inputs.shape == (1, 3, 81)
    assert silent[0].inputs.isfinite().all()


def test_a_recording_without_samples_is_refused(tmp_path):
    root = one(tmp_path / "c", sound(0))
    assert "utt1: " in error_of(lambda: prepared(root))
    assert "has no samples" in error_of(lambda: prepared(root))


def test_an_empty_file_and_a_file_of_another_kind_are_refused(tmp_path):
    root = one(tmp_path / "c", sound(100))
    (root / "a.wav").write_bytes(b"")
    assert "a.wav is no recording (Format not recognised)" in error_of(lambda: prepared(root))
    (root / "a.raw").write_bytes(b"\0" * 100)
    (root / "manifest.jsonl").write_text('{"id": "utt1", "path": "a.raw"}')
    assert "utt1: " in error_of(lambda: prepared(root))


def test_stereo_is_refused(tmp_path):
    root = one(tmp_path / "c", np.zeros((100, 2)))
    assert "a.wav has 2 channels; give one channel" in error_of(lambda: prepared(root))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_float_recording_with_nan_or_infinity_is_refused(tmp_path, bad):
    samples = sound(1000)
    samples[500] = bad
    split = prepared(one(tmp_path / "c", samples, subtype="FLOAT")).split("train")
    assert "utt1 (" in error_of(lambda: split[0])
    assert "NaN or infinite" in error_of(lambda: split[0])


def test_a_damaged_flac_is_refused(tmp_path):
    root = one(tmp_path / "c", sound(16000), name="a.flac")
    split = prepared(root).split("train")
    content = (root / "a.flac").read_bytes()
    (root / "a.flac").write_bytes(content[: len(content) // 2])
    assert "a.flac is damaged (flac decoder lost sync)" in error_of(lambda: split[0])


def test_a_file_that_changed_its_length_is_refused(tmp_path):
    root = one(tmp_path / "c", sound(16000))
    split = prepared(root).split("train")
    soundfile.write(root / "a.wav", sound(8000), 16000)
    assert "has 8000 samples at 16000 Hz, imported were 16000" in error_of(lambda: split[0])


@pytest.mark.parametrize("said", [{"n_samples": 99}, {"sample_rate": 8000}, {"duration": 2.0}])
def test_a_manifest_that_contradicts_the_file_is_refused(tmp_path, said):
    root = one(tmp_path / "c", sound(100))
    (root / "manifest.jsonl").write_text(json.dumps({"id": "utt1", "path": "a.wav", **said}))
    message = error_of(lambda: prepared(root))
    assert "manifest.jsonl:1: utt1 has 100 samples at 16000 Hz, the manifest says" in message


def test_a_label_beyond_the_end_of_the_file_is_refused(tmp_path):
    root = one(tmp_path / "c", sound(100))
    (root / "phones.tsv").write_text("id\tstart_sample\tend_sample\tphone\nutt1\t0\t101\ts\n")
    assert "phones.tsv: a label of utt1 ends at sample 101" in error_of(lambda: prepared(root))


def day_long(root: Path) -> Path:
    """24 hours of silence, 8 bit at 8 kHz, as a file with a hole."""
    root.mkdir()
    size = 24 * 3600 * 8000
    form = struct.pack("<4sI4s", b"RIFF", 36 + size, b"WAVE")
    form += struct.pack("<4sIHHIIHH4sI", b"fmt ", 16, 1, 1, 8000, 8000, 1, 8, b"data", size)
    with (root / "a.wav").open("wb") as file:
        file.write(form)
        file.truncate(len(form) + size)
    (root / "manifest.jsonl").write_text('{"id": "utt1", "path": "a.wav", "duration": 86400}')
    return root


def test_a_24_hour_recording_is_imported_but_refused_before_it_is_loaded(tmp_path):
    root = day_long(tmp_path / "c")
    began = time.monotonic()
    message = error_of(lambda: prepared(root))
    assert "86400 s long, accepted are 3600 s; cut it into shorter recordings" in message
    assert prepared(root, max_seconds=1e5).split("train").lengths == [8_640_000]
    assert time.monotonic() - began < 10


def test_featurize_needs_no_corpus_and_equals_the_example(tmp_path):
    samples = sound(5000)
    root = one(tmp_path / "c", samples, subtype="FLOAT")
    featurized = Speech(root=Path("/nowhere")).featurize(samples, 16000)
    assert torch.equal(featurized, prepared(root).split("train")[0].inputs)
    assert torch.equal(featurized, Speech(root=Path("/nowhere")).featurize(samples.astype(np.float64), 16000))


@pytest.mark.parametrize(
    ("signal", "rate", "says"),
    [
        (np.zeros((2, 100)), 16000, "found float64 of shape (2, 100)"),
        (np.zeros(0), 16000, "shape (0,)"),
        (np.zeros(100, np.int16), 16000, "found int16"),
        (np.array([0.0, np.nan]), 16000, "NaN or infinite"),
        (np.array([0.0, 1e300]), 16000, "NaN or infinite"),
        (np.full(400, 1e30) * np.resize([1, -1], 400), 16000, "samples reach 1e+30"),
        (np.zeros(100), None, "found no rate; give the samples per second, such as 16000"),
        (np.zeros(100), "8000", "found the rate '8000'"),
        (np.full(100, 3000.0), 8000, "samples reach 3000; give floats in [-1, 1]"),
        (np.zeros(100), 0.0, "the rate is 0.0 Hz"),
        (np.zeros(100), 16000.5, "the rate is 16000.5 Hz"),
        (np.zeros(100), float("nan"), "the rate is nan Hz"),
        (np.zeros(100), 0.01, "the rate is 0.01 Hz"),
        (np.zeros(7_300_000), 2000, "3650 s long"),
    ],
)
def test_featurize_says_what_is_wrong_with_a_signal(signal, rate, says):
    assert says in error_of(lambda: Speech(root=Path("x")).featurize(signal, rate))


def edited(folder: Path, change) -> Path:
    with gzip.open(folder / "cuts.jsonl.gz", "rt") as file:
        cuts = [json.loads(line) for line in file]
    change(cuts[0])
    with gzip.open(folder / "cuts.jsonl.gz", "wt") as file:
        file.writelines(json.dumps(cut) + "\n" for cut in cuts)
    return folder


def source_of(cut: dict) -> dict:
    return cut["recording"]["sources"][0]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            lambda cut: source_of(cut).update(type="command", source="touch pwned"),
            "source of the type 'command'",
        ),
        (lambda cut: source_of(cut).update(type="url"), "source of the type 'url'"),
        (lambda cut: source_of(cut).update(source="/etc/passwd"), "lies outside of"),
        (lambda cut: source_of(cut).update(video={}), "a source with video"),
        (lambda cut: cut.update(features={"storage_type": "memory_raw"}), "a cut with features"),
        (lambda cut: cut["recording"].update(transforms=[{"name": "Speed"}]), "a recording with transforms"),
        (lambda cut: cut["custom"].update(x={"storage_type": "memory_pickle"}), "not a single value"),
        (lambda cut: cut["supervisions"][0].update(custom={"x": {}}), "a supervision with custom"),
        (lambda cut: cut.update(start=0.5), "not a whole recording"),
        (lambda cut: cut.update(type="MixedCut"), "not a whole recording"),
        (lambda cut: cut["recording"].update(num_samples="9"), "'9' samples"),
        (lambda cut: cut.pop("recording"), "'recording' is missing"),
        (lambda cut: cut.clear(), "is missing"),
    ],
)
def test_cuts_that_the_import_does_not_write_never_reach_lhotse(tmp_path, monkeypatch, change, says):
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "imported"
    cache.once(out, lambda part: Speech.import_folder(corpus(tmp_path / "c"), part, ["phones"]))

    message = error_of(lambda: prepared(edited(out, change)))

    assert "cuts.jsonl.gz:1: " in message
    assert says in message
    assert not Path("pwned").exists()


def test_damaged_cuts_and_a_lost_corpus_are_named(tmp_path):
    root, out = corpus(tmp_path / "c"), tmp_path / "imported"
    cache.once(out, lambda part: Speech.import_folder(root, part, ()))
    root.rename(tmp_path / "moved")
    assert f"the corpus folder {root} is gone" in error_of(lambda: prepared(out))
    (tmp_path / "moved").rename(root)
    cuts = out / "cuts.jsonl.gz"
    whole = cuts.read_bytes()
    cuts.write_bytes(whole[:-20])
    assert "import the corpus again" in error_of(lambda: prepared(out))
    cuts.write_bytes(b"no gzip")
    assert "import the corpus again" in error_of(lambda: prepared(out))
    (out / "import.json").write_text("{}")
    assert "'root' is missing" in error_of(lambda: prepared(out))


def imported(*arguments: str) -> list[str]:
    result = CliRunner().invoke(command, ["import", *arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.output.splitlines()


def test_the_import_command_writes_a_folder_that_a_recipe_can_use(tmp_path):
    root = corpus(tmp_path / "c")
    summary, place = imported(str(root), "--out", str(tmp_path / "out"))
    assert summary == (
        "speech: 3 utterances, 3 speakers, splits train, test, 0.00 hours, label tables: phones"
    )
    assert prepared(Path(place)).checksum() == prepared(root).checksum()


def test_the_import_command_without_out_writes_into_the_cache_once(tmp_path, own_cache):
    root = str(corpus(tmp_path / "c"))
    first, place = imported(root, "--labels", "phones", "--as", "speech")
    again, same = imported(root, "--labels", "phones", "--as", "speech")
    assert place == same
    assert Path(place).is_relative_to(own_cache)
    assert (first.split(",")[0], again) == ("speech: 3 utterances", "speech: 3 entries, imported before")
    prepared(tmp_path / "c")
    assert len(list((own_cache / "imports").glob("c-*"))) == 1


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        (["--out", "."], StorageError, "is already there"),
        (["--labels", "words"], DataError, r"words.tsv: no such label table \(found phones\)"),
        (["--as", "synth_speech"], UnitdiscError, "has no import_folder"),
    ],
)
def test_the_import_command_says_what_is_wrong(tmp_path, arguments, error, says):
    root = corpus(tmp_path / "c")
    with pytest.raises(error, match=says):
        CliRunner().invoke(command, ["import", str(root), *arguments], catch_exceptions=False)


def test_the_import_command_refuses_a_label_table_whose_header_is_nearly_right(tmp_path):
    root = corpus(tmp_path / "c")
    table = root / "phones.tsv"
    table.write_text(table.read_text().replace("start_sample", "start"))
    with pytest.raises(DataError, match=r"phones.tsv:1: the header is id, start, .*give id, start_sample"):
        imported(str(root), "--out", str(tmp_path / "out"))
    assert not list(tmp_path.glob("*out*"))


def test_the_import_command_names_the_accepted_kinds_of_files(tmp_path):
    (tmp_path / "a.mp3").touch()
    (tmp_path / "manifest.jsonl").write_text('{"id": "a", "path": "a.mp3"}')
    with pytest.raises(DataError, match=r"no data source imports \*\.mp3 \(accepted: .*\.flac"):
        CliRunner().invoke(command, ["import", str(tmp_path)], catch_exceptions=False)


def test_160_real_recordings_become_features_in_seconds(shared_data):
    source = prepared(shared_data / "speech_phones", fold=shared_data / "speech_phones" / "phones_61_39.tsv")
    began = time.monotonic()
    for name in ("train", "test"):
        split = source.split(name)
        assert [len(split[index].inputs) for index in range(len(split))] == split.lengths
    assert time.monotonic() - began < 20  # one second on a quiet core
    assert len(source.targets["phones"].vocab) == 39
    assert len(source.conditions["speaker"]) == 12


def test_errors_of_the_recipe_are_recipe_errors():
    with pytest.raises(RecipeError):
        Speech(root=Path("x"), frame_shift=0.0333)
