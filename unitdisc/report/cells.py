"""A picture beside its units, one cell of the grid for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from unitdisc.report.canvas import INK, PAPER, SMALL, TEXT, cell, text_width, write
from unitdisc.report.colours import code_colour

if TYPE_CHECKING:
    from unitdisc.units import Units

_SIDE, _MARGIN = 256, 12
_MAX_BOOKS = 4


def cells(image: np.ndarray, units: Units, grid: tuple[int, int], *, title: str = "") -> Image.Image:
    """Draw an image and, for each codebook up to four, its units where they stand, coloured and numbered by code.

    Args:
        image: (rows, columns) or (rows, columns, 3) uint8.
        units: Its units, row by row.
        grid: Rows and columns of units.
        title: Heading.
    """
    zoom = max(1, _SIDE // max(image.shape[:2]))
    height, width = image.shape[0] * zoom, image.shape[1] * zoom
    books = units.codes.T[:_MAX_BOOKS]
    left_out = units.codes.shape[1] - len(books)
    title += f" ({len(books)} of {units.codes.shape[1]} codebooks)" if left_out else ""
    head = 2 * _MARGIN + TEXT
    right = _MARGIN + (len(books) + 1) * (width + _MARGIN)
    size = max(right, text_width(title, TEXT) + 2 * _MARGIN), head + height + _MARGIN + SMALL + _MARGIN
    canvas = Image.new("RGB", size, PAPER)
    write(canvas, (_MARGIN, _MARGIN), title, anchor="la", size=TEXT, colour=INK)
    shown = Image.fromarray(image).convert("RGB").resize((width, height), Image.Resampling.NEAREST)
    canvas.paste(shown, (_MARGIN, head))
    for number, codes in enumerate(books, 1):
        left = _MARGIN + number * (width + _MARGIN)
        _map(canvas, codes.reshape(grid), (left, head, left + width, head + height))
        caption = "units" if len(books) == 1 else f"codebook {number}"
        write(canvas, (left, head + height + _MARGIN / 2), caption, anchor="la")
    return canvas


def _map(canvas: Image.Image, codes: np.ndarray, box: tuple[int, int, int, int]) -> None:
    """Draw codes (rows, columns) into a box."""
    rows, columns = codes.shape
    tops = np.linspace(box[1], box[3], rows + 1).round().astype(int).tolist()
    lefts = np.linspace(box[0], box[2], columns + 1).round().astype(int).tolist()
    for (row, column), code in np.ndenumerate(codes):
        place = (lefts[column], tops[row], lefts[column + 1], tops[row + 1])
        cell(canvas, place, str(code), code_colour(int(code)))
