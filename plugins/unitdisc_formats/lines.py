"""Lines of unit files and the codes in them."""

from __future__ import annotations

import gzip
import re
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from unitdisc.errors import DataError
from unitdisc.text_lines import byte_lines, opened

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SPACED = re.compile(r"\s*(\d{1,9}(\s+\d{1,9})*)?\s*", flags=re.ASCII)
_JOINED = re.compile(r"\d{1,9}(-\d{1,9})*", flags=re.ASCII)


def lines(path: Path) -> Iterator[tuple[str, str]]:
    """Yield ("file:line", text) of all lines, blank ones too; a file ending in .gz is unpacked."""
    found = _unpacked(path) if path.suffix == ".gz" else byte_lines(path)
    for number, line in enumerate(found, start=1):
        where = f"{path}:{number}"
        try:
            yield where, line.decode().removesuffix("\r")
        except UnicodeDecodeError:
            raise DataError(f"{where}: not UTF-8; it is damaged or of another format") from None


def _unpacked(path: Path) -> Iterator[bytes]:
    """Yield the lines of a packed file."""
    try:
        with opened(path) as packed, gzip.open(packed) as file:
            for line in file:
                yield line.removesuffix(b"\n")
    except (OSError, EOFError, zlib.error):
        raise DataError(f"{path}: damaged, cannot be unpacked; write it anew") from None


def numbers(text: str, where: str) -> list[int]:
    """Return numbers that stand between white space."""
    if not _SPACED.fullmatch(text):
        raise DataError(f"{where}: expected codes, found {text[:60]!r}")
    return list(map(int, text.split()))


def joined(unit: str, where: str) -> tuple[int, ...]:
    """Return the codes of a unit such as "3-17"."""
    if not _JOINED.fullmatch(unit):
        raise DataError(f"{where}: expected a unit such as 3, or 3-17 of two codebooks, found {unit[:60]!r}")
    return tuple(map(int, unit.split("-")))


def column(codes: list[int]) -> np.ndarray:
    """Return (S, 1)."""
    return np.array(codes, np.int64).reshape(-1, 1)


def codes_of(values: Any, where: str) -> np.ndarray:
    """Return (S, Q) int64 from an array, or lists, of codes (S,) or (S, Q). Raises `DataError`."""
    try:
        array = np.asarray(values)
    except ValueError:  # lists of several lengths
        array = np.array("")
    if array.size == 0 and array.ndim in {1, 2}:
        return np.zeros((len(array), max(1, *array.shape[1:], 1)), np.int64)
    if array.ndim not in {1, 2} or array.dtype.kind not in "iu" or array.min() < 0 or array.max() >= 2**31:
        raise DataError(f"{where}: expected codes from 0 on, (S,) or (S, Q); found {values!r:.60}")
    return array.astype(np.int64).reshape(len(array), -1)
