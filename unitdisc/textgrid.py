"""Praat's TextGrid, in its long and its short form."""

from __future__ import annotations

import codecs
import re
from typing import TYPE_CHECKING

from unitdisc.errors import DataError
from unitdisc.reader import LONGEST, Timed
from unitdisc.text_lines import read_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# As Praat reads both forms: what is no text in quotes and no number standing free means nothing.
_TOKEN = re.compile(r'"((?:[^"]|"")*)"|(?<!\S)(-?[0-9][0-9.eE+-]*)(?!\S)')
_ENCODINGS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF16_LE, "utf-16"),
)


def read(path: Path) -> dict[str, list[Timed]]:
    """Return the intervals of every interval tier by its name, those without text too; points are left out.

    Of tiers with one name the first counts. Raises `DataError` naming file and line.
    """
    return _Reader(path).tiers()


class _Reader:
    def __init__(self, path: Path) -> None:
        self.path, self.content, self.place = path, _decoded(path), 0
        self.tokens: Iterator[re.Match[str]] = _TOKEN.finditer(self.content)

    def tiers(self) -> dict[str, list[Timed]]:
        if (self.text(), self.text()) != ("ooTextFile", "TextGrid"):
            raise self.error("is no TextGrid in text form; save it in Praat as a (short) text file")
        self.number(), self.number()  # the times that all tiers span
        found: dict[str, list[Timed]] = {}
        for _ in range(self.count()):
            kind, name = self.text(), self.text()
            self.number(), self.number()
            if kind == "IntervalTier":
                intervals = [self.interval() for _ in range(self.count())]
                found.setdefault(name, intervals)
            elif kind == "TextTier":
                for _ in range(self.count()):
                    self.number(), self.text()
            else:
                raise self.error(f"has a tier of the class {kind!r} (accepted: IntervalTier, TextTier)")
        return found

    def interval(self) -> Timed:
        start, end, text = self.number(), self.number(), self.text()
        if not 0 <= start <= end < LONGEST:
            raise self.error(f"has an interval from {start:g} to {end:g} s; correct it")
        return Timed(start, end, " ".join(text.split()))

    def text(self) -> str:
        found = self.token()
        if found[1] is None:
            raise self.error(
                f"has the number {found[2]} where a text in quotes belongs; save it in Praat again"
            )
        return found[1].replace('""', '"')

    def number(self) -> float:
        found = self.token()
        try:
            return float(found[2])
        except (TypeError, ValueError):
            raise self.error(f"has {found[0][:40]} where a number belongs; save it in Praat again") from None

    def count(self) -> int:
        value = self.number()
        if not value.is_integer() or value < 0:
            raise self.error(f"has {value:g} where a number of items belongs; save it in Praat again")
        return int(value)

    def token(self) -> re.Match[str]:
        found = next(self.tokens, None)
        if found is None:
            raise self.error("ends too early; restore the file")
        self.place = found.start()
        return found

    def error(self, problem: str) -> DataError:
        line = self.content.count("\n", 0, self.place) + 1
        return DataError(f"{self.path}:{line}: {problem}")


def _decoded(path: Path) -> str:
    content = read_bytes(path)
    encoding = next((name for mark, name in _ENCODINGS if content.startswith(mark)), "utf-8")
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        raise DataError(f"{path}: neither UTF-8 nor UTF-16; save the file as UTF-8") from None
