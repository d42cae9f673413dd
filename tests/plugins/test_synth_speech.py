"""The corpus of synthetic speech: its form, its times, its purity, its messages."""

from __future__ import annotations

import csv
import itertools
import json
import math
import sys

import numpy as np
import pytest

from unitdisc.errors import DataError, PluginError, RecipeError
from unitdisc.manifest import read_folder
from unitdisc_synth.phones import fold, segments
from unitdisc_synth.resample import resample
from unitdisc_synth.speaker import TEST_VOICES, TRAIN_VOICES, Voice, speak
from unitdisc_synth.speech import BUNDLED, SynthSpeech

VOWELS = {"@", "I", "i", "a", "E", "eI", "aI", "oU", "u", "U", "V", "0", "O", "aU", "OI", "3"}
SIBILANTS = {"s", "z", "S", "Z", "tS", "dZ"}


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    pytest.importorskip("espeakng_loader")
    folder = tmp_path_factory.mktemp("synth_speech")
    SynthSpeech(voices=5, test_voices=2, sentences=6).make(folder)
    return folder


def manifest(folder):
    return [json.loads(line) for line in (folder / "manifest.jsonl").read_text(encoding="utf-8").splitlines()]


def phones(folder):
    """Return {id: [(start, end, phone)]} from the table."""
    table = {}
    with (folder / "phones.tsv").open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE):
            interval = (int(row["start_sample"]), int(row["end_sample"]), row["phone"])
            table.setdefault(row["id"], []).append(interval)
    return table


def recordings(folder):
    soundfile = pytest.importorskip("soundfile")
    for entry in manifest(folder):
        audio, rate = soundfile.read(folder / entry["path"], dtype="int16")
        yield entry, audio.astype(np.float64), rate


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_manifest_says_what_the_recordings_are(corpus):
    for entry, audio, rate in recordings(corpus):
        assert (rate, audio.ndim) == (16000, 1)
        assert (entry["n_samples"], entry["sample_rate"]) == (len(audio), rate)
        assert entry["duration"] == pytest.approx(len(audio) / rate)
        assert entry["text"]
    assert len({entry["id"] for entry in manifest(corpus)}) == 7 * 6


def test_the_importer_accepts_the_folder(corpus):
    folder = read_folder(corpus, tables=["phones"], unit="sample")
    assert folder.splits() == ["train", "test"]
    assert set(folder.tables["phones"]) == {entry.key for entry in folder.entries}


def test_no_voice_is_in_both_splits(corpus):
    speakers = {
        split: {e["speaker"] for e in manifest(corpus) if e["split"] == split} for split in ("train", "test")
    }
    assert len(speakers["train"]) == 5
    assert len(speakers["test"]) == 2
    assert not {voice.name for voice in TRAIN_VOICES} & {voice.name for voice in TEST_VOICES}


def test_voices_speak_different_sentences(corpus):
    spoken = {}
    for entry in manifest(corpus):
        spoken.setdefault(entry["speaker"], set()).add(entry["text"])
    assert len({frozenset(texts) for texts in spoken.values()}) == 7


def test_phones_tile_every_recording_and_begin_and_end_in_silence(corpus):
    table = phones(corpus)
    for entry in manifest(corpus):
        intervals = table[entry["id"]]
        assert intervals[0][0] == 0
        assert intervals[-1][1] == entry["n_samples"]
        assert all(start < end for start, end, _ in intervals)
        assert all(left[1] == right[0] for left, right in itertools.pairwise(intervals))
        assert intervals[0][2] == intervals[-1][2] == "sil"


def test_silences_hold_nothing_but_dither(corpus):
    ringing = 32  # samples beside a boundary over which the resampling filter spreads a sound
    table = phones(corpus)
    for entry, audio, _ in recordings(corpus):
        for start, end, phone in table[entry["id"]]:
            if phone == "sil":
                assert np.abs(audio[start + ringing : end - ringing]).max(initial=0) <= 4


def test_sound_begins_where_the_first_phone_begins(corpus):
    table = phones(corpus)
    for entry, audio, _ in recordings(corpus):
        first_sound = np.flatnonzero(np.abs(audio) > 32)[0]
        first, second = table[entry["id"]][1:3]
        assert first[0] - 16 <= first_sound < second[0]


