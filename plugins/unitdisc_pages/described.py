"""What a page description says, in whatever format it stands."""

from __future__ import annotations

import math
import re
import unicodedata
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from unitdisc.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_POINTS = 2**14
_FARTHEST = 1e6
_BETWEEN = re.compile(r"[,\s]+")


@dataclass(frozen=True)
class Piece:
    """A word or a character: its outline (N, 2) on the page, and what it says."""

    outline: np.ndarray
    text: str


@dataclass(frozen=True)
class Line:
    """A text line as it lies on its page.

    Args:
        id: Its id in the description.
        where: File, line of the file and id, for messages.
        region: Type of the region that holds it, empty where none is given.
        text: Transcription in Unicode NFC, one space between words; empty where there is none.
        outline: Corners (N, 2) of the polygon around it, x to the right and y down.
        baseline: Points (M, 2) of the line it is written on, or None.
        words: Its words, where they are outlined.
        characters: Its characters, where they are outlined.
    """

    id: str
    where: str
    region: str
    text: str
    outline: np.ndarray
    baseline: np.ndarray | None
    words: tuple[Piece, ...] = ()
    characters: tuple[Piece, ...] = ()

    def scaled(self, factor: float) -> Line:
        """Return the line in other units of length."""
        return replace(
            self,
            outline=self.outline * factor,
            baseline=None if self.baseline is None else self.baseline * factor,
            words=tuple(Piece(piece.outline * factor, piece.text) for piece in self.words),
            characters=tuple(Piece(piece.outline * factor, piece.text) for piece in self.characters),
        )


@dataclass(frozen=True)
class Described:
    """A described page.

    Args:
        scan: Name of the scan as the description gives it, empty where it does not.
        size: Width and height in the description's unit of length, or None.
        is_pixels: Whether that unit is the pixel of the scan.
        lines: Read its lines, one each; a damaged one raises `DataError` without harm to the others.
    """

    scan: str
    size: tuple[float, float] | None
    is_pixels: bool
    lines: tuple[Callable[[], Line], ...]


def points(text: str, where: str) -> np.ndarray:
    """Return (N, 2) of "x,y x,y" or "x y x y". Raises `DataError` that starts with ``where``."""
    found = _BETWEEN.split(text.strip(", \t\r\n"))
    if len(found) % 2 or len(found) > 2 * MAX_POINTS:
        raise DataError(
            f"{where}: found {len(found)} numbers; write up to {MAX_POINTS} points as x,y x,y or x y x y"
        )
    return np.array([number(value, where) for value in found]).reshape(-1, 2)


def number(text: str, where: str) -> float:
    """Return a length. Raises `DataError` that starts with ``where``."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not abs(value) <= _FARTHEST:
        raise DataError(f"{where}: {text[:40]!r} is no place on a page; write a number such as 1280")
    return value


def box(left: float, top: float, width: float, height: float) -> np.ndarray:
    """Return the four corners (4, 2) of a box."""
    right, bottom = left + width, top + height
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)])


def plain(text: str) -> str:
    """Return a transcription in Unicode NFC with one space between words."""
    return " ".join(unicodedata.normalize("NFC", text).split())
