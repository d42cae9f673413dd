"""Parallel text: what is read is what stands in the files, and what is wrong is said in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from unitdisc.data import collate
from unitdisc.errors import DataError, RecipeError
from unitdisc.parts import Padded
from unitdisc.plan import plan
from unitdisc.testing import check_data
from unitdisc_translation.source import Parallel
from unitdisc_translation.vocabulary import END, UNKNOWN, Vocabulary

SIZE = 330
ENGLISH = ["a man sees a dog", "two dogs run", "a woman and a man", "the dog sees the women"] * 5
GERMAN = [
    "ein Mann sieht einen Hund",
    "zwei Hunde laufen",
    "eine Frau und ein Mann",
    "der Hund sieht die Frauen",
] * 5
STRANGE = [
    "日本 😀",
    "tab\there and  two spaces",
    "<s> </s> <pad> <unk> <0x41>",
    "a\u00a0b\u2028c",
    "nul\0l",
    "é" * 40,
]


def write(folder: Path, split: str, english: list[str], german: list[str]) -> None:
    for language, lines in (("en", english), ("de", german)):
        text = "".join(f"{line}\n" for line in lines)
        (folder / f"{split}.{language}").write_bytes(text.encode())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, "train", ENGLISH, GERMAN)
    write(tmp_path, "test", ENGLISH[:3], GERMAN[:3])
    return tmp_path


def prepared(root: Path, **parameters: object) -> Parallel:
    source = Parallel(root=root, **{"vocab_size": SIZE, **parameters})
    source.prepare()
    return source


def message(root: Path, split: str = "train", **parameters: object) -> str:
    with pytest.raises(DataError) as error:
        prepared(root, **parameters).split(split)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_the_source_keeps_the_contract(folder):
    check_data(Parallel(root=folder, vocab_size=SIZE))


def test_inputs_are_the_target_and_the_condition_is_the_source(folder):
    source = prepared(folder)
    split = source.split("test")
    example = split[1]
    assert split.text(example.inputs) == "zwei Hunde laufen"
    assert split.text(example.conditions["source"]) == "two dogs run"
    assert example.inputs[-1] == example.conditions["source"][-1] == END
    assert split.lengths[1] == len(example.inputs)
    assert split.fields(1) == {"source": "two dogs run", "target": "zwei Hunde laufen"}
    assert split.keys == ["test-0000001", "test-0000002", "test-0000003"]
    assert torch.equal(source.featurize("zwei Hunde laufen "), example.inputs)


def test_the_other_direction_is_two_parameters(folder):
    split = prepared(folder, source="de", target="en").split("test")
    assert split.text(split[1].inputs) == "two dogs run"


def test_a_batch_has_padded_sources_and_counts_target_tokens(folder):
    split = prepared(folder).split("train")
    batch = (
        collate([split[0], split[1]]).pin_memory()
        if torch.cuda.is_available()
        else collate([split[0], split[1]])
    )
    moved = batch.to(torch.device("cpu"))
    source = moved.conditions["source"]
    assert isinstance(source, Padded)
    assert source.lengths.tolist() == [len(split[row].conditions["source"]) for row in (0, 1)]
    assert source.values.dtype == batch.inputs.values.dtype == torch.int64
    assert batch.num_frames == split.lengths[0] + split.lengths[1]
    for rows in plan(split.lengths, batch_frames=60, seed=1, epoch=0):
        assert len(rows) == 1 or len(rows) * max(split.lengths[row] for row in rows) <= 60


def test_the_vocabulary_is_learnt_once_and_kept(folder, monkeypatch):
    first = prepared(folder)
    monkeypatch.setattr(Vocabulary, "train", None)
    again = prepared(folder)
    assert again.vocabulary.model == first.vocabulary.model
    assert again.conditions["source"][:4] == ("<pad>", "<s>", "</s>", "<unk>")
    assert len(again.conditions["source"]) == SIZE == again.features.vocab_size


def test_the_vocabulary_is_of_the_training_pairs_alone_and_shared(folder, tmp_path):
    write(folder, "test", ["zyzzyva zyzzyva"] * 50, ["Quarz Quarz"] * 50)
    pieces = prepared(folder).conditions["source"]
    assert not any("zy" in piece or "Qu" in piece for piece in pieces)
    assert "▁a" in pieces
    assert "▁Hund" in pieces


def test_a_vocabulary_that_exists_is_taken_and_checked(folder, tmp_path):
    file = tmp_path / "pieces.model"
    file.write_bytes(prepared(folder).vocabulary.model)
    write(folder, "train", GERMAN, ENGLISH)
    assert prepared(folder, vocabulary=file).vocabulary.model == file.read_bytes()
    assert f"{file}: has 330 pieces; set data.vocab_size to that, it is 340" in message(
        folder, vocabulary=file, vocab_size=340
    )
    file.write_bytes(b"nothing")
    assert message(folder, vocabulary=file) == f"{file}: is no model of sentencepiece; give another file"


@pytest.mark.parametrize("text", STRANGE)
def test_no_character_is_outside_the_vocabulary_and_text_comes_back(folder, text):
    write(folder, "test", [text], [text])
    split = prepared(folder).split("test")
    assert int(split[0].inputs.min()) == END  # neither <unk> nor another mark
    assert UNKNOWN not in split[0].inputs
    assert split.text(split[0].inputs) == text
    assert split.fields(0)["target"] == text


def test_a_vocabulary_larger_than_the_text_gives_is_refused_with_the_number_it_gives(folder):
    found = message(folder, vocab_size=3000)
    number = int(found.split("gives ")[1].split(" ")[0])
    assert len(prepared(folder, vocab_size=number).vocabulary) == number


def test_training_pairs_with_an_empty_side_are_left_out_and_counted(folder, capsys):
    write(folder, "train", [*ENGLISH, "", "one", " "], [*GERMAN, "eins", "", "\t"])
    split = prepared(folder).split("train")
    assert len(split) == 20
    assert capsys.readouterr().err == (
        f"unitdisc: {folder / 'train.en'}: left out of training: 3 with an empty side, the first on line 21\n"
    )
    assert split.keys[-1] == "train-0000020"


def test_lines_keep_their_numbers_behind_one_that_is_left_out(folder):
    write(folder, "train", ["", *ENGLISH], ["ein", *GERMAN])
    split = prepared(folder).split("train")
    assert split.keys[0] == "train-0000002"
    assert split.fields(0)["source"] == split.text(split[0].conditions["source"]) == ENGLISH[0]


@pytest.mark.parametrize(("english", "german", "where"), [("a", "", "de"), ("", "ein", "en"), ("", "", "en")])
def test_an_empty_line_in_what_is_scored_is_an_error_with_its_place(folder, english, german, where):
    write(folder, "test", ["a man", english], ["ein Mann", german])
    assert message(folder, "test").startswith(f"{folder / 'test'}.{where}:2: empty; ")


def test_a_line_of_a_thousand_tokens_is_left_out_of_training_and_kept_where_it_is_scored(folder, capsys):
    long = " ".join(["dog"] * 1000)
    write(folder, "train", [*ENGLISH, long, "a dog"], [*GERMAN, "ein Hund", "ein " * 1000])
    write(folder, "test", [long], ["ein Hund"])
    source = prepared(folder)
    assert len(source.split("train")) == 20
    assert "2 longer than 256 tokens, the first on line 21" in capsys.readouterr().err
    assert len(source.split("test")[0].conditions["source"]) > 1000
    assert len(prepared(folder, max_tokens=5000).split("train")) == 22


def test_files_of_unequal_numbers_of_lines_are_refused(folder):
    write(folder, "test", ENGLISH[:3], GERMAN[:2])
    assert message(folder, "test").startswith(f"{folder / 'test.en'}: has 3 lines, test.de has 2; ")


def test_a_source_without_target_is_no_split_and_named_when_asked_for(folder):
    (folder / "dev.en").write_text("a man\n")
    assert prepared(folder).splits() == ("test", "train")
    assert "no split 'dev' (accepted: test, train); name one of those, or add dev.en and dev.de" in message(
        folder, "dev"
    )
    files = {"train": "train", "dev": "dev"}
    assert message(folder, files=files).startswith(
        f"{folder / 'dev.de'}: is not there; the split dev needs both"
    )


def test_a_file_without_text_for_training_is_refused(tmp_path):
    write(tmp_path, "train", [], [])
    assert (
        message(tmp_path) == f"{tmp_path / 'train.en'}: holds no sentence to learn from; give a larger text"
    )
    write(tmp_path, "train", ["a b"], ["c d"])
    assert "pieces, 330 are asked for; give more text" in message(tmp_path)
    assert "no split train (found: none); give train.xx and train.yy" in message(
        tmp_path, source="xx", target="yy"
    )
    assert "no such folder" in message(tmp_path / "nowhere")
    with pytest.raises(RecipeError, match="root is not given"):
        Parallel().prepare()


def test_what_is_not_utf_8_is_named_with_its_line(folder):
    (folder / "test.de").write_bytes(b"ein Mann\nM\xfcnchen\nein Hund\n")
    assert message(folder, "test") == f"{folder / 'test.de'}:2: not UTF-8; save the file as UTF-8"


def test_windows_line_ends_and_a_missing_last_one_change_nothing(folder):
    expected = prepared(folder).split("test")
    content = (folder / "test.de").read_bytes()
    (folder / "test.de").write_bytes(b"\xef\xbb\xbf" + content.replace(b"\n", b"\r\n").removesuffix(b"\r\n"))
    found = prepared(folder).split("test")
    assert all(torch.equal(found[row].inputs, expected[row].inputs) for row in range(3))


def test_a_limit_takes_the_first_pairs_and_changes_the_checksum(folder):
    whole, some = prepared(folder), prepared(folder, limit={"test": 2})
    assert len(some.split("test")) == 2
    assert whole.checksum() != some.checksum()
    assert "data.limit names 'dev', which is no split" in message(folder, limit={"dev": 1})


def test_only_sentences_become_tokens(folder):
    with pytest.raises(DataError, match="found ndarray where a sentence belongs"):
        prepared(folder).featurize(np.zeros(3))


def test_multi30k_is_read_whole(shared_data):
    files = {"train": "train", "dev": "val", "test": "test_2016_flickr"}
    source = prepared(shared_data / "multi30k", files=files, vocab_size=4000)
    sizes = {name: len(source.split(name)) for name in source.splits()}
    assert sizes == {"train": 29000, "dev": 1014, "test": 1000}
    test = source.split("test")
    assert all(test.text(test[row].inputs) == test.fields(row)["target"] for row in range(1000))
