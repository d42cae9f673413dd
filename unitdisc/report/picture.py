"""The picture of one recording or line: what a person sees, and below it what the units say."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from itertools import count, groupby
from math import ceil, floor, log10
from textwrap import shorten
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from unitdisc.report.canvas import FAINT, INK, PAPER, SMALL, TEXT, Box, cell, text_width, write
from unitdisc.report.colours import Colour, code_colour, sound_colours

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unitdisc.units import Units

Span = tuple[int, int, str]
"""Frames [start, stop) and what they are called."""

_ROW = 1280
_MAX_ROWS = 3
_MAX_BOOKS = 4
_CELL = 15
_STRETCH = 1.6
_LINE_ZOOM = 4
_MARGIN = 12
_CAPTION_GAP = 8
_HALF_NUMBER = 16
_SOUND_HEIGHT, _UNITS_HEIGHT, _LABELS_HEIGHT, _AXIS_HEIGHT, _GAP = 160, 30, 24, 24, 4
_TICK_EVERY = 80
_TITLE = 150
_LABEL_FILLS: tuple[Colour, Colour] = ((232, 232, 236), (214, 214, 220))


@dataclass(frozen=True)
class _Strip:
    """A row of cells below the image."""

    caption: str
    height: int
    cells: list[tuple[Span, Colour]]


@dataclass(frozen=True)
class _Layout:
    """What stands where.

    Args:
        strips: What stands below the image.
        axis: Name of the unit of time, in the plural.
        start: Time of the first frame.
        step: Time of one frame.
        pixels: Width of one frame.
        per_row: Frames in a row.
        drawn: Frames in all rows.
        left: Pixels before the first frame of a row.
    """

    strips: Sequence[_Strip]
    axis: str
    start: float
    step: float
    pixels: float
    per_row: int
    drawn: int
    left: int

    def x(self, frame: float, first: int) -> int:
        return self.left + round((frame - first) * self.pixels)


def picture(
    image: np.ndarray,
    units: Units,
    *,
    frames_per_unit: float,
    labels: Sequence[Span] | None = None,
    title: str = "",
    labels_name: str = "phones",
) -> Image.Image:
    """Draw an image (H, T) uint8 with its units and reference labels below, in rows that share a time axis.

    Equal neighbouring units make one cell, coloured and numbered by code. Sound (``units.unit_of_time``
    "second") is drawn dark where ``image`` is high, an image of a line as it is. What does not fit into three
    rows is left out, and the title says so.

    Args:
        image: What a person would look at, one column per frame.
        units: The units of this recording or line.
        frames_per_unit: Columns of ``image`` that one unit covers.
        labels: Reference spans in frames; None draws no strip for them.
        title: Heading of the picture.
        labels_name: What the labels are.
    """
    is_sound = units.unit_of_time == "second"
    strips = _unit_strips(units, frames_per_unit)
    if labels:
        fills = [_LABEL_FILLS[number % 2] for number in range(len(labels))]
        strips.append(_Strip(labels_name, _LABELS_HEIGHT, list(zip(labels, fills, strict=True))))
    layout = _layout(image.shape[1], units, frames_per_unit, strips)
    coloured = sound_colours(image) if is_sound else np.stack([image] * 3, axis=2)
    height = _SOUND_HEIGHT if is_sound else max(round(image.shape[0] * layout.pixels), 1)
    rows = []
    for first in range(0, layout.drawn, layout.per_row):
        stop = min(first + layout.per_row, layout.drawn)
        rows.append(_row(coloured[:, first:stop], height, first, stop, layout))
    return _stack(rows, _title(title, image.shape[1], units, layout))


def png(image: Image.Image) -> bytes:
    """Return the bytes of a PNG file."""
    file = BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()


def label_spans(labels: Sequence[int] | np.ndarray, vocab: Sequence[str]) -> list[Span]:
    """Return runs of equal labels of a "frames" target (T,) as spans; -1 belongs to none."""
    return [(start, stop, vocab[label]) for start, stop, label in _runs(labels) if label >= 0]


def _runs(numbers: Sequence[int] | np.ndarray) -> list[tuple[int, int, int]]:
    runs, start = [], 0
    for number, run in groupby(int(number) for number in numbers):
        stop = start + sum(1 for _ in run)
        runs.append((start, stop, number))
        start = stop
    return runs


def _unit_strips(units: Units, frames_per_unit: float) -> list[_Strip]:
    num_books = units.codes.shape[1]
    strips = []
    for book in range(min(num_books, _MAX_BOOKS)):
        cells = [
            ((round(start * frames_per_unit), round(stop * frames_per_unit), str(code)), code_colour(code))
            for start, stop, code in _runs(units.codes[:, book])
        ]
        strips.append(_Strip("units" if num_books == 1 else f"codebook {book + 1}", _UNITS_HEIGHT, cells))
    return strips


def _layout(num_frames: int, units: Units, frames_per_unit: float, strips: Sequence[_Strip]) -> _Layout:
    """Choose pixels so that a unit's number fits, then widen the frames until they fill equal rows."""
    pixels = _CELL / frames_per_unit
    if units.unit_of_time == "column":
        pixels = max(pixels, _LINE_ZOOM)
    num_units = ceil(num_frames / frames_per_unit)
    most = max(int(_ROW / (pixels * frames_per_unit)), 1)
    num_rows = min(ceil(num_units / most), _MAX_ROWS) or 1
    per_row = max(round(min(ceil(num_units / num_rows), most) * frames_per_unit), 1)
    pixels = min(_ROW / per_row, pixels * _STRETCH)
    axis = units.unit_of_time + "s"
    captions = [text_width(caption, SMALL) for caption in (axis, *(strip.caption for strip in strips))]
    return _Layout(
        strips=strips,
        axis=axis,
        start=units.start,
        step=units.step / frames_per_unit,
        pixels=pixels,
        per_row=per_row,
        drawn=min(num_frames, num_rows * per_row),
        left=_MARGIN + max(captions) + _CAPTION_GAP + _HALF_NUMBER,
    )


