"""Unit sequences as JSON lines: the one form of unit files that unitdisc itself reads back.

A line is ``{"file": id, "units": [3, 17], "durations": [2, 1]}``. With several codebooks a unit is a list of its
codes. Durations count steps and stand beside units whose repeats were merged; without them every unit is one step.
After subword encoding "pieces" stands in place of "units".
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from unitdisc.errors import DataError
from unitdisc.text_lines import byte_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

Codes = list[int] | list[list[int]]


def units_line(key: str, codes: np.ndarray, durations: np.ndarray | None = None) -> str:
    """Return the line of ``codes`` (S, Q), with ``durations`` (S,) where they are known."""
    return _line(key, {"units": (codes[:, 0] if codes.shape[1] == 1 else codes).tolist()}, durations)


def pieces_line(key: str, pieces: Iterable[int], durations: np.ndarray | None = None) -> str:
    """Return the line of subword ``pieces``, with the ``durations`` of the units that they spell."""
    return _line(key, {"pieces": list(pieces)}, durations)


def _line(key: str, content: dict[str, Any], durations: np.ndarray | None) -> str:
    beside = {} if durations is None else {"durations": durations.tolist()}
    return json.dumps({"file": key, **content, **beside}) + "\n"


def read_units(path: Path) -> dict[str, Codes]:
    """Return the units by id, in the order of the file, each repeated as often as its duration says.

    Raises `DataError` with the wrong line.
    """
    return {key: units for _, key, units in each_units(path)}


def each_units(path: Path) -> Iterator[tuple[str, str, Codes]]:
    """Yield (where, id, units) per line as `read_units` does, with one line in memory at once."""
    seen: set[str] = set()
    for where, key, units, durations in _read(path, "units"):
        if key in seen:
            raise DataError(f"{where}: {key!r} stands in an earlier line too; keep one of them")
        seen.add(key)
        yield where, key, units if durations is None else repeated(units, durations, where)


def read_pieces(path: Path) -> Iterator[tuple[str, str, list[int], list[int] | None]]:
    """Yield (where, id, pieces, durations) per line. Raises `DataError` with the wrong line."""
    yield from _read(path, "pieces")


def repeated(units: Any, durations: list[int], where: str) -> Any:
    """Return each of ``units`` (a list or an array) as often as its duration says, as a list or an array."""
    if len(units) != len(durations):
        raise DataError(
            f"{where}: {len(durations)} durations for {len(units)} units; there must be one for each"
        )
    spelt = np.repeat(np.arange(len(units)), durations)
    return units[spelt] if isinstance(units, np.ndarray) else [units[index] for index in spelt]


def _read(path: Path, name: Literal["units", "pieces"]) -> Iterator[tuple[str, str, Any, list[int] | None]]:
    for number, line in enumerate(byte_lines(path), start=1):
        where = f"{path}:{number}"
        try:
            content = json.loads(line)
            key, values, durations = content["file"], content[name], content.get("durations")
        except (ValueError, KeyError, TypeError, RecursionError):
            key = values = durations = None
        rows_are_fine = _are_counts(values) or (name == "units" and _are_rows(values))
        if not (isinstance(key, str) and rows_are_fine and (durations is None or _are_counts(durations))):
            shown = line[:60].decode(errors="replace")
            raise DataError(f'{where}: expected {{"file": id, "{name}": [...]}}, found {shown!r}')
        yield where, key, values, durations


def _are_rows(values: Any) -> bool:
    return isinstance(values, list) and all(map(_are_counts, values)) and len(set(map(len, values))) <= 1


def _are_counts(values: Any) -> bool:
    """Whether this is a list of whole numbers from 0 that fit into 32 bits."""
    return isinstance(values, list) and all(type(value) is int and 0 <= value < 2**31 for value in values)
