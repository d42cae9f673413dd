"""What is wrong with a page, its description or its scan is said in one line with file and line."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from small_pages import ALTO_4, PAPER, alto_line, alto_xml, page_line, page_piece, page_xml, rectangle, save

from unitdisc.errors import DataError
from unitdisc_pages import markup
from unitdisc_pages.reader import ALTO, PAGE

SIZE = (300, 200)
BOX = rectangle(10, 20, 290, 84)
GOOD = page_line("good", BOX, [(10, 70), (290, 70)])


def refusal(folder, content=None, *, reader=None, size=SIZE):
    """Return what the reader says of a folder with this description; the scan is good unless it is there."""
    folder.mkdir(exist_ok=True)
    if size is not None and not (folder / "scan.png").exists():
        save(folder / "scan.png", np.full(size[::-1], PAPER, np.uint8))
    if content is not None:
        (folder / "scan.xml").write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(DataError) as caught:
        [item.read() for item in (reader or PAGE()).read(folder)]
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)
    return str(caught.value)


BOMBS = {
    "laughs": '<!DOCTYPE x [<!ENTITY a "ha">'
    + "".join(f'<!ENTITY a{n} "{f"&a{n - 1 or str()};" * 10}">' for n in range(1, 10))
    + "]><PcGts>&a9;</PcGts>",
    "file": '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><PcGts>&a;</PcGts>',
    "parameter": '<!DOCTYPE x [<!ENTITY % a SYSTEM "http://example.org/a.dtd"> %a;]><PcGts/>',
    "external": '<!DOCTYPE PcGts SYSTEM "http://example.org/page.dtd"><PcGts/>',
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_entities_and_document_types_are_refused_before_anything_expands(tmp_path, bomb):
    message = refusal(tmp_path / "c", f'<?xml version="1.0"?>\n{BOMBS[bomb]}')
    assert "scan.xml:2: declares a document type" in message


def test_damaged_xml_is_refused_with_its_line(tmp_path):
    whole = page_xml([GOOD], SIZE)
    for content, reason in (
        ("", "no element found"),
        (whole[: len(whole) // 2], "scan.xml:4: not XML"),
        (whole.replace("</TextRegion>", "</TextRegoin>"), "scan.xml:6: not XML"),
        (whole.replace("</Page>", "&nothing;</Page>"), "not XML"),
        (b"\xff\xfe\x00junk", "not XML"),
        (whole.replace("UTF-8", "no-such-code"), "not XML"),
        (b"\x89PNG\r\n", "not XML"),
    ):
        assert reason in refusal(tmp_path / "c", content)


def test_any_damage_is_a_message_and_never_a_traceback(tmp_path):
    save(tmp_path / "scan.png", np.full(SIZE[::-1], PAPER, np.uint8))
    rng = np.random.default_rng(0)
    words = page_piece("Word", BOX, "ab")
    good = {
        PAGE(): page_xml([page_line("l1", BOX, [(10, 70), (290, 70)], "ab", words)], SIZE),
        ALTO(): alto_xml([alto_line("l1", box=(10, 20, 280, 64), baseline="10 70 290 70")], SIZE),
    }
    outcomes = set()
    for reader, text in good.items():
        for _ in range(300):
            content = np.frombuffer(text.encode(), np.uint8).copy()
            where = rng.integers(len(content), size=2)
            content[where] = rng.choice(list(b"0123456789-,. <>\"'=aZ\xff"), 2)
            (tmp_path / "scan.xml").write_bytes(content.tobytes())
            try:
                outcomes |= {item.read().shape[0] for item in reader.read(tmp_path)}
            except DataError as error:
                outcomes.add("refused" if "\n" not in str(error) else "refused in many lines")
    assert outcomes == {32, "refused"}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1", "windows-1252"])
def test_every_encoding_that_xml_declares_is_read(tmp_path, encoding):
    save(tmp_path / "scan.png", np.full(SIZE[::-1], PAPER, np.uint8))
    text = page_xml([page_line("l1", BOX, text="caf\u00e9")], SIZE)
    declared = text.replace("UTF-8", encoding.removesuffix("-sig").replace("latin-1", "ISO-8859-1"))
    (tmp_path / "scan.xml").write_bytes(declared.encode(encoding))
    (item,) = PAGE().read(tmp_path)
    assert item.fields["text"] == "caf\u00e9"


def test_files_that_are_too_large_or_too_deep_do_no_harm(tmp_path, monkeypatch):
    deep = page_xml(["<TextRegion>" * 50_000 + GOOD + "</TextRegion>" * 50_000], SIZE)
    save(tmp_path / "d" / "scan.png", np.full(SIZE[::-1], PAPER, np.uint8))
    (tmp_path / "d" / "scan.xml").write_text(deep)
    assert len(list(PAGE().read(tmp_path / "d"))) == 1
    monkeypatch.setattr(markup, "MAX_BYTES", 200)
    assert "at most 200 are read" in refusal(tmp_path / "c", page_xml([GOOD], SIZE))


def test_files_of_another_kind_are_refused_by_name(tmp_path):
    assert "scan.xml:1: holds <html>, not <PcGts>" in refusal(tmp_path / "a", "<html/>")
    alto = alto_xml([alto_line("l1", box=(0, 0, 99, 32))], SIZE)
    assert "no <PcGts> in there (found: <alto>)" in refusal(tmp_path / "b", alto)
    page = page_xml([GOOD], SIZE)
    assert "no <alto> in there (found: <PcGts>)" in refusal(tmp_path / "c", page, reader=ALTO())
    old = page_xml([GOOD], SIZE, namespace="http://schema.primaresearch.org/PAGE/gts/pagecontent/2010-03-19")
    assert "2010-03-19'; accepted are those of 2013 to 2019" in refusal(tmp_path / "d", old)
    first = alto.replace(ALTO_4, "http://schema.ccs-gmbh.com/ALTO")
    assert "accepted are ALTO 2, 3 and 4" in refusal(tmp_path / "e", first, reader=ALTO())
    assert "found: no *.xml" in refusal(tmp_path / "f")


def test_pages_of_one_name_are_refused(tmp_path):
    for folder in ("c", "c/page"):
        save(tmp_path / folder / "scan.png", np.full(SIZE[::-1], PAPER, np.uint8))
        (tmp_path / folder / "scan.xml").write_text(page_xml([GOOD], SIZE))
    assert "would be the page scan as is" in refusal(tmp_path / "c")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (page_line("bad", rectangle(10, 20, 350, 84)), "outline reaches 350,20 on a page of 300 x 200"),
        (page_line("bad", rectangle(-9, 20, 290, 84)), "outline reaches -9,20"),
        (page_line("bad", BOX, [(10, 70), (290, 999)]), "baseline reaches 290,999"),
        (page_line("bad", [(10, 20), (290, 20)]), "encloses no area"),
        (page_line("bad", [(10, 20)] * 5), "encloses no area"),
        (page_line("bad", rectangle(10, 20, 290, 21)), "280 long and 1 high"),
        (page_line("bad", BOX, [(10, 70), (10, 70)]), "baseline ends where it begins"),
        (page_line("bad", BOX, [(10, 70)]), "baseline ends where it begins"),
        (page_line("bad", BOX, [(10, 70), (150, 20), (200, 190), (290, 70)]), "turns by more than 45"),
        (page_line("bad", BOX, [(10, 70), (290, 70), (40, 60), (250, 70)]), "turns by more than 45"),
        (page_line("bad", BOX).replace("10,20", "10,zwanzig"), "Coords: 'zwanzig' is no place"),
        (page_line("bad", BOX).replace("10,20", "10,nan"), "Coords: 'nan' is no place"),
        (page_line("bad", BOX).replace("10,20", "10,1e300"), "Coords: '1e300' is no place"),
        (page_line("bad", BOX).replace("10,20", "10"), "Coords: found 7 numbers"),
        (page_line("bad", BOX).replace("<Coords", "<Other"), "no Coords"),
        (page_line("bad", BOX * 5000), "found 40000 numbers"),
    ],
)
def test_lines_that_cannot_be_cut_are_refused_by_id_or_left_out(tmp_path, capsys, line, reason):
    message = refusal(tmp_path / "c", page_xml([GOOD, line, GOOD], SIZE))
    assert "scan.xml:6: line bad: " in message
    assert reason in message
    kept = list(PAGE(skip_bad=True).read(tmp_path / "c"))
    assert [item.key for item in kept] == ["scan_l000", "scan_l002"]
    said = capsys.readouterr().err
    assert "left out 1 of 3 lines" in said
    assert reason in said


def test_outlines_a_little_outside_are_clipped_to_the_page(tmp_path):
    save(tmp_path / "scan.png", np.full(SIZE[::-1], PAPER, np.uint8))
    (tmp_path / "scan.xml").write_text(page_xml([page_line("l1", rectangle(-3, -2, 303, 64))], SIZE))
    (item,) = PAGE().read(tmp_path)
    assert item.read().shape == (32, 150)


def test_alto_that_says_too_little_is_refused(tmp_path):
    line = alto_line("bad", box=(10, 20, 280, 64))
    for content, reason in (
        (alto_xml([line.replace('HPOS="10"', "")], SIZE), "line bad: neither a Polygon nor HPOS"),
        (alto_xml([line.replace('"280"', '"wide"')], SIZE), "line bad: WIDTH: 'wide' is no place"),
        (
            alto_xml([line.replace('ID="bad"', 'ID="bad" BASELINE="1 2 3"')], SIZE),
            "BASELINE: found 3 numbers",
        ),
        (alto_xml([line], SIZE, unit="mm"), "measures in 'mm' (accepted: pixel, mm10, inch1200)"),
        (
            alto_xml([line], SIZE, unit="mm10").replace('WIDTH="300"', ""),
            "measures in mm10, but has no WIDTH",
        ),
        (alto_xml([line], (300, 100), unit="mm10"), "describes a page of 300 x 100"),
        (alto_xml([line], SIZE).replace("</Page>", '</Page><Page ID="q"/>'), "holds 2 pages"),
        (alto_xml([line], SIZE).replace("Layout>", "Other>"), "holds 0 pages"),
    ):
        assert reason in refusal(tmp_path / "c", content, reader=ALTO())


def test_missing_scans_and_scans_of_another_size_are_refused(tmp_path):
    content = page_xml([GOOD], SIZE)
    assert "no scan 'scan.png' in" in refusal(tmp_path / "a", content, size=None)
    message = refusal(tmp_path / "b", content, size=(600, 400))
    assert "describes a page of 300 x 200, but its scan" in message
    assert "has 600 x 400 pixels" in message
    unsaid = content.replace('imageWidth="300"', "")
    assert "no imageWidth and imageHeight" in refusal(tmp_path / "c", unsaid)
    assert "holds no Page" in refusal(
        tmp_path / "d", content.replace("Page ", "Leaf ").replace("/Page>", "/Leaf>")
    )


def test_bad_scans_are_refused_by_name(tmp_path):
    content = page_xml([GOOD], SIZE)
    folder = tmp_path / "c"
    page = Image.new("L", SIZE, PAPER)
    for image, options, reason in (
        (Image.new("1", (9_000, 9_000)), {}, "9000 x 9000 pixels, at most 67108864 are read"),
        (Image.new("1", (20_000, 10_000)), {}, "exceeds limit"),
        (Image.new("F", SIZE), {"format": "TIFF"}, "pixels of form F"),
        (page, {"format": "TIFF", "save_all": True, "append_images": [page]}, "holds 2 images"),
    ):
        folder.mkdir(exist_ok=True)
        image.save(folder / "scan.png", **options)
        message = refusal(folder, content)
        assert f"{folder}/scan.xml: scan {folder}/scan.png: " in message
        assert reason in message
    page.save(folder / "scan.png")
    whole = (folder / "scan.png").read_bytes()
    (folder / "scan.png").write_bytes(whole[: len(whole) // 2])
    assert "scan.png: cannot be decoded" in refusal(folder, content)
    (folder / "scan.png").write_bytes(b"")
    assert "no image in the form of" in refusal(folder, content)


def test_a_scan_that_changes_before_it_is_read_is_refused(tmp_path):
    save(tmp_path / "scan.png", np.full(SIZE[::-1], PAPER, np.uint8))
    (tmp_path / "scan.xml").write_text(page_xml([GOOD], SIZE))
    (item,) = PAGE().read(tmp_path)
    save(tmp_path / "scan.png", np.full((5, 5), PAPER, np.uint8))
    with pytest.raises(DataError, match="has changed"):
        item.read()
