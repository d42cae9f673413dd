"""Units on the pages or line images that they were found on, as PAGE XML."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated
from xml.etree import ElementTree as ET
from xml.sax.saxutils import quoteattr

import numpy as np
from annotated_types import Gt

from unitdisc.errors import DataError, RecipeError
from unitdisc.exporter import Format, Told
from unitdisc.repeats import durations, without_repeats
from unitdisc.storage import write_lines
from unitdisc.text_lines import read_bytes
from unitdisc.unit_lines import repeated
from unitdisc.units import Units
from unitdisc_formats.files import found_files
from unitdisc_formats.limits import FILE_NAME, NO_FILE_NAME, num_codebooks, refuse_ids
from unitdisc_formats.lines import joined
from unitdisc_formats.page_places import FIELDS, Place, place_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_SPACE = "http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15"
_NOT_XML = "[\x00-\x1f\x7f-\x9f\ufffe\uffff]"
_MOST = 2**28
"""Units of a line; more are damage."""
_COUNT = re.compile(r"unit \{count:(\d{1,9});\}", flags=re.ASCII)
_FIELD = "field "
_OTHERS = (
    "unitdisc did not write it, so it holds no units; make some with: unitdisc encode RUN FOLDER --from page"
)
_WHEN = "2000-01-01T00:00:00"  # the same units give the same bytes


class PAGE(Format):
    """A file of PAGE XML (2019-07-15) for each page, ``page-SPLIT/PAGE.xml``: for viewers and editors of handwriting.

    A line is a TextLine, a unit a Word whose text is its code (codes joined by "-" with several codebooks) and
    whose Coords are the unit's columns: on the scan, for lines that `unitdisc data import --from page`, or alto,
    cut out of pages, follow a baseline that slopes or bends; else on the line image, one file each. Coordinates
    are whole pixels. Exact times, and where the line lies, stand in its UserDefined attributes, so nothing is lost
    but the order of files. Of other programs' PAGE files nothing is read, as they hold no units.

    Args:
        deduplicate: Merge equal neighbours (in all codebooks) into one Word as long as they were; its ``custom``
            says how many, so nothing is lost.
        height: Of line images of which the corpus does not tell it.
    """

    is_timed = True

    def __init__(self, *, deduplicate: bool = False, height: Annotated[int, Gt(0)] = 32) -> None:
        self._deduplicate, self._height = deduplicate, height

    def place(self, split: str) -> str:
        """Return the folder's name."""
        return f"page-{split}"

    def write(self, units: Sequence[Units], *, split: str, num_codes: int, folder: Path) -> list[Path]:
        """Write a folder of files."""
        del num_codes  # readers are told K by the sidecar
        num_codebooks(units)
        reason = f"{NO_FILE_NAME} control characters"
        refuse_ids(units, pattern=f"{FILE_NAME}|{_NOT_XML}", name="page", reason=reason)
        top = folder / self.place(split)
        top.mkdir()
        pages: dict[str, list[int]] = {}
        for number, item in enumerate(units):
            pages.setdefault(place_of(item, self._height).file, []).append(number)
        paths = []
        for name, numbers in pages.items():
            path = top / f"{name}.xml"
            if not path.resolve().is_relative_to(top.resolve()):
                raise RecipeError(f"page {name!r}: leads out of the folder; rename it and import it again")
            path.parent.mkdir(parents=True, exist_ok=True)
            write_lines(path, self._page([units[number] for number in numbers]))
            paths.append(path)
        return paths

    def _page(self, items: list[Units]) -> Iterator[str]:
        places = [place_of(item, self._height) for item in items]
        width, height = places[0].size
        if any(place.image != places[0].image or place.size != places[0].size for place in places):
            raise DataError(f"{items[0].key}: lines of one page lie on several images; import it again")
        yield f'<?xml version="1.0" encoding="UTF-8"?>\n<PcGts xmlns="{_SPACE}">\n'
        yield f"<Metadata><Creator>unitdisc</Creator><Created>{_WHEN}</Created>"
        yield f"<LastChange>{_WHEN}</LastChange></Metadata>\n"
        yield f'<Page imageFilename={quoteattr(places[0].image)} imageWidth="{width}" imageHeight="{height}">\n'
        yield f'<TextRegion id="r"><Coords points="0,0 {width},0 {width},{height} 0,{height}"/>\n'
        for number, (item, place) in enumerate(zip(items, places, strict=True)):
            yield from self._line(f"l{number}", item, place)
        yield "</TextRegion>\n</Page>\n</PcGts>\n"

    def _line(self, name: str, item: Units, place: Place) -> Iterator[str]:
        yield f'<TextLine id="{name}">{_coords(place, 0, place.line[0])}\n'
        codes = without_repeats(item.codes) if self._deduplicate else item.codes
        counts = durations(item.codes) if self._deduplicate else np.ones(len(codes), np.int64)
        edges = item.start + np.append(0, counts.cumsum()) * item.step
        # Columns of the line as it is stored, which the model may have seen scaled.
        columns = np.minimum(edges, item.end) * (place.line[0] / item.end if item.end > 0 else 1)
        for number, (row, count) in enumerate(zip(codes.tolist(), counts.tolist(), strict=True)):
            unit = "-".join(map(str, row))
            yield f'<Word id="{name}u{number}" custom="unit {{count:{count};}}">'
            yield f"{_coords(place, columns[number], columns[number + 1])}{_text(unit)}</Word>\n"
        yield _text(" ".join("-".join(map(str, row)) for row in codes.tolist()))
        about = {"id": item.key, **{name: repr(getattr(item, name)) for name in ("start", "step", "end")}}
        about["unit_of_time"] = item.unit_of_time
        about |= {f"{_FIELD}{name}": item.fields[name] for name in FIELDS if name in item.fields}
        yield "<UserDefined>"
        for key, value in about.items():
            yield f'<UserAttribute name="{key}" type="xsd:string" value={quoteattr(value)}/>'
        yield "</UserDefined></TextLine>\n"

    def read(self, path: Path, told: Told) -> Iterator[tuple[str, Units]]:
        """Yield the units of each line, page by page in the order of names; other programs' lines are refused."""
        del told  # each line says it
        for _, file in found_files(path, ".xml"):
            for line in _parsed(file).iter(f"{{{_SPACE}}}TextLine"):
                where = f"{file}: line {line.get('id', '')}"
                yield where, _units(line, where)


