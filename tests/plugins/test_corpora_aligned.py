"""Recordings with TextGrids or CTM, and LibriSpeech, become cuts with the labels of their alignments."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from unitdisc import textgrid
from unitdisc.cli.data import command
from unitdisc.errors import DataError, PluginError, RecipeError, StorageError, UnitdiscError
from unitdisc.reader import Reader, Recorded, Timed
from unitdisc.testing import check_reader
from unitdisc_corpora.aligned import Aligned
from unitdisc_corpora.librispeech import LibriSpeech
from unitdisc_speech.cuts import read_cuts
from unitdisc_speech.source import Speech

LONG = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 0.5
tiers? <exists>
size = 3
item []:
    item [1]:
        class = "IntervalTier"
        name = "words"
        xmin = 0
        xmax = 0.5
        intervals: size = 2
        intervals [1]:
            xmin = 0
            xmax = 0.25
            text = "say ""a"" 1"
        intervals [2]:
            xmin = 0.25
            xmax = 0.5
            text = ""
    item [2]:
        class = "TextTier"
        name = "notes"
        xmin = 0
        xmax = 0.5
        points: size = 1
        points [1]:
            number = 0.1
            mark = "here"
    item [3]:
        class = "IntervalTier"
        name = "phones"
        xmin = 0
        xmax = 0.5
        intervals: size = 3
        intervals [1]:
            xmin = 0
            xmax = 0.1
            text = "AH0"
        intervals [2]:
            xmin = 0.1
            xmax = 0.25
            text = "S"
        intervals [3]:
            xmin = 0.25
            xmax = 0.5
            text = ""
"""
SHORT = """File type = "ooTextFile"
Object class = "TextGrid"

0
0.5
<exists>
3
"IntervalTier"
"words"
0
0.5
2
0
0.25
"say ""a"" 1"
0.25
0.5
""
"TextTier"
"notes"
0
0.5
1
0.1
"here"
"IntervalTier"
"phones"
0
0.5
3
0
0.1
"AH0"
0.1
0.25
"S"
0.25
0.5
""
"""
TIERS = {
    "words": [Timed(0, 0.25, 'say "a" 1'), Timed(0.25, 0.5, "")],
    "phones": [Timed(0, 0.1, "AH0"), Timed(0.1, 0.25, "S"), Timed(0.25, 0.5, "")],
}


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("UNITDISC_CACHE", str(tmp_path / "cache"))


def sound(path: Path, length: int = 8000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal(length), 16000)
    return path


def mfa(root: Path, grid: str = LONG) -> Path:
    """Two speakers as the Montreal Forced Aligner wants them, with its output beside."""
    for place in ("f1/a", "f1/b", "m1/c"):
        path = sound(root / f"{place}.wav")
        path.with_suffix(".lab").write_text("say a 1\n")
        path.with_suffix(".TextGrid").write_text(grid)
    return root


def librispeech(root: Path) -> Path:
    for part, speaker in (
        ("train-clean-5", "103"),
        ("dev-clean-2", "84"),
        ("test-clean", "61"),
        ("test-other", "62"),
    ):
        folder = root / part / speaker / "7"
        keys = [f"{speaker}-7-000{n}" for n in range(2)]
        for key in keys:
            sound(folder / f"{key}.flac").with_suffix(".TextGrid").write_text(LONG)
        (folder / f"{speaker}-7.trans.txt").write_text("".join(f"{key} SAY A\n" for key in keys))
    (root / "SPEAKERS.TXT").write_text(
        ";ID |SEX| SUBSET\n103 | F | train-clean-5 | 9 | N\n84  | M | d | 9 | N\n"
    )
    return root


def imported(name: str, root: Path, out: Path, *options: str) -> list[str]:
    arguments = ["import", "--from", name, str(root), *options, "--out", str(out)]
    return CliRunner().invoke(command, arguments, catch_exceptions=False).output.splitlines()


