"""A panel per score: a row per variant, a mark per seed, the mean with its interval."""

from __future__ import annotations

from itertools import groupby
from math import isfinite
from typing import TYPE_CHECKING

from PIL import Image

from unitdisc.ablate.axis import Axis
from unitdisc.ablate.ink import Ink, colour
from unitdisc.ablate.table import failed_and_collapsed
from unitdisc.report.canvas import FAINT, INK, PAPER, SMALL, TEXT, text_width, write

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unitdisc.ablate.comparison import Comparison, Line
    from unitdisc.ablate.outcome import Outcome
    from unitdisc.report.colours import Colour

_ROW, _TOP, _BOTTOM, _SIDE, _GAP = 36, 24, 22, 14, 22
_LEAST_WIDTH, _MOST_PANELS, _MOST_LABEL = 240, 4, 330
_GRID: Colour = (228, 228, 234)
_SPREAD = 6
_BEYOND = 0.75
"""Intervals of few seeds are wide; the axis follows them this far, in spans of the marks, and cuts the rest."""


def rows(comparison: Comparison, width: int) -> list[Image.Image]:
    """Return rows of panels, each beside the names of the variants."""
    metrics = [list(lines) for _, lines in groupby(comparison.lines, key=lambda line: line.metric)]
    if not metrics:
        return []
    notes = [failed_and_collapsed(comparison.of(variant)) for variant in comparison.variants]
    names = [_short(variant) for variant in comparison.variants]
    label = max(text_width(text, SMALL) for text in [*names, *notes]) + 16
    fitting = max(1, (width - label + _GAP) // (_LEAST_WIDTH + _GAP))
    per_row = min(fitting, _MOST_PANELS, len(metrics))
    panel = (width - label + _GAP) // per_row - _GAP
    shown = []
    for first in range(0, len(metrics), per_row):
        row = Image.new("RGB", (width, _TOP + _ROW * len(names) + _BOTTOM), PAPER)
        _write_names(row, names, notes, label - 16)
        for column, lines in enumerate(metrics[first : first + per_row]):
            row.paste(_panel(comparison, lines, panel), (label + column * (panel + _GAP), 0))
        shown.append(row)
    return shown


def _short(name: str) -> str:
    """Return the name, its middle left out where it is too wide."""
    if text_width(name, SMALL) <= _MOST_LABEL:
        return name
    kept = next(
        size
        for size in range(len(name) // 2, 0, -1)
        if text_width(f"{name[:size]}...{name[-size:]}", SMALL) <= _MOST_LABEL
    )
    return f"{name[:kept]}...{name[-kept:]}"


def _write_names(row: Image.Image, names: Sequence[str], notes: Sequence[str], right: int) -> None:
    for number, (name, note) in enumerate(zip(names, notes, strict=True)):
        middle = _TOP + _ROW * (number + 0.5)
        write(row, (right, middle - (8 if note else 0)), name, anchor="rm", colour=INK)
        if note:
            write(row, (right, middle + 8), note, anchor="rm", colour=(180, 40, 20))


def _panel(comparison: Comparison, lines: Sequence[Line], width: int) -> Image.Image:
    axis = _axis(lines, width)
    height = _ROW * len(lines)
    panel = Image.new("RGB", (width, _TOP + height + _BOTTOM), PAPER)
    better = f", {lines[0].better} is better" if lines[0].better else ""
    write(panel, (0, 15), lines[0].metric, anchor="ls", size=TEXT, colour=INK)
    write(panel, (text_width(lines[0].metric, TEXT), 15), better, anchor="ls", colour=FAINT)
    if axis is None:
        write(panel, (0, _TOP + height / 2), "no run has this score", anchor="lm", colour=FAINT)
        return panel
    ink = Ink(width, height)
    for value in axis.numbers:
        ink.line([(axis.place(value), 0), (axis.place(value), height)], _GRID)
    base = next(line for line in lines if line.variant == comparison.baseline).summary
    if base and isfinite(base.mean) and len(lines) > 1:
        ink.dashes(axis.place(base.mean), FAINT)
    for number, line in enumerate(lines):
        _draw_row(ink, axis, number, line, comparison.of(line.variant))
    panel.paste(ink.shown(), (0, _TOP))
    for place, text in axis.labels():
        write(panel, (place, _TOP + height + 5), text, anchor="mt")
    return panel


def _axis(lines: Sequence[Line], width: int) -> Axis | None:
    ends = limits(lines)
    return None if ends is None else Axis(*ends, start=_SIDE, stop=width - _SIDE)


def limits(lines: Sequence[Line]) -> tuple[float, float] | None:
    """Return where an axis ends for every mark, and for intervals as far as they leave room for the marks."""
    values = [value for line in lines for value in line.values.values() if isfinite(value)]
    if not values:
        return None
    low, high = min(values), max(values)
    intervals = [line.summary.interval for line in lines if line.summary and line.summary.interval]
    beyond = (high - low) * _BEYOND
    start = max(min((interval[0] for interval in intervals), default=low), low - beyond)
    end = min(max((interval[1] for interval in intervals), default=high), high + beyond)
    return min(low, start), max(high, end)


def _draw_row(ink: Ink, axis: Axis, number: int, line: Line, outcomes: Sequence[Outcome]) -> None:
    middle, tint = _ROW * (number + 0.5), colour(number)
    if line.summary and isfinite(line.summary.mean):
        if line.summary.interval:
            low, high = map(axis.place, line.summary.interval)
            ink.line([(low, middle), (high, middle)], tint, 1.4)
        mean = axis.place(line.summary.mean)
        ink.line([(mean, middle - 12), (mean, middle + 12)], tint, 2.4)
    for index, outcome in enumerate(outcomes):
        value = line.values.get(outcome.cell.seed)
        if value is not None and isfinite(value):
            # Seeds stand one above the other, so that equal scores stay apart.
            down = 0.0 if len(outcomes) == 1 else _SPREAD * (2 * index / (len(outcomes) - 1) - 1)
            ink.mark((axis.place(value), middle + down), number, is_hollow=outcome.is_collapsed)