def _coords(place: Place, left: float, right: float) -> str:
    points = " ".join(f"{x},{y}" for x, y in place.outline(left, right))
    return f'<Coords points="{points}"/>'


def _text(text: str) -> str:
    return f"<TextEquiv><Unicode>{text}</Unicode></TextEquiv>"


def _parsed(path: Path) -> ET.Element:
    content = read_bytes(path)
    if b"<!DOCTYPE" in content:  # with which entities come, which may be bombs
        raise DataError(f"{path}: declares a document type; take <!DOCTYPE ...> out")
    try:
        root = ET.fromstring(content)  # noqa: S314  (without a document type there are no entities)
    except (ET.ParseError, LookupError, ValueError) as error:
        raise DataError(f"{path}: no XML that is whole ({error}); export it anew") from None
    if root.tag.rpartition("}")[2] != "PcGts":
        raise DataError(f"{path}: no PAGE XML of 2019-07-15 (found {root.tag[:80]!r})")
    if root.tag != f"{{{_SPACE}}}PcGts":  # all that is written here is of 2019
        raise DataError(f"{path}: {_OTHERS}")
    return root


def _units(line: ET.Element, where: str) -> Units:
    space = f"{{{_SPACE}}}"
    about = {
        found.get("name"): found.get("value", "")
        for found in line.findall(f"{space}UserDefined/{space}UserAttribute")
    }
    if not {"id", "step"} & about.keys():
        raise DataError(f"{where}: {_OTHERS}")
    rows: list[tuple[int, ...]] = []
    counts: list[int] = []
    try:
        for word in line.findall(f"{space}Word"):
            rows.append(joined(word.findtext(f"{space}TextEquiv/{space}Unicode", ""), where))
            counts.extend(map(int, _COUNT.findall(word.get("custom", ""))))
        times = (float(about["start"]), float(about["step"]), float(about["end"]))
        codes = np.array(rows, np.int64).reshape(len(rows), -1) if rows else np.zeros((0, 1), np.int64)
        if len(counts) != len(rows) or sum(counts) >= _MOST:
            raise DataError(f"{where}: no whole number of steps for a unit; export it anew")
        fields = {name: about[f"{_FIELD}{name}"] for name in FIELDS if f"{_FIELD}{name}" in about}
        return Units(about["id"], repeated(codes, counts, where), *times, about["unit_of_time"], fields)
    except (ValueError, KeyError, OverflowError):
        raise DataError(f"{where}: its units are damaged; export it anew") from None
