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
class Band:
    """An image with the units below it.

    Args:
        caption: What it is.
        image: (H, T) uint8, one column per frame.
        units: Of these frames; None draws none.
        frames_per_unit: Frames that one unit covers.
    """

    caption: str
    image: np.ndarray
    units: Units | None = None
    frames_per_unit: float = 1.0


@dataclass(frozen=True)
class _Shown:
    """An image (H, T, 3) in its colours; ``height`` in pixels, None in proportion."""

    caption: str
    height: int | None
    pixels: np.ndarray


@dataclass(frozen=True)
class _Strip:
    """A row of cells below an image."""

    caption: str
    height: int
    cells: list[tuple[Span, Colour]]


@dataclass(frozen=True)
class _Layout:
    """What stands where.

    Args:
        layers: What stands one under the other.
        axis: Name of the unit of time, in the plural.
        start: Time of the first frame.
        step: Time of one frame.
        pixels: Width of one frame.
        per_row: Frames in a row.
        drawn: Frames in all rows.
        left: Pixels before the first frame of a row.
    """

    layers: Sequence[_Shown | _Strip]
    axis: str
    start: float
    step: float
    pixels: float
    per_row: int
    drawn: int
    left: int

    def x(self, frame: float, first: int) -> int:
        return self.left + round((frame - first) * self.pixels)

    def height(self, layer: _Shown | _Strip) -> int:
        if isinstance(layer, _Shown) and layer.height is None:
            return max(round(len(layer.pixels) * self.pixels), 1)
        return layer.height or 0


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
    layers = _layers(Band("", image, units, frames_per_unit), is_sound=units.unit_of_time == "second")
    if labels:
        fills = [_LABEL_FILLS[number % 2] for number in range(len(labels))]
        layers.append(_Strip(labels_name, _LABELS_HEIGHT, list(zip(labels, fills, strict=True))))
    layout = _layout(image.shape[1], units, frames_per_unit, layers)
    return _drawn(layout, image.shape[1], units, title)


def bands(shown: Sequence[Band], *, title: str = "", most_rows: int = _MAX_ROWS) -> Image.Image:
    """Draw images of the same frames one under the other, as `picture` draws one; some of them have units."""
    with_units = [(band.frames_per_unit, band.units) for band in shown if band.units is not None]
    frames_per_unit, units = min(with_units, key=lambda item: item[0])
    is_sound = units.unit_of_time == "second"
    layers = [layer for band in shown for layer in _layers(band, is_sound=is_sound)]
    num_frames = shown[0].image.shape[1]
    return _drawn(_layout(num_frames, units, frames_per_unit, layers, most_rows), num_frames, units, title)


def _layers(band: Band, *, is_sound: bool) -> list[_Shown | _Strip]:
    coloured = sound_colours(band.image) if is_sound else np.stack([band.image] * 3, axis=2)
    image = _Shown(band.caption, _SOUND_HEIGHT if is_sound else None, coloured)
    return [image, *(_unit_strips(band.units, band.frames_per_unit) if band.units is not None else [])]


def _drawn(layout: _Layout, num_frames: int, units: Units, title: str) -> Image.Image:
    edges = range(0, layout.drawn, layout.per_row)
    rows = [_row(first, min(first + layout.per_row, layout.drawn), layout) for first in edges]
    return _stack(rows, _title(title, num_frames, units, layout))


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


def _layout(
    num_frames: int,
    units: Units,
    frames_per_unit: float,
    layers: Sequence[_Shown | _Strip],
    most_rows: int = _MAX_ROWS,
) -> _Layout:
    """Choose pixels so that a unit's number fits, then widen the frames until they fill equal rows."""
    pixels = _CELL / frames_per_unit
    if units.unit_of_time == "column":
        pixels = max(pixels, _LINE_ZOOM)
    num_units = ceil(num_frames / frames_per_unit)
    most = max(int(_ROW / (pixels * frames_per_unit)), 1)
    num_rows = min(ceil(num_units / most), most_rows) or 1
    per_row = max(round(min(ceil(num_units / num_rows), most) * frames_per_unit), 1)
    pixels = min(_ROW / per_row, pixels * _STRETCH)
    axis = units.unit_of_time + "s"
    captions = [text_width(caption, SMALL) for caption in (axis, *(layer.caption for layer in layers))]
    return _Layout(
        layers=layers,
        axis=axis,
        start=units.start,
        step=units.step / frames_per_unit,
        pixels=pixels,
        per_row=per_row,
        drawn=min(num_frames, num_rows * per_row),
        left=_MARGIN + max(captions) + _CAPTION_GAP + _HALF_NUMBER,
    )


def _row(first: int, stop: int, layout: _Layout) -> Image.Image:
    """Draw the frames [first, stop) of all layers."""
    right = layout.x(stop, first)
    bottom = sum(_GAP + layout.height(layer) for layer in layout.layers) - _GAP + _AXIS_HEIGHT
    canvas = Image.new("RGB", (right + _HALF_NUMBER, bottom), PAPER)
    top = 0
    for layer in layout.layers:
        height = layout.height(layer)
        _caption(canvas, layer.caption, top + height / 2, layout)
        if isinstance(layer, _Shown):
            size = (max(right - layout.left, 1), height)
            image = Image.fromarray(layer.pixels[:, first:stop]).resize(size, Image.Resampling.BICUBIC)
            canvas.paste(image, (layout.left, top))
        else:
            _cells(canvas, layer, (first, stop), top, layout)
        top += height + _GAP
    _axis(canvas, top - _GAP, first, stop, layout)
    _caption(canvas, layout.axis, top - _GAP + 13, layout)
    return canvas


def _cells(canvas: Image.Image, strip: _Strip, frames: tuple[int, int], top: int, layout: _Layout) -> None:
    first, last = frames
    for (begin, end, name), fill in strip.cells:
        start, stop = max(begin, first), min(end, last)
        if start < stop:
            box: Box = (layout.x(start, first), top, layout.x(stop, first), top + strip.height)
            cell(canvas, box, name, fill)


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
