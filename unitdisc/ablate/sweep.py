"""Scores over a number in which recipes differ: every seed, the mean, its interval (paper A, Fig. 1a)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from math import isfinite
from statistics import fmean
from typing import TYPE_CHECKING

from PIL import Image

from unitdisc.ablate.axis import Axis, LogAxis
from unitdisc.ablate.ink import Ink, colour
from unitdisc.ablate.strips import limits
from unitdisc.errors import RecipeError
from unitdisc.report.canvas import FAINT, INK, PAPER, SMALL, TEXT, text_width, write

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from unitdisc.ablate.comparison import Comparison, Line
    from unitdisc.ablate.outcome import Outcome
    from unitdisc.recipe import Recipe
    from unitdisc.report.colours import Colour

_HEIGHT, _TOP, _BOTTOM, _GAP, _PER_ROW = 300, 26, 40, 28, 2
_SIDE = 16  # from the frame to the first and the last place
_LOG = 10
"""Where the largest number is so many times the smallest, the axis is logarithmic."""
_GRID: Colour = (228, 228, 234)


def check(name: str, recipes: Sequence[Recipe]) -> None:
    """Raise `RecipeError` where ``name`` is in some recipes only; what is in none may be a number of the log."""
    found = [_number(recipe, name) is not None for recipe in recipes]
    if any(found) and not all(found):
        lacking = recipes[found.index(False)].name
        raise RecipeError(f"--over: {name} is no number in {lacking}; give recipes that all have it")


def places(comparison: Comparison, name: str) -> dict[str, float]:
    """Return by variant the number that its recipe has at ``name``.

    Where recipes have none, it is the first value in the log, the mean over seeds; variants without are left out.
    """
    found = {}
    for variant in comparison.variants:
        outcomes = comparison.of(variant)
        numbers = [number] if (number := _number(outcomes[0].cell.recipe, name)) is not None else []
        if not numbers:
            logged = (
                next((line[name] for line in outcome.log if name in line), None) for outcome in outcomes
            )
            numbers = [float(value) for value in logged if value is not None and isfinite(value)]
        if numbers:
            found[variant] = fmean(numbers)
    return found


def series(comparison: Comparison) -> list[str]:
    """Return the names of the recipes; variants of the same one are joined by a line."""
    return list(dict.fromkeys(_series(comparison).values()))


def rows(comparison: Comparison, name: str, width: int) -> list[Image.Image]:
    """Return rows of panels, one panel per score; none where fewer than two variants have the number."""
    where = places(comparison, name)
    if len(set(where.values())) < 2:
        return []
    metrics = [
        [line for line in lines if line.variant in where]
        for _, lines in groupby(comparison.lines, key=lambda line: line.metric)
    ]
    panel = (width + _GAP) // _PER_ROW - _GAP
    drawn = [shown for lines in metrics if (shown := _panel(comparison, lines, name, where, panel))]
    shown_rows = []
    for first in range(0, len(drawn), _PER_ROW):
        row = Image.new("RGB", (width, _TOP + _HEIGHT + _BOTTOM), PAPER)
        for column, picture in enumerate(drawn[first : first + _PER_ROW]):
            row.paste(picture, (column * (panel + _GAP), 0))
        shown_rows.append(row)
    return shown_rows


def _number(recipe: Recipe, name: str) -> float | None:
    value: object = recipe.resolved()
    for key in name.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _series(comparison: Comparison) -> dict[str, str]:
    return {variant: comparison.of(variant)[0].cell.recipe.name for variant in comparison.variants}


@dataclass(frozen=True)
class _Frame:
    """Axes of a panel, and by variant its number."""

    right: Axis
    up: Axis
    where: Mapping[str, float]

    def at(self, line: Line, value: float) -> tuple[float, float]:
        """Return the place of a value of a variant."""
        return self.right.place(self.where[line.variant]), self.up.place(value)


def _panel(
    comparison: Comparison, lines: Sequence[Line], name: str, where: Mapping[str, float], width: int
) -> Image.Image | None:
    ends = limits(lines)
    if ends is None:
        return None
    up = Axis(*ends, start=_HEIGHT - 8, stop=8)
    left = max(text_width(text, SMALL) for _, text in up.labels()) + 10
    low, high = min(where.values()), max(where.values())
    kind = LogAxis if 0 < low * _LOG <= high else Axis
    right = kind(low, high, start=_SIDE, stop=width - left - _SIDE)
    panel = Image.new("RGB", (width, _TOP + _HEIGHT + _BOTTOM), PAPER)
    better = f", {lines[0].better} is better" if lines[0].better else ""
    write(panel, (0, 15), lines[0].metric, anchor="ls", size=TEXT, colour=INK)
    write(panel, (text_width(lines[0].metric, TEXT), 15), better, anchor="ls", colour=FAINT)
    panel.paste(_drawn(comparison, lines, _Frame(right, up, where), width - left), (left, _TOP))
    for value in up.numbers:
        write(panel, (left - 6, _TOP + up.place(value)), f"{value:g}", anchor="rm")
    for place, text in right.labels():
        write(panel, (left + place, _TOP + _HEIGHT + 4), text, anchor="mt")
    write(panel, (left + (width - left) / 2, _TOP + _HEIGHT + 22), name, anchor="mt")
    return panel


def _drawn(comparison: Comparison, lines: Sequence[Line], frame: _Frame, width: int) -> Image.Image:
    ink = Ink(width, _HEIGHT)
    for value in frame.up.numbers:
        ink.line([(0, frame.up.place(value)), (width, frame.up.place(value))], _GRID)
    recipes = _series(comparison)
    for number, recipe in enumerate(series(comparison)):
        own = [line for line in lines if recipes[line.variant] == recipe]
        _draw_means(ink, sorted(own, key=lambda line: frame.where[line.variant]), frame, number)
        for line in own:
            _draw_seeds(ink, line, comparison.of(line.variant), frame, number)
    return ink.shown()


def _draw_means(ink: Ink, lines: Sequence[Line], frame: _Frame, number: int) -> None:
    known = [(line, line.summary) for line in lines if line.summary and isfinite(line.summary.mean)]
    if len(known) > 1:
        ink.line([frame.at(line, summary.mean) for line, summary in known], colour(number), 1.8)
    for line, summary in known:
        if summary.interval:
            ink.line([frame.at(line, end) for end in summary.interval], colour(number), 1.4)


def _draw_seeds(ink: Ink, line: Line, outcomes: Sequence[Outcome], frame: _Frame, number: int) -> None:
    for outcome in outcomes:
        value = line.values.get(outcome.cell.seed)
        if value is not None and isfinite(value):
            ink.mark(frame.at(line, value), number, radius=3.6, is_hollow=outcome.is_collapsed)
