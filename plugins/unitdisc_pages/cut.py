"""Cuts a straightened line out of a page."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from unitdisc_pages.strip import Strip

_FINEST = 4
"""Pixels that are kept, at least, of which one of the line's is made."""
_SMOOTH = np.array([1, 2, 3, 4, 5, 4, 3, 2, 1])


def cut(page: np.ndarray, outline: np.ndarray, strip: Strip) -> np.ndarray:
    """Return the line (height, width) uint8 of a page (H, W) uint8.

    What lies outside the outline gets the line's background before anything is moved, so that neighbours
    leave no trace: the most frequent grey inside (of a histogram smoothed over 9 levels), as paper covers
    more than ink.
    """
    left, top = np.floor(outline.min(axis=0)).astype(int)
    right, bottom = np.ceil(outline.max(axis=0)).astype(int)
    piece = page[top:bottom, left:right]
    is_inside = inside(outline - (left, top), piece.shape)
    paper = background(piece[is_inside])
    piece = np.where(is_inside, piece, np.uint8(paper))
    factor = max(1, int(min(strip.step) // _FINEST))
    if factor > 1:
        piece = np.asarray(Image.fromarray(piece).reduce(factor))
    finer = math.ceil(max(strip.step) / factor)
    columns = (np.arange(strip.width * finer) + 0.5) / finer
    rows = (np.arange(strip.height * finer) + 0.5) / finer
    places = (strip.to_page(columns, rows[:, None]) - (left, top)) / factor
    line = Image.fromarray(_look_up(piece, places, paper))
    # Pillow's triangle filter averages where it reduces, and never leaves the range of the pixels.
    reduced = line.resize((strip.width, strip.height), Image.Resampling.BILINEAR) if finer > 1 else line
    greys: np.ndarray = np.rint(np.asarray(reduced)).astype(np.uint8)
    return greys


def inside(outline: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return (H, W) bool: whether the middle of a pixel lies in the polygon (N, 2), also where it lies on itself."""
    height, width = shape
    crossed = np.zeros((height, width + 1), np.int16)
    for (x, y), (to_x, to_y) in zip(outline, np.roll(outline, -1, axis=0), strict=True):
        if y == to_y:
            continue
        first, last = (math.ceil(edge - 0.5) for edge in sorted((y, to_y)))
        rows = np.arange(max(first, 0), min(last, height))
        where = x + (rows + 0.5 - y) * ((to_x - x) / (to_y - y))
        # The polygon goes round every pixel to the right of the edge once more, or once less.
        crossed[rows, np.ceil(where - 0.5).clip(0, width).astype(int)] += 1 if y < to_y else -1
    rounds: np.ndarray = np.cumsum(crossed, axis=1, dtype=np.int16)[:, :width]
    return rounds != 0


def background(greys: np.ndarray) -> int:
    """Return the most frequent of grey levels (N,) uint8, neighbours counting too."""
    return int(np.convolve(np.bincount(greys, minlength=256), _SMOOTH, mode="same").argmax())


def _look_up(piece: np.ndarray, places: np.ndarray, paper: int) -> np.ndarray:
    """Return (H, W) float32: pixels at places (H, W, 2), between their middles in proportion, paper around."""
    framed = np.pad(piece, 1, constant_values=paper).astype(np.float32)
    last = np.array(framed.shape[::-1]) - 1
    places = (places + 0.5).clip(0, last)  # the middle of a framed pixel is a whole number
    corner = np.minimum(places.astype(int), last - 1)
    right, down = np.moveaxis((places - corner).astype(np.float32), -1, 0)
    x, y = np.moveaxis(corner, -1, 0)
    above = framed[y, x] * (1 - right) + framed[y, x + 1] * right
    below = framed[y + 1, x] * (1 - right) + framed[y + 1, x + 1] * right
    mixed: np.ndarray = above * (1 - down) + below * down
    return mixed
