"""Alignment paths: which character stands in which column of a line."""

from __future__ import annotations

from itertools import groupby

from unitdisc.errors import DataError
from unitdisc.images import scaled_width
from unitdisc_scribblelens.transcripts import BLANK

HEIGHT = 32
"""Pixels that a line was high when it was aligned; its columns are those of a path."""
SPACE = "|"
"""Stands for the space between words, as a symbol cannot be blank; "_" or "SPACE" in the files."""
_SPACES = ("_", "SPACE")
_ROW = 4


def characters(text: str, where: str, size: tuple[int, int]) -> list[tuple[int, int, str]]:
    """Return (start, end, character) in columns of an image of ``size`` (width, height), without the blanks.

    The first line of ``text`` is the image, the number of columns and more; then follow column, column + 1,
    character and score. What stands in columns side by side is one character: paths do not tell "oo" from
    a broad "o". Raises `DataError` that begins with ``where``.
    """
    width, height = size
    symbols = _symbols(text, where)
    expected = scaled_width(width, height, HEIGHT)
    if abs(len(symbols) - expected) > 1:  # the last bit of a division decides halves
        raise DataError(
            f"{where}: {len(symbols)} columns, but the image has {expected} at {HEIGHT} pixels of height; give "
            "the paths that belong to these images"
        )
    found, start = [], 0
    for symbol, run in groupby(symbols):
        end = start + len(list(run))
        left, right = ((2 * edge * width + len(symbols)) // (2 * len(symbols)) for edge in (start, end))
        if symbol != BLANK and left < right:
            found.append((left, right, SPACE if symbol in _SPACES else symbol))
        start = end
    return found


def _symbols(text: str, where: str) -> list[str]:
    head, *rows = text.rstrip().split("\n")
    words = head.split()
    if words[1:2] != [str(len(rows))] or not rows:
        raise DataError(
            f"{where}:1: found {head[:60]!r} and {len(rows)} rows; give the image and the number of rows"
        )
    symbols = []
    for number, row in enumerate(rows):
        columns = row.split()
        if len(columns) != _ROW or columns[:2] != [str(number), str(number + 1)]:
            raise DataError(
                f"{where}:{number + 2}: found {row[:60]!r}; give {number}, {number + 1}, character and score"
            )
        symbols.append(columns[2])
    return symbols
