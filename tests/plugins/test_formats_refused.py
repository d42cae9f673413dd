"""What is no unit file, or damaged, is one line with file and place."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tests.plugins.test_formats_round_trip import PROMISES, made
from tests.plugins.unit_sets import NUM_CODES
from unitdisc.errors import DataError
from unitdisc.exporter import Told
from unitdisc.units import Units

GOOD = {"start": 0.0, "duration": 0.02, "alignment": {"unit": [["3", 0.0, 0.02]]}}
GRID = 'File type = "ooTextFile"\nObject class = "TextGrid"\n0 1\n'
TIER = GRID + '1\n"IntervalTier" "units" 0 1 1\n'


@pytest.mark.parametrize(
    ("name", "file", "content", "message"),
    [
        ("gslm", "t.gslm", "a|1\nb 2\n", r"t\.gslm:2: expected 'id\|codes', found 'b 2'"),
        ("gslm", "t.gslm", "a|1\nb|2 x\n", r"t\.gslm:2: expected codes, found '2 x'"),
        ("gslm", "t.gslm", "a|-1\n", r"t\.gslm:1: expected codes, found '-1'"),
        ("gslm", "t.gslm", b"a|1\n\xff|2\n", r"t\.gslm:2: not UTF-8"),
        ("zs2021", "t.txt", "a\t1,,2\n", r"t\.txt:1: expected codes such as 3,3,17, found '1,,2'"),
        ("zs2021", "t.txt", "a 1,2\n", r"t\.txt:1: expected 'id TAB codes'"),
        ("kaldi", "t.text", "a 1\n 2\n", r"t\.text:2: expected 'id codes'"),
        ("kaldi", "t.ark", b"a \0B\x04\x09\0\0\0\x04", r"t\.ark: byte 0: expected a vector of 32-bit integers"),
        ("kaldi", "t.ark", b"a \0BFV \x04\0\0\0\0", r"t\.ark: byte 0: expected a vector of 32-bit integers"),
        ("kaldi", "t.ark", b"a \0B\x04\0\0\0\0b", r"t\.ark: byte 9: expected 'id .*0B'"),
        ("espnet", "text.ts.t", "a \u4e00x\n", r"text\.ts\.t:1: 'x' is the character of no code"),
        ("zs2019", "t.txt", "0 1\n0 2\n", r"t\.txt:2: expected a vector of zeros and ones, found '0 2'"),
        ("zs2019", "t.txt", "0 1\n0 0\n", r"t\.txt:2: a vector without a 1 is no unit"),
        ("zs2019", "t.txt", "0 1\n0 0 1\n", r"t\.txt:2: 3 numbers, where vectors before have 2"),
        ("zs2019", "t.txt", "0 1\n1 1\n", r"t\.txt:2: expected a 1 per codebook"),
        ("zs2019", "t.txt", "1 1 0 0\n", r"t\.txt: expected a 1 in each 2 numbers"),
        ("tde", "t.class", "Class 1:\na 0 x\n\n", r"t\.class:2: expected 'id start end', found 'a 0 x'"),
        ("tde", "t.class", "a 0 1\n\n", r"t\.class:1: a segment before the first 'Class NUMBER:'"),
        ("tde", "t.class", "Class 1:\na 0 0.02\na 0.04 0.06\n", r"t\.class:2: a: unit 2 begins at 0\.04"),
        ("ctm", "t.ctm", "a 1 0 0.02 1\na 1 0.02 0.02 1-2\n", r"t\.ctm:1: a: unit 2 has 2 codes, not 1"),
        ("csv", "t.csv", "id,start\n", r"t\.csv:1: expected the header 'id,start,end,unit'"),
        ("csv", "t.csv", "id,start,end,unit\na,0,0.02\n", r"t\.csv:2: expected 'id,start,end,unit'"),
        ("csv", "t.csv", "id,start,end,unit\na,0,0.02,sil\n", r"t\.csv:2: expected a unit such as 3"),
        ("csv", "t.csv", 'id,start,end,unit\n"a,0\n', r"t\.csv: no table in UTF-8"),
        ("textgrid", "t.TextGrid", "hello", r"t\.TextGrid:1: the file ends where ooTextFile should stand"),
        ("textgrid", "t.TextGrid", TIER + '0 1\n"sil"\n', r"t\.TextGrid:1: expected a unit such as 3"),
        ("textgrid", "t.TextGrid", TIER + '0 "1"\n"3"\n', r"t\.TextGrid:6: expected xmax, a number"),
        ("textgrid", "t.TextGrid", TIER.replace("units", "phones") + '0 1\n"3"', None),
        ("textgrid", "t.TextGrid", GRID + "0\n", r"no tier is called 'units' \(found: none\)"),
        ("lhotse", "t.jsonl", '{"id": "a"}\n', r't\.jsonl:1: expected a supervision with "id"'),
        ("lhotse", "t.jsonl", json.dumps({"id": "a", **GOOD}) + "\n[]\n", r"t\.jsonl:2: expected a supervision"),
        ("lhotse", "t.jsonl", 2 * (json.dumps({"id": "a", **GOOD}) + "\n"), r"t\.jsonl:2: 'a' stands in an earlier"),
        ("lhotse", "t.jsonl.gz", b"\x1f\x8b\x08", r"t\.jsonl\.gz: damaged, cannot be unpacked"),
        ("webdataset", "t.tar", b"x" * 2000, r"t\.tar: no tar archive, or damaged"),
        ("npz", "t.npz", b"PK", r"t\.npz: no npz file that can be read"),
        ("jsonl", "t.jsonl", '{"file": "a", "units": [1.5]}\n', r"t\.jsonl:1: expected"),
        ("page", "t.xml", "<a>", r"t\.xml: no XML that is whole"),
        ("page", "t.xml", "<a/>", r"t\.xml: no PAGE XML of 2019-07-15 \(found 'a'\)"),
        ("page", "t.xml", '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', r"t\.xml: declares a document type"),
        ("shar", "empty", None, r"empty: no folder of Shar"),
        ("zs2019", "empty", None, r"empty: holds no \.txt files"),
    ],
)  # fmt: skip
def test_the_wrong_place_is_named(
    name: str, file: str, content: str | bytes | None, message: str | None, tmp_path: Path
):
    path = tmp_path / file
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    if message is None:  # the only tier may have any name
        assert len(list(made(name).read(path, Told(0.02)))) == 1
        return
    with pytest.raises(DataError, match=message) as error:
        list(made(name).read(path, Told(0.02)))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", PROMISES)
def test_a_file_that_is_not_there_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="gone"):
        list(made(name).read(tmp_path / "gone", Told(0.02)))


@pytest.mark.parametrize(
    "name", [name for name in PROMISES if name not in {"zs2019", "textgrid", "shar", "page"}]
)
def test_a_flipped_byte_is_never_a_traceback(name: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    items = [Units(key, rng.integers(0, NUM_CODES, (9, 1)), 0.0, 0.02, 0.18, "second") for key in ("ä", "b")]
    exporter = made(name)
    exporter.write(items, split="dev", num_codes=NUM_CODES, folder=tmp_path)
    path = tmp_path / exporter.place("dev")
    content = path.read_bytes()
    assert content
    for place in rng.integers(0, len(content), 200).tolist():
        path.write_bytes(content[:place] + bytes([int(rng.integers(256))]) + content[place + 1 :])
        try:
            list(exporter.read(path, Told(0.02)))
        except DataError as error:
            assert str(error).startswith(str(tmp_path))  # noqa: PT017


def test_durations_of_other_lines_are_named(tmp_path: Path) -> None:
    (tmp_path / "t.gslm").write_text("a|1 2\n")
    for durations, message in (
        ("b|1 1\n", r"t\.gslm\.durations:1: durations of 'b', where .*t\.gslm:1 has 'a'"),
        ("a|1\n", r"t\.gslm\.durations:1: 1 durations for 2 units"),
        ("a|1 1\nb|1\n", r"t\.gslm\.durations:2: durations of 'b', of which t\.gslm has no units"),
        ("", r"t\.gslm\.durations: durations of '', where"),
    ):
        (tmp_path / "t.gslm.durations").write_text(durations)
        with pytest.raises(DataError, match=message):
            list(made("gslm").read(tmp_path / "t.gslm", Told()))


def test_km_of_several_codebooks_must_agree_and_ids_must_differ(tmp_path: Path) -> None:
    for name, text in (("keys", "a\n"), ("km0", "1 2\n"), ("km1", "1\n")):
        (tmp_path / f"t.{name}").write_text(text)
    with pytest.raises(DataError, match=r"t\.km0:1: the label sets of 'a' differ in length"):
        list(made("km").read(tmp_path / "t.km", Told()))
    (tmp_path / "t.keys").write_text("a\na\n")
    (tmp_path / "t.km0").write_text("1\n1\n")
    with pytest.raises(DataError, match=r"t\.keys: 'a' stands in two lines"):
        list(made("km").read(tmp_path / "t.km0", Told()))


# Times without a step


def test_the_step_of_spans_is_how_long_all_units_last(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for step in (0.02, 0.0125, 512 / 44100, 4.0):
        items = [
            Units(str(n), rng.integers(0, 5, (n, 1)), 0.0, step, (n - 0.5) * step, "second")
            for n in (1, 2, 400)
        ]
        made("ctm").write(items, split="dev", num_codes=5, folder=tmp_path)
        for item, (_, found) in zip(items, made("ctm").read(tmp_path / "dev.ctm", Told()), strict=True):
            assert found.step == pytest.approx(step, abs=3e-9)
            assert found.codes.tolist() == item.codes.tolist()


def test_spans_of_many_lengths_need_a_step(tmp_path: Path) -> None:
    path = tmp_path / "t.ctm"
    path.write_text("a 1 0 0.04 1\na 1 0.04 0.02 2\na 1 0.06 0.02 3\n")
    with pytest.raises(DataError, match=r"t\.ctm: units last 0\.02 to 0\.04, .*--step"):
        list(made("ctm").read(path, Told()))
    ((_, item),) = made("ctm").read(path, Told(0.02))
    assert item.codes[:, 0].tolist() == [1, 1, 2, 3]


@pytest.mark.parametrize("decimals", [3, 4])
def test_times_that_others_rounded_find_their_steps(decimals: int, tmp_path: Path) -> None:
    step, count = 0.0125, 301
    edges = [round(s * step, decimals) for s in range(count + 1)]
    lines = [
        f"a 1 {left} {right - left:.{decimals}f} {s % 7}\n" for s, (left, right) in enumerate(pairwise(edges))
    ]
    (tmp_path / "t.ctm").write_text("".join(lines))
    ((_, item),) = made("ctm").read(tmp_path / "t.ctm", Told(step))
    assert item.codes[:, 0].tolist() == [s % 7 for s in range(count)]