def test_vowels_are_loud_and_sibilants_are_high(corpus):
    energy, share = {}, {}
    table = phones(corpus)
    for entry, audio, _ in recordings(corpus):
        for start, end, phone in table[entry["id"]]:
            kind = "vowel" if phone in VOWELS else "sibilant" if phone in SIBILANTS else phone
            middle = audio[(start + end) // 2 - 160 :][:320]
            spectrum = np.abs(np.fft.rfft(middle * np.hanning(320))) ** 2
            energy.setdefault(kind, []).append(np.mean(audio[start:end] ** 2))
            share.setdefault(kind, []).append(spectrum[60:].sum() / spectrum.sum())  # above 3 kHz
    assert np.median(energy["vowel"]) > 1e5 * np.median(energy["sil"])
    assert np.median(share["sibilant"]) > 0.4
    assert np.median(share["vowel"]) < 0.1


def test_no_stretch_is_exactly_zero(corpus):
    for _, audio, _ in recordings(corpus):
        nonzero = np.flatnonzero(np.concatenate([[1], audio, [1]]))
        assert np.diff(nonzero).max() < 50


def test_the_same_parameters_make_the_same_bytes(corpus, tmp_path):
    SynthSpeech(voices=5, test_voices=2, sentences=6).make(tmp_path)
    assert contents(tmp_path) == contents(corpus)


def test_another_seed_draws_other_sentences(corpus, tmp_path):
    SynthSpeech(voices=5, test_voices=2, sentences=6, seed=1).make(tmp_path)
    assert {entry["id"] for entry in manifest(tmp_path)} != {entry["id"] for entry in manifest(corpus)}


@pytest.mark.parametrize("language", ["de", "fr", "es"])
def test_other_languages_have_sentences_of_their_own(tmp_path, language):
    pytest.importorskip("espeakng_loader")
    SynthSpeech(language=language, voices=1, test_voices=1, sentences=3).make(tmp_path)
    for entry in manifest(tmp_path):
        assert entry["text"] in (BUNDLED / f"{language}.txt").read_text(encoding="utf-8").splitlines()
        assert len(phones(tmp_path)[entry["id"]]) > 10


def test_own_text_is_spoken_line_by_line(tmp_path):
    pytest.importorskip("espeakng_loader")
    text = tmp_path / "own.txt"
    text.write_text("Buongiorno a tutti.\n\n  Il gatto   dorme.\n", encoding="utf-8")
    folder = tmp_path / "corpus"
    folder.mkdir()
    SynthSpeech(language="it", voices=1, test_voices=1, text=text).make(folder)
    assert [entry["text"] for entry in manifest(folder)] == ["Buongiorno a tutti.", "Il gatto dorme."] * 2


@pytest.mark.parametrize(
    ("parameters", "content", "error", "message"),
    [
        ({"language": "en-uk"}, None, RecipeError, "does not speak 'en-uk', did you mean 'en-us'?"),
        (
            {"language": "it"},
            None,
            RecipeError,
            r"no sentences in 'it' are bundled \(bundled: de, en, es, fr\)",
        ),
        ({}, b"", DataError, "own.txt: no sentences"),
        ({}, b"\xff\xfe", DataError, "own.txt: cannot be read as UTF-8"),
        ({}, b"fine\nbad \x01 one\n", DataError, "own.txt:2: control characters"),
        ({}, b"fine\n...\n", DataError, r"own.txt:2: nothing to say in '\.\.\.'"),
    ],
)
def test_wrong_parameters_and_texts_are_told_in_one_line(tmp_path, parameters, content, error, message):
    pytest.importorskip("espeakng_loader")
    if content is not None:
        parameters = {"text": tmp_path / "own.txt"}
        (tmp_path / "own.txt").write_bytes(content)
    with pytest.raises(error, match=message) as caught:
        SynthSpeech(**parameters).make(tmp_path)
    assert "\n" not in str(caught.value)


def test_missing_espeak_is_told_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(PluginError, match=r"pip install 'unitdisc\[demo\]'"):
        SynthSpeech().make(tmp_path)


def test_what_espeak_complains_of_is_told_in_one_line():
    pytest.importorskip("espeakng_loader")
    with pytest.raises(PluginError, match=r"cannot speak as 'zz\+m3': eSpeak NG has no voice 'zz\+m3'$"):
        list(speak("zz", Voice("m3", 160, 50), ["hello"]))


@pytest.mark.parametrize(
    ("mnemonic", "phone"),
    [
        ("'oU", "oU"),
        (",u:", "u"),
        ("t#", "t"),
        ("n-", "n"),
        ("@2", "@"),
        ("3:", "3"),
        ("0", "0"),
        ("?", "?"),
        ("O~", "O~"),
        ("**", "**"),
        (";", "j"),
        ("_:", "sil"),
        ("_", "sil"),
        ("(en)", None),
    ],
)
def test_mnemonics_fold_to_phones(mnemonic, phone):
    assert fold(mnemonic) == phone


def test_closure_belongs_to_the_stop_and_a_soundless_phone_is_not_listed():
    audio = np.zeros(3000, dtype=np.int16)
    audio[500:1000] = 1000  # a
    audio[1300:1500] = 1000  # t, after a closure of 300
    audio[1500:2000] = 1000  # o, then an l without sound
    phonemes = [(0, "_"), (500, "'a"), (1300, "t"), (1500, "o"), (2000, "l"), (2400, "_:"), (2500, "_")]
    expected = [(0, 500, "sil"), (500, 1000, "a"), (1000, 1500, "t"), (1500, 2000, "o"), (2000, 3000, "sil")]
    assert segments(audio, phonemes) == expected


def test_a_short_zero_inside_a_sound_is_no_closure():
    audio = np.zeros(400, dtype=np.int16)
    audio[:150] = audio[200:] = 1000
    assert segments(audio, [(0, "a"), (200, "b")]) == [(0, 200, "a"), (200, 400, "b")]


def test_glottal_stop_keeps_its_silence():
    audio = np.zeros(600, dtype=np.int16)
    audio[:200] = audio[500:] = 1000
    assert segments(audio, [(0, "a"), (300, "?"), (500, "n")]) == [
        (0, 200, "a"),
        (200, 500, "?"),
        (500, 600, "n"),
    ]


def test_resampling_keeps_a_tone_and_its_time():
    def tone(rate, count):
        seconds = np.arange(count) / rate
        return np.exp(-(((seconds - 0.05) / 0.01) ** 2)) * np.sin(2 * math.pi * 3000 * seconds)

    resampled = resample(tone(22050, 2205), 22050, 16000)
    assert len(resampled) == 1600
    np.testing.assert_allclose(resampled, tone(16000, 1600), atol=1e-9)


def test_resampling_removes_what_the_lower_rate_cannot_hold():
    seconds = np.arange(2205) / 22050
    high = np.exp(-(((seconds - 0.05) / 0.01) ** 2)) * np.sin(2 * math.pi * 9500 * seconds)
    assert np.abs(resample(high, 22050, 16000)).max() < 1e-9
