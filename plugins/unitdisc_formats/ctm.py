"""Units with their times as CTM."""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

from unitdisc.errors import DataError
from unitdisc.exporter import Format, Told
from unitdisc.storage import write_lines
from unitdisc_formats.limits import num_codebooks, refuse_ids
from unitdisc_formats.lines import joined, lines
from unitdisc_formats.spans import Span, Spans, clock, on_grid, ticks

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from unitdisc.units import Units


class CTM(Format):
    """Time-marked units, ``SPLIT.ctm``: a line ``id 1 start duration unit`` per unit.

    The form of Kaldi, sclite and lhotse. Times are in seconds (columns for line images) with 6 decimals. The
    edges between units are rounded to these, each once: a unit ends exactly where the next begins, and errors
    do not add up. The exact step stands in ``units.meta.json``. With several codebooks a unit is its codes
    joined by "-", as in "3-17". An utterance without units has no line.

    Args:
        deduplicate: Merge equal neighbours (in all codebooks) into one line that lasts as long as they did.
            Nothing is lost but the edges between them, which stand a step apart.
    """

    is_timed = True

    def __init__(self, *, deduplicate: bool = False) -> None:
        self._deduplicate = deduplicate

    def place(self, split: str) -> str:
        """Return the file's name."""
        return f"{split}.ctm"

    def write(self, units: Sequence[Units], *, split: str, num_codes: int, folder: Path) -> list[Path]:
        """Write one file."""
        del num_codes  # readers are told K by the sidecar
        num_codebooks(units)
        refuse_ids(units, pattern=r"\s|^;;", name="ctm", reason="white space or begin with ';;'")
        path = folder / self.place(split)
        write_lines(path, (line for item in units for line in self._lines(item)))
        return [path]

    def _lines(self, item: Units) -> Iterator[str]:
        for start, end, codes in ticks(item, deduplicate=self._deduplicate):
            unit = "-".join(map(str, codes))
            yield f"{item.key} 1 {clock(start)} {clock(end - start)} {unit}\n"

    def read(self, path: Path, told: Told) -> Iterator[tuple[str, Units]]:
        """Yield the units of each id; its lines must follow one another without gaps."""
        # What comes through a pipe can be read only once.
        if told.step is None or not path.is_file() or not _is_in_order(path):
            yield from on_grid(_found(path), told, path)
            return
        for key, rows in groupby(_rows(path), key=itemgetter(1)):  # one utterance in memory at once
            places, _, spans = zip(*rows, strict=True)
            yield from on_grid({key: Spans(places[0], list(spans))}, told, path)


def read(path: Path) -> dict[str, list[Span]]:
    """Return (start, end, codes) per line by id, in file order. Raises `DataError` with the wrong line."""
    return {key: item.spans for key, item in _found(path).items()}


def _found(path: Path) -> dict[str, Spans]:
    """Return the spans by id."""
    found: dict[str, Spans] = {}
    for where, key, span in _rows(path):
        found.setdefault(key, Spans(where)).spans.append(span)
    return found


def _rows(path: Path) -> Iterator[tuple[str, str, Span]]:
    """Yield ("file:line", id, span). A sixth column (confidence) and comments, ``;;``, are passed over."""
    for where, line in lines(path):
        if line.startswith(";;"):
            continue
        try:
            key, _, start, duration, unit = line.split(maxsplit=5)[:5]
            end = round(float(start) + float(duration), 6)
            span = float(start), end, joined(unit, where)
        except (ValueError, DataError):
            raise DataError(
                f"{where}: expected 'id channel start duration unit', found {line[:60]!r}"
            ) from None
        yield where, key, span


def _is_in_order(path: Path) -> bool:
    """Whether the lines of each id follow one another."""
    ids = (line.split(maxsplit=1)[:1] for _, line in lines(path) if not line.startswith(";;"))
    begun = [key[0] for key, _ in groupby(ids) if key]
    return len(set(begun)) == len(begun)
