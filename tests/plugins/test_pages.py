"""What is read from PAGE and ALTO: texts, types, orders, places, scans, splits, and the way to an imported corpus."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from small_pages import (
    PAPER,
    alto_line,
    alto_xml,
    page_line,
    page_piece,
    page_xml,
    pairs,
    rectangle,
    save,
)

from unitdisc.cli.data import command
from unitdisc.errors import DataError
from unitdisc.testing import check_reader
from unitdisc_handwriting.source import Lines
from unitdisc_pages.reader import ALTO, PAGE

SIZE = (300, 200)
BOX = rectangle(10, 20, 290, 84)
ALTO_BOX = (10, 20, 280, 64)


def blank(path: Path, size=SIZE) -> Path:
    page = np.full(size[::-1], PAPER, np.uint8)
    page[40:70:2] = 60
    return save(path, page)


def page_folder(folder: Path, *lines: str, name="scan", **options) -> Path:
    blank(folder / f"{name}.png")
    (folder / f"{name}.xml").write_text(page_xml(lines, SIZE, **options))
    return folder


def alto_folder(folder: Path, *lines: str, **options) -> Path:
    blank(folder / "scan.png")
    (folder / "scan.xml").write_text(alto_xml(lines, SIZE, **options))
    return folder


def fields(reader, folder, name):
    return [item.fields.get(name) for item in reader.read(folder)]


def test_both_readers_keep_the_laws(tmp_path):
    check_reader(PAGE(), page_folder(tmp_path / "p", page_line("l1", BOX, text="ab")))
    check_reader(ALTO(), alto_folder(tmp_path / "a", alto_line("l1", box=ALTO_BOX)))


def test_fields_say_where_a_line_comes_from(tmp_path):
    folder = page_folder(tmp_path / "letters", page_line("l7", BOX, [(10, 70), (290, 70)], text="a  b"))
    (item,) = PAGE().read(folder)
    geometry = json.loads(item.fields.pop("geometry"))
    assert item.fields == {
        "page": "scan",
        "line": "l7",
        "document": "letters",
        "region": "paragraph",
        "scan": "scan.png",
        "baseline": "drawn",
        "text": "a b",
    }
    assert geometry["step"] == [2, 2]
    assert (item.key, item.split, item.where) == ("scan_l000", "train", f"{folder}/scan.xml:5: line l7")


@pytest.mark.parametrize("year", ["2013-07-15", "2016-07-15", "2017-07-15", "2018-07-15", "2019-07-15"])
def test_every_page_namespace_is_read(tmp_path, year):
    namespace = f"http://schema.primaresearch.org/PAGE/gts/pagecontent/{year}"
    folder = page_folder(tmp_path, page_line("l1", BOX, text="a"), namespace=namespace)
    assert fields(PAGE(), folder, "text") == ["a"]


@pytest.mark.parametrize("version", [2, 3, 4])
def test_every_alto_version_is_read(tmp_path, version):
    namespace = f"http://www.loc.gov/standards/alto/ns-v{version}#"
    folder = alto_folder(tmp_path, alto_line("l1", box=ALTO_BOX), namespace=namespace)
    assert fields(ALTO(), folder, "region") == ["MainZone"]


def test_the_text_of_the_lowest_index_counts(tmp_path):
    texts = "".join(
        f"<TextEquiv{index}><Unicode>{text}</Unicode></TextEquiv>"
        for index, text in (
            (' index="2"', "worst"),
            (' index="1"', "best"),
            (f' index="{"9" * 5000}"', "last"),
        )
    )
    plain = "".join(f"<TextEquiv><Unicode>{text}</Unicode></TextEquiv>" for text in ("first", "second"))
    folder = page_folder(tmp_path, page_line("l1", BOX, inner=texts), page_line("l2", BOX, inner=plain))
    assert fields(PAGE(), folder, "text") == ["best", "first"]


def test_texts_are_composed_and_lines_without_one_have_none(tmp_path):
    words = page_piece("Word", BOX, "von") + page_piece("Word", BOX, "Haus")
    lines = (
        page_line("l1", BOX, text="e\u0301t\u00e9"),
        page_line("l2", BOX),
        page_line("l3", BOX, inner=words),
    )
    assert fields(PAGE(), page_folder(tmp_path, *lines), "text") == ["\u00e9t\u00e9", None, "von Haus"]


def test_regions_have_the_type_that_transkribus_or_page_gives_and_keep_the_order_of_the_file(tmp_path):
    inner = f'<TextRegion id="r2" custom="readingOrder {{index:9;}}">{page_line("l2", BOX)}</TextRegion>'
    folder = page_folder(
        tmp_path,
        page_line("l1", BOX),
        inner,
        page_line("l3", BOX),
        region='type="other" custom="readingOrder {index:0;} structure {score:1; type:marginalia;}"',
    )
    assert fields(PAGE(), folder, "line") == ["l1", "l2", "l3"]
    assert fields(PAGE(), folder, "region") == ["marginalia"] * 3


def test_alto_text_joins_strings_spaces_and_hyphens(tmp_path):
    by_spaces = (
        '<String CONTENT="Wo"/><String CONTENT="rt"/><SP/><String CONTENT="an"/><HYP CONTENT="\u00ad"/>'
    )
    without = '<String CONTENT="zwei"/><String CONTENT="Worte"/><HYP CONTENT="-"/>'
    whole = '<String CONTENT="Il y a &amp; l&#39;on" HPOS="10" VPOS="20" WIDTH="99" HEIGHT="60"/>'
    lines = [
        alto_line(f"l{n}", box=ALTO_BOX, inner=inner) for n, inner in enumerate((by_spaces, without, whole))
    ]
    folder = alto_folder(tmp_path, *lines)
    assert fields(ALTO(), folder, "text") == ["Wort an-", "zwei Worte-", "Il y a & l'on"]
    assert all(item.tables == {} for item in ALTO().read(folder))


def test_a_box_a_polygon_and_both_forms_of_baseline_give_the_same_line(tmp_path):
    lines = [
        alto_line("l1", box=ALTO_BOX),
        alto_line("l2", box=(0, 0, 1, 1), outline=BOX),
        alto_line("l3", box=ALTO_BOX, baseline="70"),
        alto_line("l4", box=ALTO_BOX, baseline="10 70 150 70.0 290 70"),
        alto_line("l5", box=ALTO_BOX, baseline=pairs([(10, 70), (290, 70)])),
    ]
    first, *others = [item.read() for item in ALTO().read(alto_folder(tmp_path, *lines))]
    assert first.shape == (32, 140)
    assert all(np.array_equal(first, other) for other in others)


def test_words_and_characters_become_columns(tmp_path):
    glyphs = page_piece("Glyph", rectangle(10, 30, 20, 60), "a") + page_piece(
        "Glyph", rectangle(20, 30, 50, 60), "b"
    )
    words = page_piece("Word", rectangle(10, 30, 50, 60), "ab", glyphs)
    words += page_piece("Word", rectangle(46, 30, 110, 60), "c d") + page_piece("Word", BOX)
    (item,) = PAGE().read(page_folder(tmp_path / "p", page_line("l1", BOX, inner=words)))
    assert item.tables == {
        "words": [(0, 19, "ab"), (19, 50, "c d")],
        "characters": [(0, 5, "a"), (5, 20, "b")],
    }
    place = 'HPOS="{}" VPOS="30" WIDTH="{}" HEIGHT="30"'.format
    strings = (
        f'<String CONTENT="ab" {place(10, 40)}><Glyph CONTENT="a" {place(10, 10)}/></String><SP/>'
        f'<String CONTENT="cd" {place(60, 50)}/><String CONTENT="nowhere"/>'
    )
    (item,) = ALTO().read(alto_folder(tmp_path / "a", alto_line("l1", box=ALTO_BOX, inner=strings)))
    assert item.tables == {"words": [(0, 20, "ab"), (25, 50, "cd")], "characters": [(0, 5, "a")]}


def test_a_word_that_lies_in_another_never_breaks_the_table(tmp_path):
    rng = np.random.default_rng(0)
    for _ in range(30):
        starts = rng.uniform(10, 250, 12)
        boxes = [rectangle(start, 30, start + rng.uniform(1, 90), 60) for start in starts]
        words = "".join(page_piece("Word", box, f"w{number}") for number, box in enumerate(boxes))
        (item,) = PAGE().read(page_folder(tmp_path, page_line("l1", BOX, inner=words)))
        edges = [edge for start, end, _ in item.tables["words"] for edge in (start, end)]
        assert edges == sorted(edges)
        assert all(0 <= start < end <= 140 for start, end, _ in item.tables["words"])


@pytest.mark.parametrize(("unit", "factor"), [("mm10", 10), ("inch1200", 4)])
def test_other_measures_are_scaled_to_the_scan(tmp_path, unit, factor):
    def described(scale, unit):
        box = [scale * value for value in ALTO_BOX]
        line = alto_line("l1", box=box, baseline=f"{70 * scale}")
        return alto_xml([line], (SIZE[0] * scale, SIZE[1] * scale), unit=unit)

    blank(tmp_path / "scan.png")
    (tmp_path / "scan.xml").write_text(described(1, "pixel"))
    (pixels,) = ALTO().read(tmp_path)
    (tmp_path / "scan.xml").write_text(described(factor, unit))
    (scaled,) = ALTO().read(tmp_path)
    assert np.array_equal(pixels.read(), scaled.read())


@pytest.mark.parametrize(
    ("description", "scan", "named"),
    [
        ("a.xml", "scan.png", "scan.png"),
        ("a/page/1.xml", "a/1.tif", "1.tif"),
        ("a/page/1.xml", "a/1.JPG", "something.jpg"),
        ("a.xml", "img/1.png", "img/1.png"),
        ("xml/a.xml", "img/1.png", "img\\1.png"),
        ("a.xml", "1.png", "/home/me/secret/1.png"),
        ("a.xml", "1.png", "../../1.png"),
        ("a.xml", "1.png", "file:///c/1.png"),
        ("a.xml", "1.png", "1.jp2"),
        ("a.xml", "1.Png", "1.Png"),
        ("a.xml", "a.png", ""),
        ("a.xml", "a.png", "x" * 5000 + ".png"),
    ],
)
def test_scans_are_found_beside_above_and_where_their_name_leads(tmp_path, description, scan, named):
    blank(tmp_path / scan)
    (tmp_path / description).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / description).write_text(page_xml([page_line("l1", BOX)], SIZE, scan=named))
    (item,) = PAGE().read(tmp_path)
    assert item.fields["scan"] == Path(scan).name
    assert item.read().shape == (32, 140)


def test_one_page_of_an_export_or_its_folder_is_enough(tmp_path):
    blank(tmp_path / "doc" / "1.png")
    path = tmp_path / "doc" / "page" / "1.xml"
    path.parent.mkdir()
    path.write_text(page_xml([page_line("l1", BOX)], SIZE, scan="1.png"))
    for given in (path, path.parent, tmp_path / "doc"):
        (item,) = PAGE().read(given)
        assert (item.key, item.fields["document"]) == ("1_l000", "doc")


def test_scans_may_lie_in_a_folder_of_their_own_and_a_single_file_is_enough(tmp_path):
    folder = page_folder(tmp_path / "xml", page_line("l1", BOX))
    (tmp_path / "scans").mkdir()
    (folder / "scan.png").rename(tmp_path / "scans" / "scan.png")
    (item,) = PAGE(images=tmp_path / "scans", document="Anna").read(folder / "scan.xml")
    assert (item.key, item.fields["document"]) == ("scan_l000", "Anna")


def test_an_export_of_several_forms_gives_the_pages_of_one(tmp_path):
    blank(tmp_path / "doc one" / "0001.png")
    for name, content in (
        ("page/0001.xml", page_xml([page_line("l1", BOX)], SIZE, scan="0001.png")),
        ("alto/0001.xml", alto_xml([alto_line("l2", box=ALTO_BOX)], SIZE, scan="0001.png")),
        ("mets.xml", '<mets xmlns="http://www.loc.gov/METS/"/>'),
        ("metadata.xml", "<trpDocMetadata/>"),
        ("page/._0001.xml", "rubbish of an archive"),
    ):
        (tmp_path / "doc one" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "doc one" / name).write_text(content)
    for reader, line in ((PAGE(), "l1"), (ALTO(), "l2")):
        (item,) = reader.read(tmp_path)
        assert (item.key, item.fields["line"]) == ("doc_one_0001_l000", line)
        assert (item.fields["page"], item.fields["document"]) == ("doc one/0001", "doc one")


def test_a_table_names_the_split_of_pages(tmp_path):
    for name in ("one", "two"):
        page_folder(tmp_path / "c", page_line("l1", BOX), name=name, scan=f"{name}.png")
    table = tmp_path / "splits.tsv"
    table.write_text("page\tsplit\ntwo\ttest\n")
    splits = {item.fields["page"]: item.split for item in PAGE(splits=table).read(tmp_path / "c")}
    assert splits == {"one": "train", "two": "test"}
    table.write_text("page\tsplit\nthree\ttest\n")
    with pytest.raises(DataError, match="no page 'three'"):
        list(PAGE(splits=table).read(tmp_path / "c"))
    for wrong in ("two\ttest\n", "page\tsplit\ntwo\n", "page\tsplit\ntwo\ttest\ntwo\tdev\n"):
        table.write_text(wrong)
        with pytest.raises(DataError, match=r"splits\.tsv:\d"):
            list(PAGE(splits=table).read(tmp_path / "c"))


def test_prefixes_of_namespaces_make_no_difference(tmp_path):
    folder = page_folder(tmp_path, page_line("l1", BOX, text="a"))
    text = (folder / "scan.xml").read_text().replace("xmlns=", "xmlns:pc=")
    (folder / "scan.xml").write_text(re.sub(r"<(/?)(\w)", r"<\1pc:\2", text))
    assert fields(PAGE(), folder, "text") == ["a"]


def imported(*arguments: str | Path) -> list[str]:
    result = CliRunner().invoke(command, ["import", "--from", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0
    return result.output.splitlines()


def test_the_cache_is_used_again_until_the_description_or_the_scan_changes(tmp_path, monkeypatch):
    monkeypatch.setenv("UNITDISC_CACHE", str(tmp_path / "cache"))
    folder = page_folder(tmp_path / "c", page_line("l1", BOX))
    (folder / "page").mkdir()
    description = (folder / "scan.xml").rename(folder / "page" / "scan.xml")
    _, first = imported("page", description)
    assert imported("page", description) == ["lines: 1 text lines, imported before", first]
    save(folder / "scan.png", np.full(SIZE[::-1], PAPER, np.uint8))
    _, second = imported("page", description)
    description.write_text(page_xml([page_line("l1", [*BOX, (150, 50)])], SIZE))
    _, third = imported("page", description)
    assert len({first, second, third}) == 3


def test_an_edited_manifest_of_imported_pages_is_not_passed_over(tmp_path, monkeypatch):
    monkeypatch.setenv("UNITDISC_CACHE", str(tmp_path / "cache"))
    out = tmp_path / "out"
    imported("page", page_folder(tmp_path / "c", page_line("l1", BOX, text="ab")), "--out", out)
    manifest = out / "manifest.jsonl"
    manifest.write_text(manifest.read_text().replace('"ab"', '"abc"'))
    with pytest.raises(DataError, match=r"manifest\.jsonl: .*delete lines\.jsonl and import\.json"):
        Lines(root=out, text=True).prepare()
    for name in ("lines.jsonl", "import.json"):
        (out / name).unlink()
    source = Lines(root=out, text=True)
    source.prepare()
    assert source.targets["text"].vocab == ("a", "b", "c")


@pytest.mark.parametrize("form", ["page", "alto"])
def test_pages_become_a_corpus_by_one_command(tmp_path, monkeypatch, form):
    monkeypatch.setenv("UNITDISC_CACHE", str(tmp_path / "cache"))
    if form == "page":
        words = page_piece("Word", rectangle(10, 30, 50, 60), "ab")
        folder = page_folder(tmp_path / "c", page_line("l1", BOX, text="ab", inner=words))
    else:
        strings = '<String CONTENT="ab" HPOS="10" VPOS="30" WIDTH="40" HEIGHT="30"/>'
        folder = alto_folder(tmp_path / "c", alto_line("l1", box=ALTO_BOX, inner=strings))
    imported(form, folder, "--out", tmp_path / "out")
    source = Lines(root=tmp_path / "out", text=True, labels=("words",))
    source.prepare()
    (example,) = source.split("train")
    assert example.inputs.shape == (140, 32)
    assert source.targets["text"].vocab == ("a", "b")
    assert (example.targets["words"][:20] == 0).all()
