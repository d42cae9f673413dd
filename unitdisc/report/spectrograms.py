"""Spectrograms one under the other, so that an eye can compare them frame by frame."""

from __future__ import annotations

from itertools import count
from math import ceil
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw

from unitdisc.report.canvas import FAINT, INK, PAPER, SMALL, TEXT, text_width, write
from unitdisc.report.colours import sound_colours

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

Rows = list[tuple[str, "np.ndarray"]]
"""Captions with images (H, T) uint8, high where there is energy, the lowest frequency in the last line."""

_WIDTH, _HEIGHT = 1280, 150
_MARGIN, _GAP, _AXIS = 12, 4, 24
_WIDEST_FRAME = 6.0
_TICKS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
_TICK_EVERY = 60


def spectrograms(groups: Sequence[tuple[str, Rows]], *, frame_rate: float, note: str = "") -> Image.Image:
    """Draw groups of images below their titles; all share one time axis.

    Args:
        groups: A title and its images.
        frame_rate: Columns of an image per second.
        note: What stands above everything.
    """
    captions = [caption for _, rows in groups for caption, _ in rows]
    left = 2 * _MARGIN + max((text_width(caption, SMALL) for caption in captions), default=0)
    longest = max((image.shape[1] for _, rows in groups for _, image in rows), default=1)
    pixels = min(_WIDTH / longest, _WIDEST_FRAME)
    pieces = [_group(title, rows, left, pixels, frame_rate) for title, rows in groups]
    head = 2 * _MARGIN + TEXT if note else _MARGIN
    width = max([piece.width for piece in pieces] + [2 * _MARGIN + text_width(note, TEXT)])
    canvas = Image.new("RGB", (width, head + sum(piece.height for piece in pieces)), PAPER)
    write(canvas, (_MARGIN, _MARGIN), note, anchor="la", size=TEXT, colour=INK)
    for piece in pieces:
        canvas.paste(piece, (0, head))
        head += piece.height
    return canvas


def _group(title: str, rows: Rows, left: int, pixels: float, frame_rate: float) -> Image.Image:
    """Draw a title, its images and the axis below them."""
    frames = max((image.shape[1] for _, image in rows), default=1)
    head = TEXT + _MARGIN
    width = max(left + ceil(frames * pixels), text_width(title, TEXT) + _MARGIN) + 2 * _MARGIN
    canvas = Image.new("RGB", (width, head + len(rows) * (_HEIGHT + _GAP) + _AXIS + _MARGIN), PAPER)
    write(canvas, (_MARGIN, 0), title, anchor="la", size=TEXT, colour=INK)
    top = head
    for caption, image in rows:
        size = (max(round(image.shape[1] * pixels), 1), _HEIGHT)
        drawn = Image.fromarray(sound_colours(image)).resize(size, Image.Resampling.BICUBIC)
        canvas.paste(drawn, (left, top))
        write(canvas, (left - _MARGIN, top + _HEIGHT / 2), caption, anchor="rm", colour=INK)
        top += _HEIGHT + _GAP
    _axis(canvas, (left, top), frames, pixels, frame_rate)
    return canvas


def _axis(canvas: Image.Image, place: tuple[int, int], frames: int, pixels: float, frame_rate: float) -> None:
    """Draw a line with round numbers of seconds."""
    left, top = place
    draw = ImageDraw.Draw(canvas)
    draw.line((left, top, left + frames * pixels, top), fill=FAINT)
    write(canvas, (left - _MARGIN, top + 7), "seconds", anchor="ra")
    per_second = pixels * frame_rate
    every = next((tick for tick in _TICKS if tick * per_second >= _TICK_EVERY), _TICKS[-1])
    for number in count():
        if (seconds := number * every) * frame_rate > frames:
            return
        x = left + seconds * per_second
        draw.line((x, top, x, top + 4), fill=FAINT)
        write(canvas, (x, top + 7), f"{seconds:.6g}", anchor="ma")
