"""Units with their times as a table."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from unitdisc.errors import DataError
from unitdisc.exporter import Format, Told
from unitdisc.storage import write_lines
from unitdisc.text_lines import read_bytes
from unitdisc_formats.limits import num_codebooks, refuse_ids
from unitdisc_formats.lines import joined
from unitdisc_formats.spans import Spans, clock, on_grid, ticks

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from unitdisc.units import Units

_HEADER = ["id", "start", "end", "unit"]


class CSV(Format):
    """A table ``id,start,end,unit``, ``SPLIT.csv``, with a row per unit: for viewers of line images and spreadsheets.

    Times are in columns of the image (seconds for speech) with 6 decimals, rounded as in ctm. With several codebooks
    a unit is its codes joined by "-". An utterance or line without units has no row.

    Args:
        deduplicate: Merge equal neighbours (in all codebooks) into one row that lasts as long as they did. Nothing
            is lost but the edges between them, which stand a step apart.
    """

    is_timed = True

    def __init__(self, *, deduplicate: bool = False) -> None:
        self._deduplicate = deduplicate

    def place(self, split: str) -> str:
        """Return the file's name."""
        return f"{split}.csv"

    def write(self, units: Sequence[Units], *, split: str, num_codes: int, folder: Path) -> list[Path]:
        """Write one file."""
        del num_codes  # readers are told K by the sidecar
        num_codebooks(units)
        refuse_ids(units, pattern=r"\0|\r", name="csv", reason="NUL, a carriage return")
        path = folder / self.place(split)
        write_lines(path, self._rows(units))
        return [path]

    def _rows(self, units: Sequence[Units]) -> Iterator[str]:
        yield _line(_HEADER)
        for item in units:
            for start, end, codes in ticks(item, deduplicate=self._deduplicate):
                yield _line([item.key, clock(start), clock(end), "-".join(map(str, codes))])

    def read(self, path: Path, told: Told) -> Iterator[tuple[str, Units]]:
        """Yield the units of each id; its rows must follow one another without gaps."""
        found: dict[str, Spans] = {}
        for where, row in _rows_of(path):
            try:
                key, start, end, unit = row
                times = float(start), float(end)
            except ValueError:
                raise DataError(
                    f"{where}: expected 'id,start,end,unit', found {','.join(row)[:60]!r}"
                ) from None
            found.setdefault(key, Spans(where)).spans.append((*times, joined(unit, where)))
        yield from on_grid(found, told, path)


def _rows_of(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield ("file:line", row) after the header."""
    try:
        text = read_bytes(path).decode("utf-8-sig")
        rows = csv.reader(io.StringIO(text, newline=""), strict=True)
        where = f"{path}:1"
        if next(rows, None) != _HEADER:
            raise DataError(f"{where}: expected the header '{','.join(_HEADER)}'")
        for row in rows:
            yield f"{path}:{rows.line_num}", row
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: no table in UTF-8 ({error}); save it as CSV") from None


def _line(row: Sequence[str]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerow(row)
    return text.getvalue()