def _row(pixels: np.ndarray, height: int, first: int, stop: int, layout: _Layout) -> Image.Image:
    """Draw the frames [first, stop) with everything below them."""
    right = layout.x(stop, first)
    bottom = height + sum(_GAP + strip.height for strip in layout.strips) + _AXIS_HEIGHT
    canvas = Image.new("RGB", (right + _HALF_NUMBER, bottom), PAPER)
    size = (max(right - layout.left, 1), height)
    canvas.paste(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC), (layout.left, 0))
    top = height
    for strip in layout.strips:
        top += _GAP
        _caption(canvas, strip.caption, top + strip.height / 2, layout)
        for (begin, end, name), fill in strip.cells:
            shown = max(begin, first), min(end, stop)
            if shown[0] < shown[1]:
                box: Box = (layout.x(shown[0], first), top, layout.x(shown[1], first), top + strip.height)
                cell(canvas, box, name, fill)
        top += strip.height
    _axis(canvas, top, first, stop, layout)
    _caption(canvas, layout.axis, top + 13, layout)
    return canvas


def _axis(canvas: Image.Image, top: int, first: int, stop: int, layout: _Layout) -> None:
    """Draw a line with round numbers of the unit of time."""
    draw = ImageDraw.Draw(canvas)
    draw.line((layout.left, top, layout.x(stop, first), top), fill=FAINT)
    every = _round_up(_TICK_EVERY / layout.pixels * layout.step)
    for number in count(ceil((layout.start + first * layout.step) / every - 1e-9)):
        frame = (number * every - layout.start) / layout.step
        if frame > stop + 1e-9:
            return
        x = layout.x(frame, first)
        draw.line((x, top, x, top + 4), fill=FAINT)
        write(canvas, (x, top + 7), f"{number * every:.6g}", anchor="ma")


def _round_up(least: float) -> float:
    """Return the smallest of 1, 2, 5 times a power of ten that is not below ``least``."""
    power = 10.0 ** floor(log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * (1 - 1e-9))


def _caption(canvas: Image.Image, text: str, middle: float, layout: _Layout) -> None:
    write(canvas, (layout.left - _CAPTION_GAP - _HALF_NUMBER, middle), text, anchor="rm")


def _title(title: str, num_frames: int, units: Units, layout: _Layout) -> str:
    """Return the title with what the picture leaves out."""
    parts = [shorten(title, _TITLE, placeholder=" ...")]
    if layout.drawn < num_frames:
        shown, whole = layout.drawn * layout.step, num_frames * layout.step
        parts.append(f"(the first {shown:.3g} of {whole:.6g} {units.unit_of_time}s)")
    if units.codes.shape[1] > _MAX_BOOKS:
        parts.append(f"({_MAX_BOOKS} of {units.codes.shape[1]} codebooks)")
    return " ".join(part for part in parts if part)


def _stack(rows: Sequence[Image.Image], title: str) -> Image.Image:
    head = 2 * _MARGIN + TEXT if title else _MARGIN
    width = max([row.width for row in rows] + [text_width(title, TEXT) + 2 * _MARGIN])
    canvas = Image.new("RGB", (width, head + sum(row.height + _MARGIN for row in rows)), PAPER)
    write(canvas, (_MARGIN, _MARGIN), title, anchor="la", size=TEXT, colour=INK)
    top = head
    for row in rows:
        canvas.paste(row, (0, top))
        top += row.height + _MARGIN
    return canvas