def prepared(root: Path, **settings) -> Speech:
    source = Speech(root=root, **settings)
    source.prepare()
    return source


def error_of(reader: Aligned | LibriSpeech, root: Path) -> str:
    with pytest.raises(UnitdiscError) as caught:
        list(reader.read(root))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("text", [LONG, SHORT, SHORT.replace("\n", "\r\n")])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_long_and_short_textgrids_say_the_same_in_every_encoding_of_praat(tmp_path, text, encoding):
    path = tmp_path / "a.TextGrid"
    path.write_bytes(text.encode(encoding))
    assert textgrid.read(path) == TIERS


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"ooTextFile"', '"ooBinaryFile"', "a.TextGrid:2: is no TextGrid in text form"),
        ('name = "words"', "name = 3", "a.TextGrid:11: has the number 3 where a text in quotes belongs"),
        ("xmax = 0.25", "xmax = 1.2.3", "a.TextGrid:17: has 1.2.3 where a number belongs"),
        ("xmax = 0.1", "xmax = -0.1", "has an interval from 0 to -0.1 s"),
        ("size = 3", "size = 4", "a.TextGrid:49: ends too early"),
        ('"TextTier"', '"PitchTier"', "a tier of the class 'PitchTier'"),
        ("size = 2", "size = 2.5", "has 2.5 where a number of items belongs"),
        ("size = 2", "size = 1e999", "has inf where a number of items belongs"),
    ],
)
def test_a_damaged_textgrid_is_named_with_its_line(tmp_path, old, new, says):
    path = tmp_path / "a.TextGrid"
    path.write_text(LONG.replace(old, new, 1))
    with pytest.raises(DataError) as caught:
        textgrid.read(path)
    assert says in str(caught.value)


def test_mfa_output_becomes_examples_with_the_label_of_each_frame(tmp_path):
    summary, _ = imported("aligned", mfa(tmp_path / "c"), tmp_path / "out", "plain_phones=true", "empty=sil")
    assert (
        summary == "speech: 3 utterances, 2 speakers, splits train, 0.00 hours, label tables: phones, words"
    )
    source = prepared(tmp_path / "out", labels=("phones", "words"))
    assert source.targets["phones"].vocab == ("ah", "s", "sil")
    for example in source.split("train"):
        assert example.targets["phones"].tolist() == [0] * 10 + [1] * 15 + [2] * 25
        assert example.targets["words"].tolist() == [0] * 25 + [-1] * 25
    assert source.conditions == {"speaker": ("f1", "m1")}
    assert source.split("train").utterances[0].fields["text"] == "say a 1"


def test_the_readers_keep_the_contract(tmp_path):
    check_reader(Aligned(), mfa(tmp_path / "a"))
    check_reader(LibriSpeech(), librispeech(tmp_path / "b"))


def test_phones_stay_as_they_are_and_silence_unlabelled_by_default(tmp_path):
    item = next(Aligned().read(mfa(tmp_path / "c")))
    assert item.tables["phones"] == TIERS["phones"][:2]


def test_alignments_may_lie_in_a_folder_of_the_same_form(tmp_path):
    root, apart = mfa(tmp_path / "c"), tmp_path / "aligned"
    for path in list(root.rglob("*.TextGrid")):
        target = apart / path.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
    summary, _ = imported("aligned", root, tmp_path / "out", f"alignments={apart}")
    assert "label tables: phones, words" in summary


def test_folders_that_are_called_splits_are_splits(tmp_path):
    for name in ("train", "dev", "test"):
        mfa(tmp_path / "c" / name)
    found = list(Aligned().read(tmp_path / "c"))
    assert {item.split for item in found} == {"train", "dev", "test"}
    assert {item.fields["speaker"] for item in found} == {"f1", "m1"}
    assert found[0].key == "dev-f1-a"
    some = list(Aligned(train=("test",)).read(tmp_path / "c"))
    assert [(item.key, item.split) for item in some] == [("a", "train"), ("b", "train"), ("c", "train")]


