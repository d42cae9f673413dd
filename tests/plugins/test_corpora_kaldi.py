"""Kaldi data directories become cuts whose frames carry the labels of the alignment."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from tests.plugins.small_kaldi import PHONES, RATE, SHIFT, WINDOW, frames_of, part, phones_of, write, wsj
from unitdisc.cli.data import command
from unitdisc.errors import DataError, RecipeError, UnitdiscError
from unitdisc.testing import check_reader
from unitdisc_corpora.kaldi import Kaldi
from unitdisc_corpora.symbols import plain
from unitdisc_speech.source import Speech


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("UNITDISC_CACHE", str(tmp_path / "cache"))


def imported(tmp_path: Path, root: Path, *options: str) -> Speech:
    out = tmp_path / "out"
    arguments = ["import", "--from", "kaldi", str(root), *options, "--out", str(out)]
    CliRunner().invoke(command, arguments, catch_exceptions=False)
    source = Speech(root=out, labels=("phones", "words"))
    source.prepare()
    return source


def labels(source: Speech, split: str, index: int = 0) -> list[str]:
    vocab = source.targets["phones"].vocab
    return [vocab[n] for n in source.split(split)[index].targets["phones"]]


def nearest_kaldi_frames(row: list[str], length: int, *, first_middle: int) -> list[str]:
    """By hand: each of our frames has the phone of the Kaldi frame whose middle is nearest to its own."""
    middles = [first_middle + t * SHIFT for t in range(len(row))]
    ours = [t * SHIFT + SHIFT // 2 for t in range((length + SHIFT // 2) // SHIFT)]
    return [row[min(range(len(row)), key=lambda t: (abs(middles[t] - middle), -t))] for middle in ours]


def error_of(root: Path, **options) -> str:
    with pytest.raises(UnitdiscError) as caught:
        list(Kaldi(**options).read(root))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_wsj_gives_its_three_splits_and_the_phone_of_the_nearest_kaldi_frame(tmp_path):
    source = imported(tmp_path, wsj(tmp_path / "data"))
    assert {split: list(source.split(split).keys) for split in ("train", "dev", "test")} == {
        "train": ["011a", "011b", "012a"],
        "dev": ["4k0a"],
        "test": ["440a"],
    }
    for split in ("train", "dev", "test"):
        for index, key in enumerate(source.split(split).keys):
            length = 8000 + 1111 * index
            row = phones_of(key, frames_of(length))
            expected = nearest_kaldi_frames(row, length, first_middle=WINDOW // 2)
            assert labels(source, split, index) == [plain(phone) for phone in expected]
    assert source.conditions["speaker"] == ("011", "012")
    assert source.split("dev").utterances[0].fields == {"speaker": "4k0", "sex": "f", "text": "A TEST"}


def test_the_reader_keeps_the_contract(tmp_path):
    check_reader(Kaldi(), wsj(tmp_path / "data"))


def test_an_alignment_without_snip_edges_is_told_by_its_number_of_frames(tmp_path):
    source = imported(tmp_path, part(tmp_path / "d", "u1 u2", alignment="ali", snip_edges=False))
    row = phones_of("u2", frames_of(9111, snip_edges=False))
    assert labels(source, "train", 1) == [plain(phone) for phone in row]


def test_a_frame_stands_for_the_shift_around_its_middle(tmp_path):
    root = part(tmp_path / "d", "u1")
    write(root, "text_ali", {"u1": " ".join(["SIL"] * 10 + ["T_E"] * (frames_of(8000) - 10))})
    (item,) = Kaldi().read(root)
    middle = WINDOW // 2 + 10 * SHIFT
    edge = pytest.approx((middle - SHIFT // 2) / RATE)
    assert [(label.start, label.end) for label in item.tables["phones"]] == [(0, edge), (edge, 0.5)]


def test_segments_have_the_frames_of_their_own_samples(tmp_path):
    root = part(tmp_path / "d", "long")
    # The last ends behind the recording by less than aligners round.
    write(root, "segments", {"u1": "long 0 0.2", "u2": "long 0.2 0.53"})
    counts = {"u1": frames_of(3200), "u2": frames_of(4800)}
    rows = {key: phones_of(key, count) for key, count in counts.items()}
    write(root, "text_ali", {key: " ".join(row) for key, row in rows.items()})
    source = imported(tmp_path, root)
    for index, (row, length) in enumerate(zip(rows.values(), (3200, 4800), strict=True)):
        assert source.split("train").utterances[index].read().shape == (length,)
        expected = nearest_kaldi_frames(row, length, first_middle=WINDOW // 2)
        assert labels(source, "train", index) == [plain(phone) for phone in expected]


def test_a_fold_of_the_phones_leaves_words_alone_and_labels_without_length_vanish(tmp_path):
    root = part(tmp_path / "d", "u1")
    (root / "words.ctm").write_text("u1 1 0.1 0.2 To\nu1 1 0.3 0 nothing\n")
    imported(tmp_path, root)
    fold = tmp_path / "fold.tsv"
    fold.write_text("from\tto\nsil\tsil\nah\tv\nt\tc\ns\tc\n")
    source = Speech(root=tmp_path / "out", labels=("phones", "words"), fold=fold)
    source.prepare()
    assert source.targets["phones"].vocab == ("c", "sil", "v")
    assert source.targets["words"].vocab == ("To",)


def test_a_frame_too_many_behind_the_end_is_left_out(tmp_path):
    root = part(tmp_path / "d", "u1", snip_edges=False)
    soundfile.write(root / "u1.wav", np.zeros(8080), RATE)
    write(root, "text_ali", {"u1": " ".join(["SIL"] * 51 + ["T_E"])})
    source = imported(tmp_path, root)
    assert labels(source, "train") == ["sil"] * 51


def test_a_shift_below_a_sample_is_named_as_the_wrong_one(tmp_path):
    assert "u1 has 48 frames" in error_of(part(tmp_path / "d", "u1"), frame_shift=1e-6)


def test_phones_lose_position_stress_and_capitals_unless_kept(tmp_path):
    root = part(tmp_path / "d", "u1")
    assert {label.symbol for item in Kaldi().read(root) for label in item.tables["phones"]} == {
        "sil", "ah", "t", "s",
    }  # fmt: skip
    kept = Kaldi(plain_phones=False).read(root)
    assert {label.symbol for item in kept for label in item.tables["phones"]} == set(PHONES)


def test_equal_neighbours_with_word_positions_stay_two_phones(tmp_path):
    root = part(tmp_path / "d", "u1")
    count = frames_of(8000)
    write(root, "text_ali", {"u1": " ".join(["T_E"] * 10 + ["T_B"] * (count - 10))})
    (item,) = Kaldi().read(root)
    assert [label.symbol for label in item.tables["phones"]] == ["t", "t"]


def test_numbers_are_phones_of_phones_txt(tmp_path):
    root = part(tmp_path / "d", "u1")
    write(root, "text_ali", {"u1": " ".join(["1"] * 20 + ["2"] * (frames_of(8000) - 20))})
    assert "phones.txt: has no phone for the number 1" in error_of(root)
    write(root, "phones.txt", {"<eps>": "0", "SIL": "1", "AA1_B": "2"})
    (item,) = Kaldi().read(root)
    assert [label.symbol for label in item.tables["phones"]] == ["sil", "aa"]


def test_segments_are_parts_of_recordings_with_their_own_frames(tmp_path):
    root = tmp_path / "d"
    root.mkdir()
    sound = 0.1 * np.random.default_rng(0).standard_normal(2 * RATE)
    soundfile.write(root / "long.wav", sound, RATE)
    write(root, "wav.scp", {"long": str(root / "long.wav")})
    write(root, "segments", {"u1": "long 0.25 1.0", "u2": "long 1.0 2.0"})
    write(root, "utt2spk", {"u1": "s", "u2": "s"})
    (root / "phones.ctm").write_text("u2 1 0.10 0.20 AA1\nu1 1 0 0.5 SIL\nu1 1 0.5 0.25 T\nu2 1 0 0.1 SIL\n")
    (root / "words.ctm").write_text("u1 1 0.5 0.25 To\n")

    source = imported(tmp_path, root)

    split = source.split("train")
    assert split.lengths == [75, 100]
    assert labels(source, "train", 0) == ["sil"] * 50 + ["t"] * 25
    assert split[1].targets["phones"].tolist() == [1] * 10 + [0] * 20 + [-1] * 70
    assert source.targets["words"].vocab == ("To",)
    # Stored with 16 bits.
    np.testing.assert_allclose(split.utterances[0].read(), sound[4000:16000], atol=1e-4)
    whole = Speech().featurize(split.utterances[1].read(), RATE)
    assert np.array_equal(split[1].inputs, whole)


def test_a_command_in_wav_scp_is_never_run(tmp_path):
    root = part(tmp_path / "d", "u1")
    write(root, "wav.scp", {"u1": f"touch {tmp_path / 'pwned'}; cat {root / 'u1.wav'} |"})
    assert "wav.scp:1: 'touch" in error_of(root)
    assert "is a command, which is never run; convert the recordings to FLAC or WAV first" in error_of(root)
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("wav.scp", "u1 gone.wav\n", "wav.scp:1: no file 'gone.wav'"),
        ("wav.scp", "u1\n", "wav.scp:1: '' is a command"),
        ("wav.scp", "u1 u1.wav\nu1 u1.wav\n", "wav.scp:2: id 'u1' stands here twice"),
        ("segments", "u1 rec 0 1\n", "segments:1: u1 is a part of 'rec', which is not in wav.scp"),
        ("segments", "u1 u1 zero 1\n", "segments:1: found 'u1 zero 1'"),
        ("segments", "u1 u1 nan 1\n", "segments:1: found 'u1 nan 1'"),
        ("segments", "u1 u1 0.4 0.1\n", "segments:1: found 'u1 0.4 0.1' for u1; write utterance, recording"),
        (
            "text_ali",
            "u1 SIL SIL\n",
            "text_ali:1: u1 has 2 frames, its 0.5 s make 48 (or 50 without snip_edges)",
        ),
        ("text_ali", "u2 SIL\n", "wav.scp:1: u1 is not in the alignment"),
        ("ctm", "u1 1 0 1 SIL\n", "has the alignments text_ali and ctm; choose one with alignment=text_ali"),
        (
            "words.ctm",
            "u9 1 0 1 W\n",
            "words.ctm: has the id 'u9' and others, but none of an utterance, such as 'u1'",
        ),
        (
            "words.ctm",
            "u1 1 0 W\n",
            "words.ctm:1: found 'u1 1 0 W'; write 'id channel start duration symbol'",
        ),
        ("words.ctm", "u1 1 -1 1 W\n", "words.ctm:1: 'W' of u1 starts at -1"),
        ("u1.wav", "no sound", "u1.wav is no recording that libsndfile reads; convert it"),
    ],
)
def test_a_wrong_directory_is_named_in_one_line(tmp_path, name, text, says):
    root = part(tmp_path / "d", "u1")
    (root / name).write_text(text)
    assert says in error_of(root)


def test_an_unclear_choice_of_parts_names_them(tmp_path):
    root = tmp_path / "data"
    for name in ("train_clean_100", "train_clean_360", "dev_clean"):
        part(root / name, f"{name}1")
    says = error_of(root)
    assert "train_clean_100 and train_clean_360 could all be the split 'train'" in says
    assert "train=[train_clean_100]" in says
    both = Kaldi(train=("train_clean_100", "train_clean_360")).read(root)
    assert [item.split for item in both] == ["train", "train"]
    assert "no folder 'nowhere' in there (found: dev_clean, train_clean_100" in error_of(
        root, test=("nowhere",)
    )


def test_no_folder_and_an_empty_one_are_named(tmp_path):
    assert "no such folder" in error_of(tmp_path / "gone")
    assert "no wav.scp in there or in a folder of it" in error_of(tmp_path)


def test_the_unaligned_are_left_out_where_asked(tmp_path):
    root = part(tmp_path / "d", "u1 u2")
    (root / "text_ali").write_text((root / "text_ali").read_text().splitlines()[1] + "\n")
    assert [item.key for item in Kaldi(skip_unaligned=True).read(root)] == ["u2"]


def test_a_directory_without_alignment_keeps_its_transcripts(tmp_path):
    root = part(tmp_path / "d", "u1")
    (root / "text_ali").unlink()
    source = imported(tmp_path, root)
    assert source.targets == {}
    assert source.split("train").utterances[0].fields["text"] == "A TEST"


def test_an_id_in_two_parts_and_a_label_beyond_the_end_leave_nothing_behind(tmp_path):
    root = wsj(tmp_path / "data")
    with pytest.raises(DataError, match=r"id '011a' stands in the splits 'train' and 'test'"):
        imported(tmp_path, root, "train=[train_si84]", "test=[train_si284]")
    (root / "test_eval92" / "words.ctm").write_text("440a 1 0 9 W\n")
    with pytest.raises(DataError, match=r"words 'W' \(0 to 9 s\) of 440a lies outside of its 0.5 s"):
        imported(tmp_path, root)
    (root / "test_eval92" / "words.ctm").write_text("440a 1 0 0.4 W\n440a 1 0.1 0.1 V\n")
    with pytest.raises(DataError, match=r"words 'V' .* covers or lies in words 'W'"):
        imported(tmp_path, root)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "data"]


def test_a_wrong_parameter_of_the_reader_is_a_recipe_error(tmp_path):
    with pytest.raises(
        RecipeError, match=r"reader.plain_phone: unknown parameter of kaldi; did you mean 'plain_phones'"
    ):
        imported(tmp_path, tmp_path, "plain_phone=true")
