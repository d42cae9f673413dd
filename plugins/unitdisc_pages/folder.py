"""Which files of a folder describe pages, and where their scans are."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from unitdisc.errors import DataError
from unitdisc.images import FORMATS
from unitdisc.text_lines import rows
from unitdisc_pages.markup import Node, parse

if TYPE_CHECKING:
    from collections.abc import Iterator

_SUFFIXES = tuple(end for ends in FORMATS.values() for end in ends)
_TRIED = tuple(end for suffix in _SUFFIXES for end in (suffix, suffix.upper()))
_CONTAINERS = ("page", "alto", "xml")
"""Folders that exports put descriptions into, beside or below the scans: their names say nothing."""
_COMPANIONS = ("PcGts", "alto", "mets", "trpDocMetadata")
"""Roots of files that lie in exports beside those that are asked for."""


def descriptions(folder: Path, root: str) -> Iterator[tuple[Path, Node]]:
    """Yield the XML files in ``folder``, or ``folder`` itself, whose root element has the name ``root``.

    They are read one by one, as trees of all would not fit into memory. Raises `DataError` for damaged ones,
    and for such as no export holds.
    """
    if not folder.exists():
        raise DataError(f"{folder}: no such folder; give one that exists")
    paths = [folder] if folder.is_file() else sorted(filter(_is_xml, folder.rglob("*")))
    others, is_empty = [], True
    for path in paths:
        node = parse(path)
        if node.name == root:
            is_empty = False
            yield path, node
        elif folder.is_file() or node.name not in _COMPANIONS:
            raise DataError(f"{path}:{node.line}: holds <{node.name}>, not <{root}>; take it out")
        else:
            others.append(f"<{node.name}>")
    if is_empty:
        seen = ", ".join(dict.fromkeys(others)) or "no *.xml"
        raise DataError(f"{folder}: no <{root}> in there (found: {seen}); give a folder of such pages")


def page_name(path: Path, top: Path) -> str:
    """Return the path of a page in the folder ``top``, without suffix and without folders that say nothing."""
    *folders, last = path.relative_to(top).with_suffix("").parts
    return "/".join([*(name for name in folders if name.lower() not in _CONTAINERS), last])


def document_of(path: Path) -> str:
    """Return the name of the folder that holds a page."""
    folders = path.resolve().parents
    return next((folder.name for folder in folders if folder.name.lower() not in _CONTAINERS), "")


def find_scan(path: Path, name: str, top: Path, images: Path | None) -> Path:
    """Return the scan of the page that ``path`` describes.

    It has the name that stands there or that of the description, and lies in ``images``; without that beside
    the description, in the folder above, or where the name leads from ``top``. Names that lead elsewhere count
    without their folders.
    """
    is_below = path.parent != top or path.parent.resolve().name.lower() in _CONTAINERS
    above = [path.parent.parent] if is_below else []
    folders = [images] if images is not None else [path.parent, *above, top]
    given = PurePosixPath(name.replace("\\", "/"))
    is_inside = not given.is_absolute() and ".." not in given.parts and ":" not in name
    names = [*([str(given)] if is_inside else []), given.name]
    stems = [given.stem, path.stem]
    tried = [*names, *(f"{stem}{end}" for stem in stems if stem for end in _TRIED)]
    for wanted in tried:
        for folder in folders:
            if wanted.lower().endswith(_SUFFIXES) and _is_file(folder / wanted):
                return folder / wanted
    places = ", ".join(map(str, dict.fromkeys(folders)))
    raise DataError(
        f"{path}: no scan {given.name or path.stem!r} in {places} (accepted: "
        f"{', '.join(_SUFFIXES)}); put it there or give images=FOLDER"
    )


def read_splits(path: Path) -> dict[str, str]:
    """Return page: split of a table with these two columns, separated by tabs, and a header."""
    found: dict[str, str] = {}
    for line, row in rows(path, "the columns page and split"):
        if len(row) != 2 or not all(map(str.strip, row)) or row[0] in found:
            raise DataError(f"{path}:{line}: found {row}; write each page once, a tab and its split")
        found[row[0]] = row[1].strip()
    if found.pop("page", None) != "split":
        raise DataError(f"{path}:1: no header; write page, a tab and split there")
    return found


def _is_xml(path: Path) -> bool:
    # Names with a point in front are what macOS puts into archives.
    return path.suffix.lower() == ".xml" and not path.name.startswith(".") and path.is_file()


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long
        return False