def test_folders_named_as_splits_are_speakers_unless_they_are_called_splits(tmp_path):
    root = mfa(tmp_path / "c")
    found = Aligned(train=("f1",), test=("m1",)).read(root)
    assert [(item.key, item.split, item.fields["speaker"]) for item in found] == [
        ("a", "train", "f1"), ("b", "train", "f1"), ("c", "test", "m1"),
    ]  # fmt: skip
    (root / "m1").rename(root / "test")
    (*_, last) = Aligned(train=("f1",), test=("test",)).read(root)
    assert "speaker" not in last.fields
    deeper = Aligned(test=("c/test",)).read(tmp_path)
    assert [(item.key, item.split) for item in deeper] == [("c", "test")]
    assert "'f1' is named twice" in error_of(Aligned(train=("f1",), test=("f1",)), root)


def test_recordings_called_test_in_the_folder_itself_are_neither_a_split_nor_a_speaker(tmp_path):
    for name in ("test_a", "test_b"):
        sound(tmp_path / "c" / f"{name}.wav").with_suffix(".TextGrid").write_text(LONG)
    found = list(Aligned().read(tmp_path / "c"))
    assert [(item.split, item.fields) for item in found] == [("train", {}), ("train", {})]


def test_ctm_of_the_real_synthetic_set_equals_its_label_table(shared_data, tmp_path):
    corpus = shared_data / "speech_phones_synth"
    imported("aligned", corpus / "flac", tmp_path / "out", f"alignments={corpus}")
    ours, _ = read_cuts(tmp_path / "out")
    reference = prepared(corpus)
    theirs = {item.key: item for name in ("train", "test") for item in reference.split(name).utterances}
    assert len(ours) == len(theirs) == 500
    for utterance in ours:
        same = theirs[utterance.key]
        assert utterance.fields["speaker"] == same.fields["speaker"]
        pairs = zip(utterance.tables["phones"], same.tables["phones"], strict=True)
        assert all(one.symbol == two.symbol and abs(one.start - two.start) <= 16 for one, two in pairs)


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (lambda root: [p.unlink() for p in root.rglob("*.wav")], "no recordings in there (accepted: .aif"),
        (
            lambda root: [p.unlink() for p in root.rglob("*.*") if p.suffix != ".wav"],
            "no *.TextGrid, phones.ctm or words.ctm in there; put alignments beside the recordings",
        ),
        (lambda root: (root / "m1/c.TextGrid").unlink(), "c.wav: has no alignment in"),
        (
            lambda root: (root / "m1/c.TextGrid").write_text(
                LONG.replace("phones", "x").replace("words", "y")
            ),
            "c.TextGrid: has the tiers 'y', 'x'; name the one of the phones 'phones'",
        ),
        (
            lambda root: (root / "m1/c.TextGrid").write_text(LONG.replace('"words"', '"B - phones"')),
            "c.TextGrid: has several tiers of phones; give one speaker per recording",
        ),
        (
            lambda root: (root / "phones.ctm").write_text("zz 1 0 1 s"),
            "phones.ctm: has the id 'zz' and others, but none of an utterance",
        ),
    ],
)
def test_a_wrong_folder_is_named_in_one_line(tmp_path, harm, says):
    root = mfa(tmp_path / "c")
    harm(root)
    assert says in error_of(Aligned(), root)


def test_a_symbol_over_two_lines_becomes_one_line(tmp_path):
    path = tmp_path / "a.TextGrid"
    path.write_text(SHORT.replace('"AH0"', '"AH0\n\tx"'))
    assert textgrid.read(path)["phones"][0].symbol == "AH0 x"


def test_words_alone_are_no_alignment_where_others_have_phones(tmp_path):
    root = mfa(tmp_path / "c")
    (root / "words.ctm").write_text("a 1 0 0.1 W\nb 1 0 0.1 W\nc 1 0 0.1 W\n")
    assert all(list(item.tables) == ["words"] for item in Aligned().read(root))
    (root / "phones.ctm").write_text("a 1 0 0.1 s\nb 1 0 0.1 s\n")
    assert "c.wav: has no alignment in" in error_of(Aligned(), root)
    assert [item.key for item in Aligned(skip_unaligned=True).read(root)] == ["a", "b"]


