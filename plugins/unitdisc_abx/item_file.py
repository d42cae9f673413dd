"""Item files of ZeroSpeech and libri-light: which stretches of which recordings are compared."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from unitdisc.errors import DataError
from unitdisc.text_lines import lines
from unitdisc_abx.tokens import Token

if TYPE_CHECKING:
    from pathlib import Path

_COLUMNS = ("#file", "onset", "offset", "#phone", "prev-phone", "next-phone", "speaker")


def read_items(path: Path) -> dict[str, list[Token]]:
    """Return the tokens of each file, times in seconds. Raises `DataError` with the line that is wrong."""
    found: dict[str, list[Token]] = {}
    header: list[str] = []
    for number, line in lines(path):
        columns = line.split()
        if not header:
            header = columns
            missing = [name for name in _COLUMNS if name not in header]
            if missing:
                raise DataError(
                    f"{path}:{number}: no column {missing[0]} in the header (accepted: {' '.join(_COLUMNS)}, "
                    "separated by spaces, in any order)"
                )
            continue
        if len(columns) != len(header):
            raise DataError(f"{path}:{number}: {len(columns)} columns; the header has {len(header)}")
        row = dict(zip(header, columns, strict=True))
        found.setdefault(row["#file"], []).append(_token(row, f"{path}:{number}"))
    if not found:
        raise DataError(f"{path}: no item; write a header and a line per token")
    return found


def _token(row: dict[str, str], where: str) -> Token:
    onset, offset = (_seconds(row[edge], where) for edge in ("onset", "offset"))
    if not 0 <= onset < offset:
        raise DataError(
            f"{where}: from {row['onset']} to {row['offset']} s; an item begins at 0 or later and ends after that"
        )
    return Token(onset, offset, row["#phone"], (row["prev-phone"], row["next-phone"]), row["speaker"])


def _seconds(text: str, where: str) -> Fraction:
    """Return the decimal exactly: rounding would move an edge that lies in the middle of a frame."""
    try:
        return Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise DataError(f"{where}: '{text}' is no number of seconds; write one such as 0.2925") from None
