"""Unit files as other programs write them: Parquet with whole numbers, PAGE with and without units."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np
import pytest

from tests import tiny
from tests.plugins.small_pages import PAGE_2019, page_line, page_xml
from tests.plugins.test_formats_page import OUTLINE, SIZE, line, on_page, written
from tests.tiny import command
from unitdisc import convert
from unitdisc.errors import DataError
from unitdisc.exporter import Told
from unitdisc.units import Units
from unitdisc_formats.page import PAGE
from unitdisc_formats.parquet import Parquet

PAGE_2013 = PAGE_2019.replace("2019-07-15", "2013-07-15")


def table(path: Path, **columns: list[object]) -> Path:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    parquet.write_table(arrow.table({"id": ["a"], "units": [[1, 1, 2]], **columns}), path)
    return path


def read_table(path: Path) -> Units:
    ((_, item),) = Parquet().read(path, Told())
    return item


def test_whole_numbers_are_times(tmp_path: Path) -> None:
    item = read_table(table(tmp_path / "t.parquet", start=[0], step=[4], end=[11], unit_of_time=["column"]))
    assert item == Units("a", item.codes, 0.0, 4.0, 11.0, "column")
    assert [type(time) for time in (item.start, item.step, item.end)] == [float] * 3
    assert item.codes.tolist() == [[1], [1], [2]]


@pytest.mark.parametrize("step", ["0.02", True])
def test_a_step_that_is_no_number_is_refused(step: object, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected numbers in start, step and end, found .* in step"):
        read_table(table(tmp_path / "t.parquet", start=[0.0], step=[step], end=[1.0]))


def test_a_step_without_start_and_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="found None in start; write it anew, or leave step out"):
        read_table(table(tmp_path / "t.parquet", step=[0.02]))


def test_units_on_pages_come_back_with_their_places_byte_for_byte(tmp_path: Path) -> None:
    on_scan, _ = on_page()
    image = line("b", path="lines/b & c.png", width="22", height="64")
    written([on_scan, image], tmp_path)
    first = tmp_path / "page-test"
    found = [item for _, item in PAGE().read(first, Told())]
    for item, back in zip((image, on_scan), found, strict=True):
        assert (item.key, item.codes.tolist(), item.end) == (back.key, back.codes.tolist(), back.end)
        assert item.fields == back.fields
    (tmp_path / "again").mkdir()
    written(found, tmp_path / "again")
    for path in first.rglob("*.xml"):
        assert (tmp_path / "again/page-test" / path.relative_to(first)).read_bytes() == path.read_bytes()


def test_pages_of_a_run_are_scored_and_converted_as_its_other_units(tmp_path_factory, tmp_path: Path) -> None:
    folder = tiny.corpora(tmp_path_factory.getbasetemp())
    run = tiny.undisturbed(folder, "lines").folder
    formats = ("--format", "page", "--format", "jsonl", "--split", "test")
    assert command("export", run, *formats, "--out", tmp_path / "out").code == 0
    asked = ("--against", folder / "lines", "--metric", "pnmi", "--intervals", "0", "--json")
    of_pages = command("evaluate", tmp_path / "out/page-test", *asked)
    of_lines = command("evaluate", tmp_path / "out/units-test.jsonl", *asked)
    assert of_pages.code == of_lines.code == 0, of_pages.err
    assert of_pages.out.split('"grid"')[1] == of_lines.out.split('"grid"')[1]
    (tmp_path / "out/units.meta.json").unlink()
    bare = command("evaluate", tmp_path / "out/page-test", *asked, "--num-codes", "8")
    assert bare.out.split('"grid"')[1].split('"warnings"')[1] == of_lines.out.split('"warnings"')[1]
    converted = command(
        "convert", tmp_path / "out/page-test", "--from", "page", "--to", "page", "--out", tmp_path / "p"
    )
    assert converted.out.endswith("lost: nothing\n")


@pytest.mark.parametrize("space", [PAGE_2019, PAGE_2013])
def test_pages_of_other_programs_say_what_to_do(space: str, tmp_path: Path) -> None:
    (tmp_path / "p.xml").write_text(
        page_xml([page_line("l1", OUTLINE, text="ein Wort")], SIZE, namespace=space)
    )
    done = command("evaluate", tmp_path / "p.xml", "--from", "page")
    assert (done.code, done.err.count("\n")) == (3, 1)
    assert "unitdisc did not write it, so it holds no units; make some with: unitdisc encode" in done.err


def test_a_page_whose_attributes_another_program_added_to_is_read(tmp_path: Path) -> None:
    (path,) = written([line(codes=(1, 1, 2))], tmp_path, deduplicate=True)
    path.write_text(path.read_text().replace('custom="unit', 'custom="readingOrder {index:0;} unit'))
    ((_, item),) = PAGE().read(path, Told())
    assert np.array_equal(item.codes[:, 0], [1, 1, 2])


def test_a_unit_that_lost_its_length_is_damage(tmp_path: Path) -> None:
    (path,) = written([line()], tmp_path)
    path.write_text(path.read_text().replace("{count:1;}", "{}", 1))
    with pytest.raises(DataError, match="line l0: no whole number of steps for a unit; export it anew"):
        list(PAGE().read(path, Told()))


TWO = "a 1 0.00 0.02 3\na 1 0.02 0.02 4\nb 1 0.00 0.02 5\nb 1 0.02 0.02 5\n"


@pytest.mark.parametrize("content", ["", ";; nothing\n"])
def test_a_file_without_lines_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "u.ctm"
    path.write_text(content)
    with pytest.raises(DataError, match="holds no units"):
        convert.read(path, "ctm")


def test_what_comes_through_a_pipe_is_read_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=(TWO,))
    writer.start()
    found = convert.read(pipe, "ctm", step=0.02)
    writer.join()
    assert [item.codes[:, 0].tolist() for item in found.units] == [[3, 4], [5, 5]]


def test_a_line_nested_without_end_is_named(tmp_path: Path) -> None:
    path = tmp_path / "u.jsonl"
    path.write_text("[" * 100_000)
    with pytest.raises(DataError, match=r"u\.jsonl:1: expected"):
        convert.read(path, "jsonl")
