"""The corpus of digit lines: its form, its columns, its purity, its messages."""

from __future__ import annotations

import csv
import json
import sys

import numpy as np
import pytest
from PIL import Image

from unitdisc.errors import PluginError, RecipeError
from unitdisc.manifest import read_folder
from unitdisc_synth.digits import FIRST_TEST_DIGIT, INK, PAPER, DigitLines, compose


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    pytest.importorskip("sklearn")
    folder = tmp_path_factory.mktemp("digit_lines")
    DigitLines(lines=40, test_lines=10).make(folder)
    return folder


def manifest(folder):
    return [json.loads(line) for line in (folder / "manifest.jsonl").read_text(encoding="utf-8").splitlines()]


def spans(folder):
    """Return {id: [(start, end, digit)]} from the table."""
    table = {}
    with (folder / "digits.tsv").open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines, delimiter="\t"):
            span = (int(row["start_column"]), int(row["end_column"]), row["digit"])
            table.setdefault(row["id"], []).append(span)
    return table


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_manifest_says_what_the_images_are(corpus):
    for entry in manifest(corpus):
        with Image.open(corpus / entry["path"]) as image:
            assert (image.format, image.mode, image.size) == ("PNG", "L", (entry["width"], 32))
        assert entry["height"] == 32
        assert 6 <= len(entry["text"]) <= 14
    assert [entry["split"] for entry in manifest(corpus)] == ["train"] * 40 + ["test"] * 10
    assert {entry["document"] for entry in manifest(corpus)} == {"digits"}


def test_the_importer_accepts_the_folder(corpus):
    folder = read_folder(corpus, tables=["digits"], unit="column")
    assert folder.splits() == ["train", "test"]
    assert set(folder.tables["digits"]) == {entry.key for entry in folder.entries}


def test_spans_spell_the_text_and_hold_all_the_ink(corpus):
    table = spans(corpus)
    for entry in manifest(corpus):
        image = np.asarray(Image.open(corpus / entry["path"]))
        assert "".join(digit for _, _, digit in table[entry["id"]]) == entry["text"]
        outside = np.ones(entry["width"], dtype=bool)
        end = 0
        for start, stop, _ in table[entry["id"]]:
            assert end < start < stop < entry["width"]
            assert image[:, start:stop].min() < (INK + PAPER) / 2
            outside[start:stop] = False
            end = stop
        assert image[:, outside].min() > PAPER - 20


def test_lines_contain_every_digit(corpus):
    assert set("".join(entry["text"] for entry in manifest(corpus))) == set("0123456789")


def test_the_splits_share_no_digit_image(tmp_path, monkeypatch):
    pytest.importorskip("sklearn")
    used = []

    def spy(images, digits, count, rng):
        used.append(images)
        return compose(images, digits, count, rng)

    monkeypatch.setattr("unitdisc_synth.digits.compose", spy)
    DigitLines(lines=1, test_lines=1).make(tmp_path)
    train, test = used
    assert (len(train), len(test)) == (FIRST_TEST_DIGIT, 1797 - FIRST_TEST_DIGIT)
    assert not {image.tobytes() for image in train} & {image.tobytes() for image in test}


def test_the_same_parameters_make_the_same_bytes(corpus, tmp_path):
    DigitLines(lines=40, test_lines=10).make(tmp_path)
    assert contents(tmp_path) == contents(corpus)


def test_another_seed_makes_other_lines(corpus, tmp_path):
    DigitLines(lines=40, test_lines=10, seed=1).make(tmp_path)
    assert [entry["text"] for entry in manifest(tmp_path)] != [entry["text"] for entry in manifest(corpus)]


def test_one_digit_per_line_is_possible(tmp_path):
    pytest.importorskip("sklearn")
    DigitLines(lines=3, test_lines=1, min_digits=1, max_digits=1).make(tmp_path)
    assert [len(entry["text"]) for entry in manifest(tmp_path)] == [1] * 4


def test_a_minimum_above_the_maximum_is_told_in_one_line():
    with pytest.raises(RecipeError, match=r"digit_lines.min_digits: 9 is more than max_digits 8"):
        DigitLines(min_digits=9, max_digits=8)


def test_missing_scikit_learn_is_told_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(PluginError, match=r"pip install 'unitdisc\[demo\]'"):
        DigitLines().make(tmp_path)