def test_the_unaligned_are_left_out_where_asked(tmp_path):
    root = mfa(tmp_path / "c")
    (root / "m1/c.TextGrid").unlink()
    assert [item.key for item in Aligned(skip_unaligned=True).read(root)] == ["a", "b"]


def test_librispeech_gives_its_splits_with_text_speaker_and_frames(tmp_path):
    imported("librispeech", librispeech(tmp_path / "c" / "LibriSpeech").parent, tmp_path / "out")
    source = prepared(tmp_path / "out")
    assert {name: len(source.split(name)) for name in ("train", "dev", "test", "test-other")} == {
        "train": 2, "dev": 2, "test": 2, "test-other": 2,
    }  # fmt: skip
    assert source.targets["phones"].vocab == ("ah", "s", "sil")
    assert source.split("dev")[1].targets["phones"].tolist() == [0] * 10 + [1] * 15 + [2] * 25
    utterance = source.split("train").utterances[0]
    assert utterance.key == "103-7-0000"
    assert utterance.fields == {"speaker": "103", "chapter": "7", "text": "SAY A", "sex": "f"}


def test_librispeech_takes_ctm_and_no_alignment_at_all(tmp_path):
    root = librispeech(tmp_path / "c")
    for path in root.rglob("*.TextGrid"):
        path.unlink()
    assert all(item.tables == {} for item in LibriSpeech().read(root))
    assert "no *.TextGrid, phones.ctm or words.ctm" in error_of(LibriSpeech(alignments=root), root)
    (root / "phones.ctm").write_text("61-7-0000 1 0.1 0.2 AA1\n62-7-0000 1 0.1 0.2 AA1\n")
    item, _ = LibriSpeech(skip_unaligned=True).read(root)
    assert (item.key, [label.symbol for label in item.tables["phones"]]) == ("61-7-0000", ["aa"])
    assert "61-7.trans.txt:2: 61-7-0001 has no alignment" in error_of(LibriSpeech(test=("test-clean",)), root)


def test_a_wrong_librispeech_is_named_in_one_line(tmp_path):
    (tmp_path / "empty").mkdir()
    assert "no PART/SPEAKER/CHAPTER/*.trans.txt in there" in error_of(LibriSpeech(), tmp_path / "empty")
    root = librispeech(tmp_path / "c")
    assert "no folder 'train-clean-100'" in error_of(LibriSpeech(train=("train-clean-100",)), root)
    (root / "dev-clean-2/84/7/84-7-0001.flac").unlink()
    assert "84-7.trans.txt:2: no file 84-7-0001.flac beside it" in error_of(LibriSpeech(), root)


