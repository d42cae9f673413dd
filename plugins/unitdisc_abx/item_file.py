"""Item files of ZeroSpeech and libri-light: which stretches of which recordings are compared."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from operator import itemgetter
from typing import TYPE_CHECKING

from unitdisc.errors import DataError
from unitdisc.text_lines import lines
from unitdisc_abx.tokens import Token

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_COLUMNS = ("#file", "onset", "offset", "#phone", "prev-phone", "next-phone", "speaker")

_DIGITS = 30
"""More than any number of seconds has."""


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
            named = itemgetter(*(header.index(name) for name in _COLUMNS))
            continue
        if len(columns) != len(header):
            raise DataError(f"{path}:{number}: {len(columns)} columns; the header has {len(header)}")
        key, *row = named(columns)
        found.setdefault(key, []).append(_token(row, f"{path}:{number}"))
    if not found:
        raise DataError(f"{path}: no item; write a header and a line per token")
    return found


def _token(row: Sequence[str], where: str) -> Token:
    onset, offset, label, before, after, speaker = row
    start, stop = _seconds(onset, where), _seconds(offset, where)
    if not 0 <= start < stop:
        raise DataError(
            f"{where}: from {onset} to {offset} s; an item begins at 0 or later and ends after that"
        )
    return Token(start, stop, label, (before, after), speaker)


def _seconds(text: str, where: str) -> Decimal:
    """Return the decimal exactly: rounding would move an edge that lies in the middle of a frame."""
    try:
        seconds = Decimal(text)
    except InvalidOperation:
        seconds = Decimal("nan")
    # An exponent beyond these would make a number of so many digits.
    if not seconds.is_finite() or (seconds and not -_DIGITS < seconds.adjusted() < _DIGITS):
        raise DataError(f"{where}: '{text}' is no number of seconds; write one such as 0.2925")
    return seconds
