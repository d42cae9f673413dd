"""ALTO 2, 3 and 4."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from unitdisc.errors import DataError
from unitdisc_pages.described import Described, Line, Piece, box, number, plain, points
from unitdisc_pages.markup import text_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from unitdisc_pages.markup import Node

ROOT = "alto"
_NAMESPACE = re.compile(r"https?://www\.loc\.gov/standards/alto/ns-v[234]#")
_UNITS = ("pixel", "mm10", "inch1200")
_BLOCKS = ("TextBlock", "ComposedBlock")
_BOX = ("HPOS", "VPOS", "WIDTH", "HEIGHT")
_SOFT_HYPHEN = "\u00ad"


def describe(root: Node, path: Path) -> Described:
    """Return what an ALTO file says of its page. Raises `DataError` with file and line."""
    if not _NAMESPACE.fullmatch(root.namespace):
        raise DataError(
            f"{path}:{root.line}: ALTO of the namespace {root.namespace!r}; accepted are ALTO 2, 3 and 4 "
            "(http://www.loc.gov/standards/alto/ns-v4#), export it as one of them"
        )
    layout = root.first("Layout")
    pages = list(layout.all("Page")) if layout is not None else []
    if len(pages) != 1:
        raise DataError(f"{path}:{root.line}: holds {len(pages)} pages; give one file per page")
    (page,) = pages
    where = f"{path}:{page.line}"
    unit = _unit(root, path)
    size = [page.attributes[name] for name in ("WIDTH", "HEIGHT") if page.attributes.get(name, "").strip()]
    if unit != "pixel" and len(size) < 2:
        raise DataError(f"{where}: measures in {unit}, but has no WIDTH and HEIGHT; write them there")
    name = root.first("Description", "sourceImageInformation", "fileName")
    region_of = partial(_region, _tags(root))
    return Described(
        name.text.strip() if name is not None else "",
        (number(size[0], where), number(size[1], where)) if len(size) == 2 else None,
        is_pixels=unit == "pixel",
        lines=tuple(partial(_line, node, region, path) for node, region in text_lines(page, region_of)),
    )


def _unit(root: Node, path: Path) -> str:
    node = root.first("Description", "MeasurementUnit")
    unit = node.text.strip() if node is not None else "pixel"
    if node is not None and unit not in _UNITS:
        raise DataError(
            f"{path}:{node.line}: measures in {unit!r} (accepted: {', '.join(_UNITS)}); export it as pixel"
        )
    return unit


def _tags(root: Node) -> dict[str, str]:
    """Return the labels of the tags by id."""
    tags = root.first("Tags")
    found = tags.children if tags is not None else []
    return {tag.attributes.get("ID", ""): tag.attributes.get("LABEL", "") for tag in found}


def _region(tags: Mapping[str, str], node: Node, around: str) -> str:
    if node.name not in _BLOCKS:
        return around
    labels = (tags.get(name, "") for name in node.attributes.get("TAGREFS", "").split())
    return next(filter(None, labels), "") or node.attributes.get("TYPE", around)


def _line(node: Node, region: str, path: Path) -> Line:
    name = node.attributes.get("ID", "")
    where = f"{path}:{node.line}: line {name}"
    outline = _outline(node, where)
    if outline is None:
        raise DataError(f"{where}: neither a Polygon nor {', '.join(_BOX)}; outline it or take it out")
    words = list(node.all("String"))
    # Some programs put a whole line into one String: that is no word.
    is_by_word = not any(" " in _content(word) for word in words)
    return Line(
        name,
        where,
        region,
        _text(node),
        outline,
        _baseline(node, outline, where),
        _pieces(words, where) if is_by_word else (),
        _pieces((glyph for word in words for glyph in word.all("Glyph")), where),
    )


def _outline(node: Node, where: str) -> np.ndarray | None:
    polygon = node.first("Shape", "Polygon")
    drawn = polygon.attributes.get("POINTS", "").strip() if polygon is not None else ""
    if drawn:
        return points(drawn, f"{where}: Polygon")
    if not all(node.attributes.get(name, "").strip() for name in _BOX):
        return None
    left, top, width, height = (number(node.attributes[name], f"{where}: {name}") for name in _BOX)
    return box(left, top, width, height)


def _baseline(node: Node, outline: np.ndarray, where: str) -> np.ndarray | None:
    """Return the points of BASELINE; up to ALTO 4.1 it is one number, the y of a level line."""
    text = node.attributes.get("BASELINE", "").strip()
    if not text:
        return None
    if len(text.replace(",", " ").split()) > 1:
        return points(text, f"{where}: BASELINE")
    level = number(text, f"{where}: BASELINE")
    return np.array([(outline[:, 0].min(), level), (outline[:, 0].max(), level)])


def _pieces(nodes: Iterable[Node], where: str) -> tuple[Piece, ...]:
    """Return the words or glyphs that have both an outline and a text."""
    found = ((_outline(node, where), _content(node)) for node in nodes)
    return tuple(Piece(outline, text) for outline, text in found if outline is not None and text)


def _content(node: Node) -> str:
    return plain(node.attributes.get("CONTENT", ""))


def _text(node: Node) -> str:
    """Return the words; where no SP says where the spaces are, one stands between any two."""
    between = "" if node.first("SP") is not None else " "
    text = ""
    for child in node.children:
        if child.name == "String":
            text += between + child.attributes.get("CONTENT", "")
        elif child.name == "SP":
            text += " "
        elif child.name == "HYP":
            text += child.attributes.get("CONTENT", "-").replace(_SOFT_HYPHEN, "-")
    return plain(text)
