"""Readers of page descriptions with their scans."""

from __future__ import annotations

import re
from abc import abstractmethod
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import click
import numpy as np
from annotated_types import Ge, Gt, Le

from unitdisc.errors import DataError
from unitdisc.images import read_grey, read_size
from unitdisc.reader import Drawn, Reader
from unitdisc_pages import alto_xml, page_xml
from unitdisc_pages.cut import cut
from unitdisc_pages.folder import descriptions, document_of, find_scan, page_name, read_splits
from unitdisc_pages.strip import strip

if TYPE_CHECKING:
    from collections.abc import Iterator

    from unitdisc_pages.described import Described, Line
    from unitdisc_pages.markup import Node
    from unitdisc_pages.strip import Strip

_NOT_IN_KEYS = re.compile(r"[\s|/]+")


class _Pages(Reader):
    """What the formats share."""

    root: ClassVar[str]

    def __init__(
        self,
        *,
        height: Annotated[int, Ge(1), Le(1024)] = 32,
        cover: Annotated[float, Gt(0), Le(1)] = 0.95,
        split: str = "train",
        splits: Path | None = None,
        document: str | None = None,
        images: Path | None = None,
        skip_bad: bool = False,
    ) -> None:
        self.height, self.cover = height, cover
        self.split, self.splits = split, splits
        self.document, self.images, self.skip_bad = document, images, skip_bad

    @abstractmethod
    def describe(self, root: Node, path: Path) -> Described:
        """Return what a file with this root element says of its page."""

    def read(self, folder: Path) -> Iterator[Drawn]:
        """Yield the lines: pages sorted by their paths, lines in the order of the file."""
        bad: list[DataError] = []
        count = 0
        for sheet in self._sheets(folder):
            for number, read_line in enumerate(sheet.page.lines):
                count += 1
                try:
                    drawn = self._drawn(sheet, number, read_line().scaled(sheet.factor))
                except DataError as error:
                    if not self.skip_bad:
                        raise
                    bad.append(error)
                    continue
                yield drawn
        if bad:
            click.echo(f"unitdisc: warning: left out {len(bad)} of {count} lines: {bad[0]}", err=True)

    def _sheets(self, folder: Path) -> Iterator[_Sheet]:
        """Yield the pages with their scans, of which only the headers are looked at."""
        top = folder.parent if folder.is_file() else folder
        splits = read_splits(self.splits) if self.splits is not None else {}
        desk, places = _Desk(), dict[str, Path]()
        for path, root in descriptions(folder, self.root):
            name = page_name(path, top)
            key = _NOT_IN_KEYS.sub("_", name)
            if key in places:
                raise DataError(f"{path}: would be the page {key} as is {places[key]}; rename or remove one")
            places[key] = path
            page = self.describe(root, path)
            scan = find_scan(path, page.scan, top, self.images)
            size = read_size(scan, f"{path}: scan {scan}")
            document = self.document or document_of(path)
            split = splits.pop(name, self.split)
            yield _Sheet(
                path, page, name, key, split, document, scan, size, _factor(page, size, scan, path), desk
            )
        if splits:
            raise DataError(f"{self.splits}: no page {next(iter(splits))!r} in {folder}; correct it")

    def _drawn(self, sheet: _Sheet, number: int, line: Line) -> Drawn:
        outline, place = strip(line, sheet.size, height=self.height, cover=self.cover)
        fields = {
            "page": sheet.name,
            "line": line.id,
            "document": sheet.document,
            "region": line.region,
            "scan": sheet.scan.name,
            "baseline": "none" if line.baseline is None else "drawn",
            "geometry": place.to_json(sheet.size),
        }
        if line.text:
            fields["text"] = line.text
        tables = {"words": place.labels(line.words), "characters": place.labels(line.characters)}
        return Drawn(
            f"{sheet.key}_l{number:03}",
            sheet.split,
            line.where,
            (sheet.path, sheet.scan),
            partial(_cut, sheet.desk, sheet.scan, sheet.size, outline, place),
            fields,
            {name: labels for name, labels in tables.items() if labels},
        )


