"""PAGE XML, 2013 to 2019, as Transkribus, eScriptorium, OCR-D and their like write it."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

from unitdisc.errors import DataError
from unitdisc_pages.described import Described, Line, Piece, number, plain, points
from unitdisc_pages.markup import text_lines

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import numpy as np

    from unitdisc_pages.markup import Node

ROOT = "PcGts"
_NAMESPACE = re.compile(r"https?://schema\.primaresearch\.org/PAGE/gts/pagecontent/201[3-9]-\d\d-\d\d")
_STRUCTURE = re.compile(r"\bstructure\s*\{[^}]*?\btype:\s*([^;}]+)")


def describe(root: Node, path: Path) -> Described:
    """Return what a PAGE file says of its page. Raises `DataError` with file and line."""
    if not _NAMESPACE.fullmatch(root.namespace):
        raise DataError(
            f"{path}:{root.line}: PAGE of the namespace {root.namespace!r}; accepted are those of 2013 to 2019 "
            "(http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15), export it as one of them"
        )
    page = root.first("Page")
    if page is None:
        raise DataError(f"{path}:{root.line}: holds no Page; export the page again")
    where = f"{path}:{page.line}"
    size = [page.attributes.get(name) for name in ("imageWidth", "imageHeight")]
    if size[0] is None or size[1] is None:
        raise DataError(f"{where}: no imageWidth and imageHeight; write them there")
    return Described(
        page.attributes.get("imageFilename", ""),
        (number(size[0], where), number(size[1], where)),
        is_pixels=True,
        lines=tuple(partial(_line, node, region, path) for node, region in text_lines(page, _region)),
    )


def _region(node: Node, around: str) -> str:
    if not node.name.endswith("Region"):
        return around
    structure = _STRUCTURE.search(node.attributes.get("custom", ""))
    return structure[1].strip() if structure else node.attributes.get("type", around)


def _line(node: Node, region: str, path: Path) -> Line:
    name = node.attributes.get("id", "")
    where = f"{path}:{node.line}: line {name}"
    outline = _coordinates(node, where)
    if outline is None:
        raise DataError(f"{where}: no Coords; outline it or take it out")
    words = list(node.all("Word"))
    baseline = node.first("Baseline")
    drawn = baseline.attributes.get("points", "").strip() if baseline is not None else ""
    return Line(
        name,
        where,
        region,
        _text(node) or plain(" ".join(map(_text, words))),
        outline,
        points(drawn, f"{where}: Baseline") if drawn else None,
        _pieces(words, where),
        _pieces((glyph for word in words for glyph in word.all("Glyph")), where),
    )


def _pieces(nodes: Iterable[Node], where: str) -> tuple[Piece, ...]:
    """Return the words or glyphs that have both an outline and a text."""
    found = ((_coordinates(node, where), _text(node)) for node in nodes)
    return tuple(Piece(outline, text) for outline, text in found if outline is not None and text)


def _coordinates(node: Node, where: str) -> np.ndarray | None:
    coords = node.first("Coords")
    drawn = coords.attributes.get("points", "").strip() if coords is not None else ""
    return points(drawn, f"{where}: Coords") if drawn else None


def _text(node: Node) -> str:
    """Return the text whose index is the lowest; without an index it counts as 0, the first of equals wins."""
    found = min(node.all("TextEquiv"), key=_index, default=None)
    text = found.first("Unicode") if found is not None else None
    return plain(text.text) if text is not None else ""


def _index(node: Node) -> float:
    text = node.attributes.get("index", "0").strip()
    return float(text) if text.isdecimal() else 0  # of a thousand digits, int makes an error
