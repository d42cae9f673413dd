"""JSON lines of units: what is written is read, and a wrong line is named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unitdisc.errors import DataError
from unitdisc.repeats import durations, run_starts, without_repeats
from unitdisc.unit_lines import pieces_line, read_pieces, read_units

UNITS = '{"file": "a", "units": [1]}\n'


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), max_size=12))
def test_units_without_repeats_and_their_durations_are_the_units(units):
    codes = np.array(units, np.int64).reshape(-1, 2)
    merged, lengths = without_repeats(codes), durations(codes)
    spelt = [
        unit for unit, length in zip(merged.tolist(), lengths.tolist(), strict=True) for _ in range(length)
    ]
    assert spelt == codes.tolist()
    assert all(left != right for left, right in zip(merged.tolist(), merged.tolist()[1:], strict=False))
    assert len(run_starts(codes)) == len(merged)


def test_durations_repeat_units(tmp_path: Path):
    path = written(tmp_path, '{"file": "a", "units": [[1, 2], [3, 4]], "durations": [2, 1]}\n')
    assert read_units(path) == {"a": [[1, 2], [1, 2], [3, 4]]}


def test_pieces_come_back_with_their_durations(tmp_path: Path):
    path = written(tmp_path, pieces_line("a", [3, 1], np.array([2, 1])) + pieces_line("b", []))
    assert list(read_pieces(path)) == [(f"{path}:1", "a", [3, 1], [2, 1]), (f"{path}:2", "b", [], None)]


@pytest.mark.parametrize(
    "line",
    [
        "",
        "[1]",
        '{"file": "a"}',
        "{",
        "7",
        '{"file": 1, "units": []}',
        '{"file": "b", "units": [1.5]}',
        '{"file": "b", "units": [-1]}',
        '{"file": "b", "units": [true]}',
        '{"file": "b", "units": [4294967296]}',
        '{"file": "b", "units": [[1, 2], [3]]}',
        '{"file": "b", "units": [1], "durations": "2"}',
    ],
)
def test_the_wrong_line_is_named(line: str, tmp_path: Path):
    with pytest.raises(
        DataError, match=r"units-test\.jsonl:2: expected \{\"file\": id, \"units\": \[...\]\}"
    ):
        read_units(written(tmp_path, f"{UNITS}{line}\n"))


def test_durations_of_another_length_are_refused(tmp_path: Path):
    line = json.dumps({"file": "b", "units": [1, 2], "durations": [1]})
    with pytest.raises(DataError, match=r":2: 1 durations for 2 units"):
        read_units(written(tmp_path, f"{UNITS}{line}\n"))


def test_an_id_stands_once(tmp_path: Path):
    with pytest.raises(DataError, match=r":2: 'a' stands in an earlier line too"):
        read_units(written(tmp_path, UNITS * 2))


def test_a_file_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(DataError, match=r"units\.jsonl: cannot be read"):
        read_units(tmp_path / "units.jsonl")


def written(folder: Path, text: str) -> Path:
    path = folder / "units-test.jsonl"
    path.write_text(text)
    return path
