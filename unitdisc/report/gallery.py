"""Pictures beside and below one another, with captions, so that an eye can compare them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from unitdisc.report.canvas import INK, PAPER, SMALL, TEXT, text_width, write

if TYPE_CHECKING:
    from collections.abc import Sequence

_WIDTH, _CELL = 1280, 96
_MARGIN, _GAP, _BLOCK_GAP = 12, 4, 20


def column(pieces: Sequence[Image.Image]) -> Image.Image:
    """Return the pieces one below the other."""
    canvas = Image.new(
        "RGB", (max(piece.width for piece in pieces), sum(piece.height for piece in pieces)), PAPER
    )
    top = 0
    for piece in pieces:
        canvas.paste(piece, (0, top))
        top += piece.height
    return canvas


def gallery(rows: Sequence[tuple[str, Sequence[np.ndarray]]], *, title: str = "") -> Image.Image:
    """Draw rows of small pictures, equally many in each, beside their captions; pixels stay pixels.

    What does not fit beside one another goes on in another block of the same rows.

    Args:
        rows: A caption and pictures, (H, W) or (H, W, 3) uint8, all of one size.
        title: Heading.
    """
    height, width = rows[0][1][0].shape[:2]
    zoom = max(1, _CELL // max(height, width))
    size = width * zoom, height * zoom
    left = 2 * _MARGIN + max(text_width(caption, SMALL) for caption, _ in rows)
    count = len(rows[0][1])
    per_block = min(count, max(1, (_WIDTH + _GAP) // (size[0] + _GAP)))
    blocks = -(-count // per_block)
    block = len(rows) * (size[1] + _GAP) - _GAP
    head = 2 * _MARGIN + TEXT if title else _MARGIN
    right = left + per_block * (size[0] + _GAP) - _GAP + _MARGIN
    canvas = Image.new(
        "RGB",
        (
            max(right, text_width(title, TEXT) + 2 * _MARGIN),
            head + blocks * (block + _BLOCK_GAP) - _BLOCK_GAP + _MARGIN,
        ),
        PAPER,
    )
    write(canvas, (_MARGIN, _MARGIN), title, anchor="la", size=TEXT, colour=INK)
    for number in range(blocks):
        for line, (caption, pictures) in enumerate(rows):
            top = head + number * (block + _BLOCK_GAP) + line * (size[1] + _GAP)
            write(canvas, (left - _MARGIN, top + size[1] / 2), caption, anchor="rm", colour=INK)
            for place, picture in enumerate(pictures[number * per_block : (number + 1) * per_block]):
                pixels = Image.fromarray(np.ascontiguousarray(picture)).convert("RGB")
                canvas.paste(
                    pixels.resize(size, Image.Resampling.NEAREST), (left + place * (size[0] + _GAP), top)
                )
    return canvas
