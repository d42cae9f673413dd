"""Units as PAGE XML: on the scan where a reader cut the line out of it, else on the line image."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from tests import tiny
from tests.plugins.small_pages import page_line, page_xml, save
from tests.tiny import command
from unitdisc.errors import DataError
from unitdisc.exporter import Told
from unitdisc.units import Units
from unitdisc_formats.page import PAGE
from unitdisc_pages import reader
from unitdisc_pages.described import Line
from unitdisc_pages.strip import strip

SPACE = "{http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15}"
SIZE = (400, 300)
BASELINE = [(40, 120), (160, 100), (340, 160)]
OUTLINE = [(30, 80), (160, 60), (350, 110), (350, 180), (160, 125), (30, 145)]


def line(key: str = "a", codes: tuple[int, ...] = (1, 1, 2), *, end: float = 11.0, **fields: str) -> Units:
    return Units(key, np.array(codes, np.int64)[:, None], 0.0, 4.0, end, "column", fields)


def words(path: Path) -> list[tuple[str, list[tuple[int, int]]]]:
    """Return (text, corners) of the words of a file."""
    return [
        (word.findtext(f"{SPACE}TextEquiv/{SPACE}Unicode", ""), corners(word))
        for word in ET.parse(path).iter(f"{SPACE}Word")
    ]


def corners(node: ET.Element) -> list[tuple[int, int]]:
    points = node.find(f"{SPACE}Coords").get("points")
    return [tuple(map(int, point.split(","))) for point in points.split()]


def written(items: list[Units], folder: Path, **options: int) -> list[Path]:
    return PAGE(**options).write(items, split="test", num_codes=5, folder=folder)


def test_units_of_a_line_image_are_its_columns(tmp_path: Path) -> None:
    (path,) = written([line(path="lines/a.png")], tmp_path, height=20)
    assert path == tmp_path / "page-test/a.xml"
    assert words(path) == [
        ("1", [(0, 0), (4, 0), (4, 20), (0, 20)]),
        ("1", [(4, 0), (8, 0), (8, 20), (4, 20)]),
        ("2", [(8, 0), (11, 0), (11, 20), (8, 20)]),
    ]
    page = ET.parse(path).getroot().find(f"{SPACE}Page")
    assert page.attrib == {"imageFilename": "lines/a.png", "imageWidth": "11", "imageHeight": "20"}
    assert page.findtext(f"{SPACE}TextRegion/{SPACE}TextLine/{SPACE}TextEquiv/{SPACE}Unicode") == "1 1 2"


def test_a_line_that_the_model_saw_scaled_is_described_as_it_is_stored(tmp_path: Path) -> None:
    (path,) = written([line(width="22", height="64")], tmp_path, deduplicate=True)
    assert words(path) == [
        ("1", [(0, 0), (16, 0), (16, 64), (0, 64)]),
        ("2", [(16, 0), (22, 0), (22, 64), (16, 64)]),
    ]


def on_page(scale: float = 1.0) -> tuple[Units, object]:
    """Return units of a line with a bent baseline, seen ``scale`` times as large as stored, and its strip."""
    drawn = Line("l", "x", "", "", np.array(OUTLINE, float), np.array(BASELINE, float))
    _, place = strip(drawn, SIZE, height=32, cover=0.95)
    count = int(place.width * scale / 4)
    item = line(
        codes=tuple(n % 5 for n in range(count)),
        end=place.width * scale,
        page="letters/p1",
        scan="p1.jpg",
        geometry=place.to_json(SIZE),
    )
    return item, place


@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_units_of_a_page_lie_where_the_reader_cut_them_out(scale: float, tmp_path: Path) -> None:
    item, place = on_page(scale)
    (path,) = written([item], tmp_path)
    assert path == tmp_path / "page-test/letters/p1.xml"
    found = words(path)
    assert [int(text) for text, _ in found] == item.codes[:, 0].tolist()
    for number, (_, outline) in enumerate(found):
        edges = np.array([number * 4.0, (number + 1) * 4.0]) / scale
        for column, top, foot in ((edges[0], outline[0], outline[-1]), (edges[1], *middle(outline))):
            for row, corner in ((0, top), (32, foot)):
                expected = place.to_page(np.array(column), np.array(float(row))).clip(0, SIZE)
                assert np.abs(expected - corner).max() <= 0.51
    page = ET.parse(path).getroot().find(f"{SPACE}Page")
    assert page.attrib == {"imageFilename": "p1.jpg", "imageWidth": "400", "imageHeight": "300"}


def middle(outline: list[tuple[int, int]]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the upper and the lower right corner."""
    half = len(outline) // 2
    return outline[half - 1], outline[half]


