"""Corpus folders: what is read, and the one line that says what is wrong."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from unitdisc import cache
from unitdisc.errors import DataError, StorageError
from unitdisc.fold import read_fold
from unitdisc.manifest import Label, digest, read_folder

HEADER = "id\tstart_sample\tend_sample\tphone\n"


def entry(**fields: Any) -> dict[str, Any]:
    return {"id": "a", "path": "a.wav", "n_samples": 100, "sample_rate": 100, "duration": 1.0, **fields}


def write(folder: Path, *entries: dict[str, Any] | str | bytes, phones: str | None = None) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "a.wav").touch()
    lines = [line if isinstance(line, str | bytes) else json.dumps(line) for line in entries]
    content = b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines)
    (folder / "manifest.jsonl").write_bytes(content)
    if phones is not None:
        (folder / "phones.tsv").write_text(phones, encoding="utf-8")
    return folder


def error_of(folder: Path, *, tables: tuple[str, ...] = ()) -> str:
    with pytest.raises(DataError) as caught:
        read_folder(folder, tables=tables, unit="sample")
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_entries_and_labels_are_read_in_order(tmp_path):
    table = HEADER.replace("phone", "phone\tnative") + "a\t50\t100\tt\tT\na\t0\t50\ts\tS\n"
    root = write(
        tmp_path / "c", entry(split="test"), entry(id="b", split="train", text="x\u2028y"), phones=table
    )

    folder = read_folder(root, tables=["phones"], unit="sample")

    assert [(item.key, item.split, item.line) for item in folder.entries] == [
        ("a", "test", 1),
        ("b", "train", 2),
    ]
    assert folder.entries[0].path == root / "a.wav"
    assert folder.splits() == ["test", "train"]
    assert folder.tables == {"phones": {"a": [Label(0, 50, "s"), Label(50, 100, "t")]}}


def test_without_any_split_all_entries_are_training_data(tmp_path):
    folder = read_folder(write(tmp_path / "c", entry(), "", entry(id="b")), unit="sample")
    assert folder.splits() == ["train"]


def test_a_24_hour_recording_is_accepted(tmp_path):
    long = {"id": "a", "path": "a.wav", "duration": 24 * 3600}
    assert read_folder(write(tmp_path / "c", long), unit="sample").entries[0].fields == long


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ('{"id": "\\ud800", "path": "a.wav"}', "not JSON"),
        ("[1]", "found [1]"),
        (b'{"id": "\xff"}', "not UTF-8"),
        ({"path": "a.wav"}, "no id"),
        ({}, "no id (found an empty object)"),
        (entry(id=""), "id is ''"),
        (entry(id=7), "id is 7"),
        (entry(id="a b"), "'a b' has a space"),
        (entry(id="a|b"), "'a|b' has a space"),
        (entry(id="a\tb"), "id is 'a\\tb'"),
        (entry(id="a\nb"), "id is 'a\\nb'"),
        (entry(id="a\u2028b"), "id is"),
        (entry(id="first"), "'first' repeats line 1"),
        ({"id": "a"}, "no path"),
        (entry(path=None), "path is None"),
        (entry(path="/etc/passwd"), "is absolute"),
        (entry(path="../other.wav"), "leaves the folder"),
        (entry(path="link.wav"), "leaves the folder"),
        (entry(path="circle.wav"), "no file 'circle.wav'"),
        (entry(path="x" * 5000), "no file"),
        (entry(path="gone.wav"), "no file 'gone.wav'"),
        (entry(path="."), "no file '.'"),
        (entry(split=""), "split is ''"),
        (entry(split=None), "split is None"),
        (entry(duration=float("nan")), "duration is nan"),
        (entry(duration=float("inf")), "duration is inf"),
        (entry(duration=0), "duration is 0"),
        (entry(duration=-1.0), "duration is -1.0"),
        (entry(duration="1.0"), "duration is '1.0'"),
        (entry(duration=49 * 3600), "up to 172800 (48 h)"),
        (entry(n_samples=0), "n_samples is 0"),
        (entry(n_samples=True), "n_samples is True"),
        (entry(n_samples=9.5), "n_samples is 9.5"),
        (entry(sample_rate=-1), "sample_rate is -1"),
        (entry(width=0), "width is 0"),
        (entry(n_samples=102), "n_samples is 102, but duration * sample_rate is 100.0"),
    ],
)
def test_a_bad_line_of_the_manifest_is_named(tmp_path, bad, says):
    root = write(tmp_path / "c", entry(id="first", split="train"), bad)
    (tmp_path / "other.wav").touch()
    (root / "link.wav").symlink_to(tmp_path / "other.wav")
    (root / "circle.wav").symlink_to(root / "circle.wav")

    message = error_of(root)

    assert message.startswith(f"{root / 'manifest.jsonl'}:2: ")
    assert says in message


def test_a_missing_folder_and_an_empty_or_missing_manifest_are_named(tmp_path):
    assert f"{tmp_path / 'gone'}: no such folder" in error_of(tmp_path / "gone")
    assert f"{tmp_path}: no manifest.jsonl in there; write one line per recording" in error_of(tmp_path)
    assert f"{write(tmp_path / 'd', '') / 'manifest.jsonl'}: is a file" in error_of(
        tmp_path / "d/manifest.jsonl"
    )
    (tmp_path / "import.json").write_text("{}")
    assert "was imported for another data source" in error_of(tmp_path)


def test_a_misspelt_key_of_the_manifest_is_no_further_field(tmp_path):
    message = error_of(write(tmp_path / "c", entry(speker="x")))
    assert "manifest.jsonl:1: unknown key 'speker'; did you mean 'speaker'?" in message
    read_folder(write(tmp_path / "d", entry(speed=2, index=1, speech="x")), unit="sample")


def test_an_empty_manifest_is_named(tmp_path):
    assert "no entries" in error_of(write(tmp_path / "c", "\n"))


def test_a_split_on_some_lines_only_is_refused(tmp_path):
    message = error_of(write(tmp_path / "c", entry(split="test"), entry(id="b")))
    assert "manifest.jsonl:2: no split, though other lines have one" in message


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("b\t0\t10\ts", "id 'b' is not in manifest.jsonl"),
        ("a\t0.5\t10\ts", "start_sample of a is '0.5'"),
        ("a\t0\t1_0\ts", "end_sample of a is '1_0'"),
        ("a\t0\t" + "9" * 5000 + "\ts", "end_sample of a is"),
        ("a\t-1\t10\ts", "from -1 to 10"),
        ("a\t10\t10\ts", "from 10 to 10"),
        ("a\t90\t101\ts", "ends at sample 101, but there are 100"),
        ("a\t0\t10", "found 3 columns, the header has 4"),
        ("a\t0\t10\ts\tx", "found 5 columns, the header has 4"),
        ("a\t0\t10\t ", "the symbol of a is empty"),
        ("a\t45\t47\ts", "'s' of a (45 to 47) covers or lies in 'ah' (40 to 50)"),
        ("a\t40\t60\ts", "covers or lies in"),
    ],
)
def test_a_bad_label_is_named(tmp_path, row, says):
    root = write(tmp_path / "c", entry(), phones=f"{HEADER}a\t40\t50\tah\n{row}\n")

    message = error_of(root, tables=("phones",))

    assert message.startswith(f"{root / 'phones.tsv'}:3: ")
    assert says in message


def test_words_may_overlap_at_their_edges(tmp_path):
    root = write(tmp_path / "c", entry(), phones=f"{HEADER}a\t0\t50\thad\na\t40\t80\tyour\n")
    assert len(read_folder(root, tables=["phones"], unit="sample").tables["phones"]["a"]) == 2


def test_a_missing_table_a_wrong_header_and_an_empty_table_are_named(tmp_path):
    root = write(tmp_path / "c", entry(), phones="id\tstart\tend\tphone\n")
    assert "words.tsv: no such label table (found phones)" in error_of(root, tables=("words",))
    assert "phones.tsv:1: the header is id, start, end, phone" in error_of(root, tables=("phones",))
    assert "phones.tsv: empty" in error_of(write(root, entry(), phones=""), tables=("phones",))


def test_the_digest_changes_with_manifest_and_labels_only(tmp_path):
    root = write(tmp_path / "c", entry(), phones=HEADER)
    before = digest(root, tables=["phones"])
    (root / "a.wav").write_text("other sound")
    (root / "words.tsv").touch()
    assert digest(root, tables=["phones"]) == before
    write(root, entry(), phones=HEADER + "a\t0\t10\ts\n")
    assert len({before, digest(root, tables=["phones"]), digest(root)}) == 3


def test_a_fold_maps_symbols_and_an_empty_class_leaves_one_out(tmp_path):
    path = tmp_path / "fold.tsv"
    path.write_text("phone61\tphone39\nix\tih\nq\t\n")
    assert read_fold(path) == {"ix": "ih", "q": ""}


@pytest.mark.parametrize(
    ("row", "says"), [("ix", "found 1 columns"), ("a\tb\tc", "found 3"), ("ih\tx", "twice")]
)
def test_a_bad_fold_is_named(tmp_path, row, says):
    path = tmp_path / "fold.tsv"
    path.write_text(f"from\tto\nih\tih\n{row}\n")
    with pytest.raises(DataError, match=rf"fold\.tsv:3: .*{says}"):
        read_fold(path)


def test_the_real_sets_are_accepted(shared_data):
    counts = {
        name: len(read_folder(shared_data / name, tables=tables, unit=unit).entries)
        for name, tables, unit in (
            ("speech_phones", ("phones", "words"), "sample"),
            ("speech_phones_synth", ("phones",), "sample"),
            ("speech_digits", (), "sample"),
            ("handwriting_lines", (), "column"),
        )
    }
    assert list(counts.values()) == [160, 500, 2000, 2438]


def test_a_folder_is_made_once_by_all_who_want_it(tmp_path):
    made = []

    def make(folder: Path) -> None:
        made.append(folder)
        (folder / "sub").mkdir()
        (folder / "sub" / "file").write_text("whole")

    threads = [threading.Thread(target=cache.once, args=(tmp_path / "x" / "corpus", make)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(made) == 1
    assert (tmp_path / "x" / "corpus" / "sub" / "file").read_text() == "whole"


def test_a_failed_or_killed_making_leaves_nothing_that_counts(tmp_path):
    def fail(folder: Path) -> None:
        (folder / "half").touch()
        raise DataError("wrong")

    with pytest.raises(DataError):
        cache.once(tmp_path / "corpus", fail)
    (tmp_path / ".corpus.part").mkdir()
    (tmp_path / ".corpus.part" / "left by a killed process").touch()

    cache.once(tmp_path / "corpus", lambda folder: (folder / "whole").touch())

    assert [path.name for path in (tmp_path / "corpus").iterdir()] == ["whole"]
    assert not (tmp_path / ".corpus.part").exists()


def test_a_place_that_cannot_be_written_is_a_storage_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot be written"):
        cache.once(tmp_path / "file" / "corpus", lambda folder: (folder / "whole").touch())


def test_the_cache_is_where_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.setenv("UNITDISC_CACHE", str(tmp_path / "own"))
    assert cache.cache_root() == tmp_path / "own"
    monkeypatch.delenv("UNITDISC_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache.cache_root() == tmp_path / "xdg" / "unitdisc"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache.cache_root() == Path.home() / ".cache" / "unitdisc"
