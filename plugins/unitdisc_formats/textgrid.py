"""Units as tiers of Praat's TextGrid."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from unitdisc.errors import DataError
from unitdisc.exporter import Format, Told
from unitdisc.text_lines import read_bytes
from unitdisc_formats.files import found_files, write_files
from unitdisc_formats.limits import FILE_NAME, NO_FILE_NAME, num_codebooks, refuse_ids
from unitdisc_formats.lines import joined
from unitdisc_formats.spans import TICKS, Spans, clock, on_grid, ticks

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from unitdisc.units import Units

_TOKEN = re.compile(r'"((?:[^"]|"")*)"|(?<![^\s:=])(-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)(?!\S)')
_TIER = "units"


class TextGrid(Format):
    """A file per utterance, ``textgrid-SPLIT/ID.TextGrid``, with an interval tier per codebook, for Praat.

    The tier is "units", or "units 0", "units 1" and so on. Times are in seconds (columns for line images) with 6
    decimals, rounded as in ctm. What follows the last unit is an empty interval, as Praat wants. Knows no order of
    files. When reading, other tiers, such as phones, are passed over; a file with one tier may call it anything.

    Args:
        deduplicate: Merge equal neighbours (in all codebooks) into one interval that lasts as long as they did.
            Nothing is lost but the edges between them, which stand a step apart.
    """

    is_timed = True

    def __init__(self, *, deduplicate: bool = False) -> None:
        self._deduplicate = deduplicate

    def place(self, split: str) -> str:
        """Return the folder's name."""
        return f"textgrid-{split}"

    def write(self, units: Sequence[Units], *, split: str, num_codes: int, folder: Path) -> list[Path]:
        """Write a folder of files."""
        del num_codes  # readers are told K by the sidecar
        num_codebooks(units)
        refuse_ids(units, pattern=FILE_NAME, name="textgrid", reason=NO_FILE_NAME)
        return write_files(folder / self.place(split), units, ".TextGrid", self._lines)

    def _lines(self, item: Units) -> Iterator[str]:
        spans = [span for span in ticks(item, deduplicate=self._deduplicate) if span[0] < span[1]]
        start, end = round(item.start * TICKS), round(item.end * TICKS)
        end = max([end, *(right for _, right, _ in spans)])
        num_books = item.codes.shape[1]
        yield 'File type = "ooTextFile"\nObject class = "TextGrid"\n\n'
        yield f"xmin = {clock(start)}\nxmax = {clock(end)}\ntiers? <exists>\nsize = {num_books}\nitem []:\n"
        for book in range(num_books):
            labels = [(left, right, str(codes[book])) for left, right, codes in spans]
            last = labels[-1][1] if labels else start
            labels += [(last, end, "")] if last < end else []
            name = _TIER if num_books == 1 else f"{_TIER} {book}"
            yield f'    item [{book + 1}]:\n        class = "IntervalTier"\n        name = "{name}"\n'
            yield f"        xmin = {clock(start)}\n        xmax = {clock(end)}\n"
            yield f"        intervals: size = {len(labels)}\n"
            for number, (left, right, label) in enumerate(labels, start=1):
                yield f"        intervals [{number}]:\n            xmin = {clock(left)}\n"
                yield f'            xmax = {clock(right)}\n            text = "{label}"\n'

    def read(self, path: Path, told: Told) -> Iterator[tuple[str, Units]]:
        """Yield the units of each file, in Praat's long or short text form."""
        found = {key: _spans(_Tokens(file)) for key, file in found_files(path, ".TextGrid")}
        yield from on_grid(found, told, path)


class _Tokens:
    """The strings and numbers of a text file; Praat ignores all else."""

    def __init__(self, path: Path) -> None:
        self.path = path
        content = read_bytes(path)
        try:
            self._text = content.decode(
                "utf-16" if content[:2] in {b"\xff\xfe", b"\xfe\xff"} else "utf-8-sig"
            )
        except UnicodeDecodeError:
            raise DataError(f"{path}: neither UTF-8 nor UTF-16; save it as a text file in Praat") from None
        self._matches = _TOKEN.finditer(self._text)
        self._line = 1
        self._at = 0

    @property
    def where(self) -> str:
        """File and line of the last token."""
        return f"{self.path}:{self._line}"

    def string(self, what: str) -> str:
        """Return the next token, which must be a string."""
        found = self._next(what)[1]
        if found is None:
            raise DataError(f"{self.where}: expected {what} in quotes; the file is damaged or no TextGrid")
        return found.replace('""', '"')

    def number(self, what: str) -> float:
        """Return the next token, which must be a number."""
        found = self._next(what)[2]
        if found is None:
            raise DataError(f"{self.where}: expected {what}, a number; the file is damaged or no TextGrid")
        return float(found)

    def _next(self, what: str) -> re.Match[str]:
        match = next(self._matches, None)
        end = len(self._text) if match is None else match.start()
        self._line += self._text.count("\n", self._at, end)
        self._at = end
        if match is None:
            raise DataError(f"{self.where}: the file ends where {what} should stand; it is damaged")
        return match


def _spans(tokens: _Tokens) -> Spans:
    """Return the spans of the tiers of units."""
    if (tokens.string("ooTextFile"), tokens.string("TextGrid")) != ("ooTextFile", "TextGrid"):
        raise DataError(f"{tokens.path}:1: no TextGrid; expected ooTextFile and TextGrid")
    bounds = tokens.number("xmin"), tokens.number("xmax")
    tiers: dict[str, list[tuple[float, float, str]]] = {}
    for _ in range(int(tokens.number("the number of tiers"))):
        kind, name = tokens.string("the class of a tier"), tokens.string("the name of a tier")
        intervals = _tier(tokens, is_points=kind == "TextTier")
        if kind == "IntervalTier":
            tiers[name] = intervals
    chosen = [tier for name, tier in tiers.items() if re.fullmatch(rf"{_TIER}( \d+)?", name)]
    if not chosen and len(tiers) == 1:
        chosen = list(tiers.values())
    if not chosen:
        raise DataError(
            f"{tokens.path}: no tier is called {_TIER!r} (found: {', '.join(tiers) or 'none'}); rename one"
        )
    labelled = [[interval for interval in tier if interval[2].strip()] for tier in chosen]
    edges = {tuple(interval[:2] for interval in tier) for tier in labelled}
    if len(edges) > 1:
        raise DataError(
            f"{tokens.path}: the tiers of units have different edges; write them without merging repeats"
        )
    where = f"{tokens.path}:1"
    spans = [
        (row[0][0], row[0][1], tuple(code for _, _, label in row for code in joined(label.strip(), where)))
        for row in zip(*labelled, strict=True)
    ]
    return Spans(where, spans, bounds)


def _tier(tokens: _Tokens, *, is_points: bool) -> list[tuple[float, float, str]]:
    tokens.number("xmin")
    tokens.number("xmax")
    intervals = []
    for _ in range(int(tokens.number("the number of intervals"))):
        left = tokens.number("xmin")
        right = left if is_points else tokens.number("xmax")
        intervals.append((left, right, tokens.string("a label")))
    return intervals
