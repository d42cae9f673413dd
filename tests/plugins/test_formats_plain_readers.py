"""Formats without a library of their own that reads them: read as their tools do, in 200 random unit sets each."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from tests.plugins.test_formats_bytes import scorer_reads
from tests.plugins.test_formats_round_trip import PATHS
from tests.plugins.test_formats_third_party import NEAR, flat, sets, write
from tests.plugins.unit_sets import NUM_CODES

PAGE = "{http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15}"


@pytest.fixture(autouse=True)
def _fast_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.fsync", lambda _: None)


def rows(path: Path) -> list[str]:
    """The lines of a file, which odd spaces inside of ids do not end."""
    text = path.read_text(encoding="utf-8")
    assert text == "" or text.endswith("\n")
    return text.split("\n")[:-1]


def test_km_lines_are_indices_into_their_dictionary(tmp_path: Path) -> None:
    for items in sets("km"):
        write("km", items, tmp_path)
        books = items[0].codes.shape[1] if items else 1
        assert rows(tmp_path / "dev.keys") == [item.key for item in items]
        for book in range(books):
            labels = "km" if books == 1 else f"km{book}"
            symbols = [row.split(" ")[0] for row in rows(tmp_path / f"dict.{labels}.txt")]
            assert symbols == [str(code) for code in range(NUM_CODES)]
            found = [
                [symbols.index(word) for word in row.split()] for row in rows(tmp_path / f"dev.{labels}")
            ]
            assert found == [item.codes[:, book].tolist() for item in items]


@pytest.mark.parametrize(("name", "between", "joint"), [("gslm", "|", " "), ("zs2021", "\t", ",")])
def test_an_id_stands_before_its_codes(name: str, between: str, joint: str, tmp_path: Path) -> None:
    for items in sets(name):
        lines = [row.split(between) for row in rows(write(name, items, tmp_path))]
        found = [(key, [int(code) for code in codes.split(joint) if code]) for key, codes in lines]
        assert found == [(item.key, item.codes[:, 0].tolist()) for item in items]


def test_characters_are_those_of_the_list_beside(tmp_path: Path) -> None:
    for items in sets("espnet"):
        path = write("espnet", items, tmp_path)
        pairs = [row.split(" ") for row in rows(tmp_path / "distinct_cjk_token_lists")]
        codes = {character: int(code) for code, character in pairs}
        assert sorted(codes.values()) == list(range(NUM_CODES))
        lines = [row.partition(" ") for row in rows(path)]
        found = [(key, [codes[character] for character in text]) for key, _, text in lines]
        assert found == [(item.key, item.codes[:, 0].tolist()) for item in items]


def test_kaldis_text_holds_the_codes_as_words(tmp_path: Path) -> None:
    for items in sets("kaldi"):
        lines = [row.split() for row in rows(write("kaldi", items, tmp_path))]
        found = {key: [int(word) for word in words] for key, *words in lines}
        assert found == {item.key: flat(item.codes) for item in items}


def test_classes_hold_each_stretch_of_their_unit_once(tmp_path: Path) -> None:
    for items in sets("tde"):
        expected: dict[tuple[str, int], set[tuple[float, float]]] = {}
        for item in items:
            for start, end, (code,) in item.spans():
                expected.setdefault((item.key, code), set()).add((round(start, 6), round(end, 6)))
        assert scorer_reads(write("tde", items, tmp_path).read_text(encoding="utf-8")) == expected


def test_pages_hold_a_word_for_every_unit_on_its_columns(tmp_path: Path) -> None:
    for number, items in enumerate(sets("page", refused=PATHS)):
        (tmp_path / str(number)).mkdir()
        folder = write("page", items, tmp_path / str(number))
        for item in items:
            root = ET.parse(folder / f"{item.key}.xml").getroot()
            words = list(root.iter(f"{PAGE}Word"))
            texts = [word.findtext(f"{PAGE}TextEquiv/{PAGE}Unicode") for word in words]
            assert texts == ["-".join(map(str, codes)) for codes in item.codes.tolist()]
            told = {node.get("name"): node.get("value") for node in root.iter(f"{PAGE}UserAttribute")}
            assert told["id"] == item.key
            times = [float(told[name]) for name in ("start", "step", "end")]
            assert times == pytest.approx([item.start, item.step, item.end], abs=NEAR, rel=0)
            lefts = [int(word.find(f"{PAGE}Coords").get("points").split(",")[0]) for word in words]
            assert (np.diff(lefts) >= 0).all()
