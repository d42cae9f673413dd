"""Tables that fold symbols into classes, such as 61 phones into 39."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unitdisc.errors import DataError
from unitdisc.text_lines import rows

if TYPE_CHECKING:
    from pathlib import Path


def read_fold(path: Path) -> dict[str, str]:
    """Read a table of symbols and classes: a header, then two columns; an empty class leaves a symbol out."""
    fold: dict[str, str] = {}
    table = rows(path, "two columns, symbol and class")
    next(table)  # the header
    for line, row in table:
        where = f"{path}:{line}"
        if len(row) != 2 or not row[0]:
            raise DataError(
                f"{where}: found {len(row)} columns; give a symbol, a tab and its class (or nothing)"
            )
        if row[0] in fold:
            raise DataError(f"{where}: symbol {row[0]!r} stands here twice; keep one of the lines")
        fold[row[0]] = row[1]
    return fold
