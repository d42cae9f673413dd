"""check_reader names the law that a reader of text lines breaks."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from unitdisc.errors import DataError
from unitdisc.reader import Drawn, Reader, Recorded
from unitdisc.testing import check_reader

GOOD = Drawn(
    "a",
    "train",
    "list:1",
    (Path(__file__),),
    lambda: np.zeros((2, 5), np.uint8),
    {},
    {"letters": [(0, 5, "x")]},
)


class Given(Reader):
    """Yields what it is given wherever there is a file called list."""

    def __init__(self, *items: Drawn | Recorded) -> None:
        self.items = items

    def read(self, folder: Path):
        if not (folder / "list").exists():
            raise DataError(f"{folder}: no list in there; give one")
        yield from self.items


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "list").write_text("a")
    return tmp_path


def test_a_good_reader_of_lines_passes(folder):
    check_reader(Given(GOOD, replace(GOOD, key="b", split="test", tables={})), folder)


numbers = count()


@pytest.mark.parametrize(
    ("items", "law"),
    [
        ([], "yields nothing"),
        ([GOOD, Recorded("b", Path(__file__), "train", "x")], "all alike"),
        ([GOOD, GOOD], "ids are unique"),
        ([replace(GOOD, where="")], "where names a place"),
        ([replace(GOOD, files=())], "files name what a line is made of"),
        ([replace(GOOD, files=(Path("gone"),))], "files name what a line is made of"),
        ([replace(GOOD, split="test")], "something to train on"),
        ([replace(GOOD, read=lambda: np.zeros((2, 5)))], "float64"),
        ([replace(GOOD, read=lambda: np.zeros((2, 5, 3), np.uint8))], "gives an image"),
        ([replace(GOOD, read=lambda: np.zeros((0, 5), np.uint8))], "neither of them 0"),
        ([replace(GOOD, read=lambda: np.full((2, 5), next(numbers), np.uint8))], "the same image again"),
        ([replace(GOOD, tables={"letters": [(0, 6, "x")]})], "labels lie in the columns"),
        ([replace(GOOD, tables={"letters": [(1, 1, "x")]})], "labels lie in the columns"),
        ([replace(GOOD, tables={"letters": [(0, 1, "")]})], "have a symbol"),
    ],
)
def test_a_reader_that_breaks_a_law_fails_by_its_name(folder, items, law):
    with pytest.raises(AssertionError, match=law):
        check_reader(Given(*items), folder)


def test_a_reader_that_changes_the_owners_folder_when_a_line_is_read_fails(folder):
    def read() -> np.ndarray:
        (folder / "trace").write_text("x")
        return np.zeros((2, 5), np.uint8)

    with pytest.raises(AssertionError, match="the owner's folder stays as it is"):
        check_reader(Given(replace(GOOD, read=read)), folder)
