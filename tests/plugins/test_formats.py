"""Unit files: exact bytes, and what is read back is what was written."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unitdisc.errors import DataError, RecipeError
from unitdisc.exporter import Exporter
from unitdisc.unit_lines import read_units
from unitdisc.units import Units
from unitdisc_formats import ctm, km
from unitdisc_formats.ctm import CTM
from unitdisc_formats.jsonl import JSONL
from unitdisc_formats.km import KM

NUM_CODES = 6


def units(key: str, codes: list[int] | list[list[int]], *, step: float = 0.02, end: float = 1e6) -> Units:
    array = np.array(codes, np.int64)
    return Units(
        key, array.reshape(len(codes), -1) if codes else array.reshape(0, 1), 0.0, step, end, "second"
    )


def written(exporter: Exporter, split: list[Units], folder: Path) -> list[Path]:
    return exporter.write(split, split="test", num_codes=NUM_CODES, folder=folder)


TWO = [units("b", [3, 3, 5]), units("a", [0])]


# Exact bytes


def test_jsonl_is_a_line_of_file_and_units_per_utterance_in_manifest_order(tmp_path: Path) -> None:
    (path,) = written(JSONL(), TWO, tmp_path)
    assert path == tmp_path / "units-test.jsonl"
    assert path.read_bytes() == b'{"file": "b", "units": [3, 3, 5]}\n{"file": "a", "units": [0]}\n'


def test_jsonl_of_several_codebooks_holds_a_list_per_unit(tmp_path: Path) -> None:
    (path,) = written(JSONL(), [units("a", [[1, 2], [3, 4]])], tmp_path)
    assert path.read_bytes() == b'{"file": "a", "units": [[1, 2], [3, 4]]}\n'


def test_km_is_labels_ids_and_a_dictionary_of_all_codes(tmp_path: Path) -> None:
    paths = written(KM(), [*TWO, units("nothing", [])], tmp_path)
    assert {path.name: path.read_bytes() for path in paths} == {
        "test.km": b"3 3 5\n0\n\n",
        "test.keys": b"b\na\nnothing\n",
        "dict.km.txt": b"0 1\n1 1\n2 1\n3 1\n4 1\n5 1\n",
    }


def test_km_writes_a_label_set_per_codebook(tmp_path: Path) -> None:
    paths = written(KM(), [units("a", [[1, 2], [3, 4]])], tmp_path)
    assert {path.name for path in paths} == {
        "test.keys",
        "test.km0",
        "test.km1",
        "dict.km0.txt",
        "dict.km1.txt",
    }
    assert km.read(tmp_path / "test.km0") == {"a": [1, 3]}
    assert km.read(tmp_path / "test.km1") == {"a": [2, 4]}


def test_km_dictionary_is_the_same_for_every_split(tmp_path: Path) -> None:
    written(KM(), TWO, tmp_path)
    before = (tmp_path / "dict.km.txt").read_bytes()
    KM().write([units("c", [1])], split="train", num_codes=NUM_CODES, folder=tmp_path)
    assert (tmp_path / "dict.km.txt").read_bytes() == before
    assert (tmp_path / "test.km").exists()


def test_ctm_is_a_line_per_unit_and_the_last_is_cut_at_the_end(tmp_path: Path) -> None:
    (path,) = written(
        CTM(), [units("b", [3, 3, 5], step=0.0125, end=0.03), units("a", [0], end=0.02)], tmp_path
    )
    assert path == tmp_path / "test.ctm"
    assert path.read_text() == (
        "b 1 0.000000 0.012500 3\nb 1 0.012500 0.012500 3\nb 1 0.025000 0.005000 5\na 1 0.000000 0.020000 0\n"
    )


def test_ctm_deduplicated_has_a_line_per_run(tmp_path: Path) -> None:
    (path,) = written(CTM(deduplicate=True), [units("b", [3, 3, 5, 3], end=0.07)], tmp_path)
    assert path.read_text() == "b 1 0.000000 0.040000 3\nb 1 0.040000 0.020000 5\nb 1 0.060000 0.010000 3\n"


def test_jsonl_deduplicated_has_durations_beside(tmp_path: Path) -> None:
    (path,) = written(JSONL(deduplicate=True), [units("b", [3, 3, 5, 3]), units("a", [])], tmp_path)
    assert path.read_bytes() == (
        b'{"file": "b", "units": [3, 5, 3], "durations": [2, 1, 1]}\n{"file": "a", "units": [], "durations": []}\n'
    )


def test_km_deduplicated_has_durations_beside_and_its_label_sets_stay_aligned(tmp_path: Path) -> None:
    written(KM(deduplicate=True), [units("b", [[1, 2], [1, 2], [1, 4]])], tmp_path)
    names = ("test.km0", "test.km1", "test.durations")
    assert [(tmp_path / name).read_text() for name in names] == ["1 1\n", "2 4\n", "2 1\n"]


def test_ctm_joins_the_codes_of_a_unit(tmp_path: Path) -> None:
    (path,) = written(CTM(), [units("a", [[1, 2]], end=0.02)], tmp_path)
    assert path.read_text() == "a 1 0.000000 0.020000 1-2\n"


@pytest.mark.parametrize("exporter", [JSONL(), KM(), CTM()])
def test_empty_split_gives_files_without_lines(exporter: Exporter, tmp_path: Path) -> None:
    paths = written(exporter, [], tmp_path)
    assert all(path.read_bytes() == b"" for path in paths if not path.name.startswith("dict."))


# Round trips

PLAIN = st.text(st.characters(codec="utf-8", exclude_categories=["Z", "C"]), min_size=1).filter(
    lambda key: not key.startswith(";;")
)
CODE = st.integers(0, NUM_CODES - 1)
ONE_BOOK = st.lists(CODE, max_size=12)
TWO_BOOKS = st.lists(st.lists(CODE, min_size=2, max_size=2), min_size=1, max_size=8)
quick = settings(max_examples=60, deadline=None)


@quick
@given(split=st.dictionaries(st.text(), ONE_BOOK, max_size=4), deduplicate=st.booleans())
def test_jsonl_reads_back_any_id_and_units(split: dict[str, list[int]], *, deduplicate: bool) -> None:
    with TemporaryDirectory() as folder:
        paths = written(
            JSONL(deduplicate=deduplicate), [units(*item) for item in split.items()], Path(folder)
        )
        found = read_units(paths[0])
    assert found == split
    assert list(found) == list(split)


@quick
@given(split=st.dictionaries(st.text(), TWO_BOOKS, max_size=4), deduplicate=st.booleans())
def test_jsonl_reads_back_several_codebooks(split: dict[str, list[list[int]]], *, deduplicate: bool) -> None:
    with TemporaryDirectory() as folder:
        paths = written(
            JSONL(deduplicate=deduplicate), [units(*item) for item in split.items()], Path(folder)
        )
        assert read_units(paths[0]) == split


@quick
@given(split=st.dictionaries(PLAIN, ONE_BOOK, max_size=4), deduplicate=st.booleans())
def test_km_reads_back(split: dict[str, list[int]], *, deduplicate: bool) -> None:
    with TemporaryDirectory() as folder:
        written(KM(deduplicate=deduplicate), [units(*item) for item in split.items()], Path(folder))
        found = km.read(Path(folder) / "test.km")
    assert found == split
    assert list(found) == list(split)


@quick
@given(split=st.dictionaries(PLAIN, TWO_BOOKS, min_size=1, max_size=4), deduplicate=st.booleans())
def test_km_reads_back_several_codebooks(split: dict[str, list[list[int]]], *, deduplicate: bool) -> None:
    with TemporaryDirectory() as folder:
        written(KM(deduplicate=deduplicate), [units(*item) for item in split.items()], Path(folder))
        for book in range(2):
            expected = {key: [codes[book] for codes in sequence] for key, sequence in split.items()}
            assert km.read(Path(folder) / f"test.km{book}") == expected


@quick
@given(split=st.dictionaries(PLAIN, TWO_BOOKS, max_size=4), step=st.sampled_from([0.01, 0.0125, 0.02, 4.0]))
def test_ctm_reads_back_units_and_times(split: dict[str, list[list[int]]], step: float) -> None:
    items = [units(key, codes, step=step, end=step * (len(codes) - 0.25)) for key, codes in split.items()]
    with TemporaryDirectory() as folder:
        found = ctm.read(written(CTM(), items, Path(folder))[0])
    for item in items:
        for (start, end, codes), (left, right, read) in zip(item.spans(), found[item.key], strict=True):
            assert codes == read
            assert (left, right) == pytest.approx((start, end), abs=1e-9)


@quick
@given(
    codes=st.lists(CODE, min_size=1, max_size=300),
    step=st.floats(1e-4, 10),
    start=st.floats(-0.1, 1),
    tail=st.floats(-3, 3),
    deduplicate=st.booleans(),
)
def test_ctm_of_any_step_neither_overlaps_nor_drifts(
    codes: list[int], step: float, start: float, tail: float, *, deduplicate: bool
) -> None:
    end = max(start, start + step * (len(codes) + tail))
    item = Units("a", np.array(codes)[:, None], start, step, end, "second")
    with TemporaryDirectory() as folder:
        (path,) = written(CTM(deduplicate=deduplicate), [item], Path(folder))
        rows = [
            [int(field.replace(".", "")) for field in line.split()[2:4]]
            for line in path.read_text().splitlines()
        ]
        assert len(ctm.read(path)["a"]) == len(rows)
    assert all(duration >= 0 for _, duration in rows)
    assert all(left + duration == right for (left, duration), (right, _) in pairwise(rows))
    firsts = [s for s, code in enumerate(codes) if not deduplicate or s == 0 or codes[s - 1] != code]
    exact = [min(start + s * step, end) * 1e6 for s in firsts]
    assert [left for left, _ in rows] == pytest.approx(exact, abs=0.5 + 1e-3)


def test_ctm_of_a_day_is_exact_to_the_microsecond(tmp_path: Path) -> None:
    step, count = 512 / 44100, 10_000
    item = Units("a", np.zeros((count, 1), np.int64), 86_000.0, step, 90_000.0, "second")
    (path,) = written(CTM(), [item], tmp_path)
    last = path.read_text().splitlines()[-1].split()
    assert float(last[2]) == pytest.approx(86_000 + (count - 1) * step, abs=1e-6)


# Refusals


@pytest.mark.parametrize("exporter", [JSONL(), KM(), CTM()])
def test_run_without_a_codebook_has_nothing_to_export(exporter: Exporter, tmp_path: Path) -> None:
    nothing = Units("a", np.zeros((3, 0), np.int64), 0.0, 0.02, 0.06, "second")
    with pytest.raises(RecipeError, match="quantises nothing"):
        written(exporter, [nothing], tmp_path)


@pytest.mark.parametrize("key", ["a b", "a\tb", "a\u2028b", ";;a", "", "a\n", "\ud800"])
def test_ctm_refuses_ids_that_its_lines_cannot_hold(key: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="does not fit into a ctm file"):
        written(CTM(), [units(key, [1])], tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("key", ["a\nb", "a\r", "", "\udc80"])
def test_km_refuses_ids_that_its_lines_cannot_hold(key: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="does not fit into a km file"):
        written(KM(), [units(key, [1])], tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("line", ["a 1 0.0 0.1", "a 1 x 0.1 3", "a 1 0.0 0.1 sil"])
def test_ctm_reader_names_the_wrong_line(line: str, tmp_path: Path) -> None:
    path = tmp_path / "test.ctm"
    path.write_text(f"{line}\n")
    with pytest.raises(DataError, match=r"test\.ctm:1: expected 'id channel start duration unit'"):
        ctm.read(path)


def test_km_reader_names_the_wrong_line_and_a_missing_id(tmp_path: Path) -> None:
    path = tmp_path / "test.km"
    path.with_suffix(".keys").write_text("a\nb\n")
    path.write_text("1 2\n3 x\n")
    with pytest.raises(DataError, match=r"test\.km:2: expected codes"):
        km.read(path)
    path.write_text("1 2\n")
    with pytest.raises(DataError, match=r"1 lines for 2 ids in test\.keys"):
        km.read(path)


def test_km_reader_names_durations_that_do_not_fit(tmp_path: Path) -> None:
    for name, text in (("km", "1 2\n3\n"), ("keys", "a\nb\n"), ("durations", "1 1\n1 1\n")):
        (tmp_path / f"test.{name}").write_text(text)
    with pytest.raises(DataError, match=r"test\.durations:2: 2 durations for 1 units"):
        km.read(tmp_path / "test.km")


def test_plugin_names_its_formats_without_importing_torch() -> None:
    code = (
        "import sys, importlib, unitdisc_formats\n"
        "for place in unitdisc_formats.unitdisc_exporters().values():\n"
        "    module, name = place.split(':')\n"
        "    getattr(importlib.import_module(module), name)\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