def test_an_import_that_fails_leaves_nothing_behind(tmp_path):
    root = mfa(tmp_path / "c")
    soundfile.write(root / "m1/c.wav", np.zeros((8000, 2)), 16000)
    with pytest.raises(DataError, match="has 2 channels; give one channel"):
        imported("aligned", root, tmp_path / "out")
    sound(root / "m1/c.wav", 1600)
    with pytest.raises(DataError, match=r"words .* \(0 to 0.25 s\) of c lies outside of its 0.1 s"):
        imported("aligned", root, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c", "cache"]
    (root / "m1/c.wav").rename(root / "m1/c d.wav")
    (root / "m1/c.TextGrid").rename(root / "m1/c d.TextGrid")
    with pytest.raises(DataError, match=r"id 'c d' is empty or has white space"):
        imported("aligned", root, tmp_path / "out")


def test_the_cache_holds_one_import_until_a_recording_changes(tmp_path):
    root = mfa(tmp_path / "c")
    arguments = ["import", "--from", "aligned", str(root)]
    first, place = CliRunner().invoke(command, arguments).output.splitlines()
    again, same = CliRunner().invoke(command, arguments).output.splitlines()
    assert (place, "3 utterances, imported before" in again, "2 speakers" in first) == (same, True, True)
    sound(root / "m1/c.wav", 9000)
    assert CliRunner().invoke(command, arguments).output.splitlines()[1] != place


def test_moving_a_corpus_does_not_change_the_checksum(tmp_path):
    checksums = set()
    for name in ("one", "two"):
        imported("aligned", mfa(tmp_path / name), tmp_path / f"{name}_out")
        checksums.add(prepared(tmp_path / f"{name}_out").checksum())
    imported("aligned", mfa(tmp_path / "three", LONG.replace("AH0", "AH1")), tmp_path / "three_out")
    checksums.add(prepared(tmp_path / "three_out").checksum())
    assert len(checksums) == 2


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        (["--from", "aligned", "--labels", "phones"], RecipeError, "--labels: is for corpus folders"),
        (["empty=sil"], RecipeError, "empty=sil: parameters belong to a reader"),
        (["--from", "alined"], UnitdiscError, "did you mean 'aligned'"),
        (
            ["--from", "aligned", "--as", "lines"],
            PluginError,
            "data 'lines' does not import utterances",
        ),
        (["--from", "aligned", "--out", "."], StorageError, "is already there"),
    ],
)
def test_the_command_says_what_is_wrong(tmp_path, arguments, error, says):
    with pytest.raises(error, match=says):
        CliRunner().invoke(command, ["import", str(mfa(tmp_path / "c")), *arguments], catch_exceptions=False)


def test_the_help_lists_the_readers_and_shows_the_layout_of_one():
    listing = CliRunner().invoke(command, ["import", "--help"]).output
    for name in ("aligned", "kaldi", "lhotse", "librispeech", "timit"):
        assert f"\n  {name} " in listing
        shown = CliRunner().invoke(command, ["import", "--from", name, "--help"]).output
        assert "holds" in shown
        assert "PARAMETER" in shown or "No parameters" in shown


class Writes(Reader):
    """A reader that leaves a file in the owner's folder."""

    def read(self, folder: Path) -> Iterator[Recorded]:
        """Yield the recordings of a flat folder."""
        (folder / "index").touch()
        for path in sorted(folder.glob("*.wav")):
            yield Recorded(path.stem, path, "train", str(path))


class TakesAll(Writes):
    """A reader that takes a folder of any layout."""

    def read(self, folder: Path) -> Iterator[Recorded]:
        """Yield the recordings of a flat folder."""
        for path in sorted(folder.glob("*.wav")):
            yield Recorded(path.stem, path, "train", str(path))


@pytest.mark.parametrize(
    ("reader", "law"),
    [(Writes, "the owner's folder stays as it is"), (TakesAll, "a folder of another layout is a DataError")],
)
def test_the_contract_names_the_broken_law(tmp_path, reader, law):
    sound(tmp_path / "c" / "a.wav")
    with pytest.raises(AssertionError, match=law):
        check_reader(reader(), tmp_path / "c")


THEIRS = """
from unitdisc import hookimpl
from unitdisc.reader import Reader, Recorded

class Flat(Reader):
    "Recordings in one folder, which holds a.wav."
    def read(self, folder):
        yield Recorded("a", folder / "a.wav", "train", str(folder))

@hookimpl
def unitdisc_readers():
    return {"flat": Flat}
"""


def test_a_reader_of_another_package_is_found(tmp_path, site):
    site.install("fake_reader", THEIRS)
    sound(tmp_path / "c" / "a.wav")
    summary, place = imported("flat", tmp_path / "c", tmp_path / "out")
    assert summary.startswith("speech: 1 utterances")
    assert prepared(Path(place)).split("train").lengths == [50]
    assert "Recordings in one folder" in CliRunner().invoke(command, ["import", "--help"]).output