class PAGE(_Pages):
    """Scanned pages with PAGE XML of 2013 to 2019, as Transkribus, eScriptorium and OCR-D write it.

    FOLDER holds, at any depth, or is one such file
      NAME.xml  what is on a page, alone or in a folder page/: TextLines with
                Coords, and usually a Baseline and a TextEquiv
      NAME.jpg  its scan (also PNG, TIFF, BMP), beside it or in the folder
                above, called as imageFilename says or like the description;
                of the size that the description gives
    Every line is cut along its outline; what lies outside gets the line's most frequent grey. A sloped baseline
    is turned level, what bends (up to 45 degrees) is straightened by moving columns; a line without one stays
    as it stands. Words and glyphs with Coords become the tables "words" and "characters". Outlines may reach
    1 % of the page's longer side beyond it. Lines keep the order of the file. The field "geometry" leads from
    columns and rows back to the scan.

    Args:
        height: Height of a line in pixels; the width follows in proportion.
        cover: Share of a line's columns that fit into the height from top to bottom of the outline. Below 1,
            single spikes of an outline are cut off and do not make the whole line smaller.
        split: Split of the pages that ``splits`` does not name.
        splits: Table with the columns page and split, separated by tabs; a page is its path in FOLDER without
            suffix and without a folder page/.
        document: Document, or writer, of all lines; the name of the page's folder where it is left out.
        images: Folder of the scans, where they lie elsewhere.
        skip_bad: Leave out lines that cannot be cut, and count them, rather than stop.
    """

    root = page_xml.ROOT

    def describe(self, root: Node, path: Path) -> Described:
        """Return what a PAGE file says of its page."""
        return page_xml.describe(root, path)


class ALTO(_Pages):
    """Scanned pages with ALTO 2, 3 or 4, as libraries, eScriptorium and OCR programs write it.

    FOLDER holds, at any depth, or is one such file
      NAME.xml  what is on a page, alone or in a folder alto/: TextLines with a
                Shape/Polygon or HPOS, VPOS, WIDTH and HEIGHT, and usually a
                BASELINE (points, or one number)
      NAME.jpg  its scan (also PNG, TIFF, BMP), beside it or in the folder
                above, called as fileName says or like the description;
                measures in mm10 and inch1200 are scaled to it
    Every line is cut along its outline; what lies outside gets the line's most frequent grey. A sloped baseline
    is turned level, what bends (up to 45 degrees) is straightened by moving columns; a line without one stays
    as it stands. Strings and Glyphs with a place become the tables "words" and "characters". Outlines may reach
    1 % of the page's longer side beyond it. Lines keep the order of the file. The field "geometry" leads from
    columns and rows back to the scan.

    Args:
        height: Height of a line in pixels; the width follows in proportion.
        cover: Share of a line's columns that fit into the height from top to bottom of the outline. Below 1,
            single spikes of an outline are cut off and do not make the whole line smaller.
        split: Split of the pages that ``splits`` does not name.
        splits: Table with the columns page and split, separated by tabs; a page is its path in FOLDER without
            suffix and without a folder alto/.
        document: Document, or writer, of all lines; the name of the page's folder where it is left out.
        images: Folder of the scans, where they lie elsewhere.
        skip_bad: Leave out lines that cannot be cut, and count them, rather than stop.
    """

    root = alto_xml.ROOT

    def describe(self, root: Node, path: Path) -> Described:
        """Return what an ALTO file says of its page."""
        return alto_xml.describe(root, path)


@dataclass(frozen=True)
class _Sheet:
    """A page with its scan; ``factor`` brings its lengths to pixels of (width, height) ``size``."""

    path: Path
    page: Described
    name: str
    key: str
    split: str
    document: str
    scan: Path
    size: tuple[int, int]
    factor: float
    desk: _Desk


@dataclass
class _Desk:
    """Holds the scan that was read last: lines come page by page."""

    held: dict[Path, np.ndarray] = field(default_factory=dict)

    def read(self, scan: Path) -> np.ndarray:
        """Return (H, W) uint8."""
        if scan not in self.held:
            self.held.clear()
            self.held[scan] = np.rint(read_grey(scan, str(scan)) * 255).astype(np.uint8)
        return self.held[scan]


def _cut(desk: _Desk, scan: Path, size: tuple[int, int], outline: np.ndarray, place: Strip) -> np.ndarray:
    """Return the image (H, W) uint8 of a line."""
    pixels = desk.read(scan)
    if pixels.shape != size[::-1]:
        raise DataError(f"{scan}: has changed since its header was read; import the pages again")
    return cut(pixels, outline, place)


def _factor(page: Described, size: tuple[int, int], scan: Path, path: Path) -> float:
    """Return what brings lengths of the description to pixels. Raises `DataError` for a scan of another size."""
    if page.size is None:
        return 1.0
    width, height = page.size
    factor = 1.0 if page.is_pixels or width <= 0 else size[0] / width
    slack = 0.5 if page.is_pixels else max(1.0, 0.01 * size[1])
    if abs(width * factor - size[0]) > slack or abs(height * factor - size[1]) > slack:
        raise DataError(
            f"{path}: describes a page of {width:g} x {height:g}, but its scan {scan} has {size[0]} x {size[1]} "
            "pixels; put the scan there that was described"
        )
    return factor