def test_a_unit_over_a_bend_of_the_baseline_bends_too(tmp_path: Path) -> None:
    item, _ = on_page()
    written([Units("a", np.array([[3]]), 0.0, item.end, item.end, "column", item.fields)], tmp_path)
    ((_, outline),) = words(tmp_path / "page-test/letters/p1.xml")
    assert len(outline) >= 6


def test_lines_of_a_page_stand_in_one_file_and_come_back(tmp_path: Path) -> None:
    first, _ = on_page()
    second = Units("ä & <b>", first.codes[::-1], 0.0, 4.0, first.end, "column", first.fields)
    (path,) = written([first, second], tmp_path, deduplicate=True)
    found = [item for _, item in PAGE().read(tmp_path / "page-test", Told())]
    assert [(i.key, i.codes.tolist(), i.end, i.unit_of_time) for i in found] == [
        (i.key, i.codes.tolist(), i.end, "column") for i in (first, second)
    ]
    names = [node.get("id") for node in ET.parse(path).iter() if node.get("id")]
    assert len(set(names)) == len(names)


def test_units_are_read_by_the_reader_of_pages(tmp_path: Path) -> None:
    item, _place = on_page()
    (path,) = written([item], tmp_path)
    save(path.parent / "p1.jpg", np.full((300, 400), 230, np.uint8))
    (drawn,) = reader.PAGE(height=32).read(tmp_path / "page-test")
    assert drawn.fields["text"] == " ".join(str(code) for (code,) in item.codes)
    labels = drawn.tables["words"]
    assert [int(text) for _, _, text in labels] == item.codes[:, 0].tolist()


def test_a_geometry_that_says_nothing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="a: its field geometry does not say where it lies on its page"):
        written([line(page="p", geometry="{}")], tmp_path)


def test_a_page_that_leads_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    item, _ = on_page()
    fields = {**item.fields, "page": "../../p"}
    with pytest.raises(Exception, match="leads out of the folder"):
        written([Units("a", item.codes, 0.0, 4.0, item.end, "column", fields)], tmp_path)


def test_a_scan_goes_to_units_on_it_with_one_command(tmp_path: Path) -> None:
    tiny.write_corpora(tmp_path)
    done = command("train", tmp_path / "lines.yaml", "--out", tmp_path / "run", "train.steps=2")
    assert done.code == 0, done.err
    scan = np.random.default_rng(0).integers(0, 255, (300, 400)).astype(np.uint8)
    save(tmp_path / "scans/p1.png", scan)
    text = page_xml([page_line("l1", OUTLINE, BASELINE)], SIZE, scan="p1.png")
    (tmp_path / "scans/p1.xml").write_text(text)
    out = ("--format", "page", "--format", "jsonl", "--out", tmp_path / "out")
    done = command("encode", tmp_path / "run", tmp_path / "scans", "--from", "page", *out)
    assert done.code == 0, done.err
    found = words(tmp_path / "out/page-train/p1.xml")
    assert len(found) > 30
    xs = [x for _, outline in found for x, _ in outline]
    assert min(xs) >= 15
    assert max(xs) <= 360
    tops = [outline[0] for _, outline in found]
    assert tops == sorted(tops)
    done = command("export", tmp_path / "run", "--format", "page", "--out", tmp_path / "own")
    assert done.code == 0, done.err
    assert len(list((tmp_path / "own/page-test").glob("*.xml"))) == 4
