"""Curves of training: the mean over seeds of a logged number, with all seeds inside the band (paper A, Fig. 2)."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING

from PIL import Image

from unitdisc.ablate.axis import Axis
from unitdisc.ablate.ink import Ink, colour
from unitdisc.report.canvas import INK, PAPER, SMALL, TEXT, text_width, write
from unitdisc.report.chart import thinned

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unitdisc.ablate.comparison import Comparison
    from unitdisc.ablate.outcome import Outcome
    from unitdisc.report.colours import Colour

_HEIGHT, _TOP, _BOTTOM, _GAP, _PER_ROW = 300, 26, 40, 28, 2
_RIGHT = 20  # half of the last number below
_MARKS = 6
_SCORE, _FIRST = "score.", "score.per"
_ALWAYS = ("perplexity", "loss")
_SETTLED = 0.1
"""Share of the steps before which a number may leave the frame; a first loss would flatten all that follows."""
_GRID: Colour = (228, 228, 234)


@dataclass(frozen=True)
class Curve:
    """A number over the steps, for the seeds that have it there.

    Args:
        number: Which variant.
        mean: (step, mean over seeds).
        low: (step, smallest).
        high: (step, largest).
    """

    number: int
    mean: list[tuple[float, float]]
    low: list[tuple[float, float]]
    high: list[tuple[float, float]]


def rows(comparison: Comparison, names: Sequence[str], width: int) -> list[Image.Image]:
    """Return rows of panels, one panel per name that a run logged."""
    drawn = []
    for name in names:
        found = [
            _curve(number, comparison.of(variant), name) for number, variant in enumerate(comparison.variants)
        ]
        if curves := [curve for curve in found if len(curve.mean) > 1]:
            drawn.append((name, curves))
    panel = (width + _GAP) // _PER_ROW - _GAP
    shown = []
    for first in range(0, len(drawn), _PER_ROW):
        row = Image.new("RGB", (width, _TOP + _HEIGHT + _BOTTOM), PAPER)
        for column, (name, curves) in enumerate(drawn[first : first + _PER_ROW]):
            row.paste(_panel(name, curves, panel), (column * (panel + _GAP), 0))
        shown.append(row)
    return shown


def chosen(outcomes: Sequence[Outcome], metrics: Sequence[str]) -> list[str]:
    """Return what is drawn unless something is asked for: scores in training, PER first, then the usual two.

    Args:
        outcomes: Whose logs there are.
        metrics: Scores that are shown; () shows all.
    """
    scores = [name for name in logged(outcomes) if name.startswith(_SCORE)]
    shown = [name for name in scores if not metrics or name.removeprefix(_SCORE) in metrics]
    return [*sorted(shown, key=lambda name: (name != _FIRST, name)), *_ALWAYS]


def logged(outcomes: Sequence[Outcome]) -> list[str]:
    """Return the names of what the runs logged, for the message about one that they did not."""
    names = {name for outcome in outcomes for line in outcome.log for name in line}
    return sorted(names - {"step", "epoch"})


def _curve(number: int, outcomes: Sequence[Outcome], name: str) -> Curve:
    values: dict[float, list[float]] = {}
    for outcome in outcomes:
        for line in outcome.log:
            if isinstance(line.get(name), int | float) and isfinite(line[name]):
                values.setdefault(float(line["step"]), []).append(float(line[name]))
    steps = sorted(values)
    return Curve(
        number,
        thinned([(step, sum(values[step]) / len(values[step])) for step in steps]),
        thinned([(step, min(values[step])) for step in steps]),
        thinned([(step, max(values[step])) for step in steps]),
    )


def _panel(name: str, curves: Sequence[Curve], width: int) -> Image.Image:
    last = max(curve.mean[-1][0] for curve in curves)
    settled = [
        point for curve in curves for point in (*curve.low, *curve.high) if point[0] >= _SETTLED * last
    ]
    values = [value for _, value in settled]
    up = Axis(min(values), max(values), start=_HEIGHT - 8, stop=8)
    left = max(text_width(text, SMALL) for _, text in up.labels()) + 10
    first = min(curve.mean[0][0] for curve in curves)
    right = Axis(first, last, start=5, stop=width - left - _RIGHT)
    panel = Image.new("RGB", (width, _TOP + _HEIGHT + _BOTTOM), PAPER)
    write(panel, (0, 15), f"{name} in training", anchor="ls", size=TEXT, colour=INK)
    panel.paste(_drawn(curves, right, up, width - left), (left, _TOP))
    for value in up.numbers:
        write(panel, (left - 6, _TOP + up.place(value)), f"{value:g}", anchor="rm")
    for place, text in right.labels():
        write(panel, (left + place, _TOP + _HEIGHT + 4), text, anchor="mt")
    write(panel, (left + (width - left) / 2, _TOP + _HEIGHT + 22), "step", anchor="mt")
    return panel


def _drawn(curves: Sequence[Curve], right: Axis, up: Axis, width: int) -> Image.Image:
    def places(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
        return [(right.place(x), up.place(y)) for x, y in points]

    ink = Ink(width, _HEIGHT)
    for value in up.numbers:
        ink.line([(0, up.place(value)), (width, up.place(value))], _GRID)
    for curve in curves:
        ink.band(places(curve.low), places(curve.high), colour(curve.number))
    for curve in curves:
        line = places(curve.mean)
        ink.line(line, colour(curve.number), 1.8)
        # Marks of different curves stand at different steps, so that none hides another.
        offset = (curve.number % len(curves) + 0.5) / len(curves)
        for mark in range(_MARKS):
            ink.mark(line[int((mark + offset) / _MARKS * len(line))], curve.number, radius=3.6)
    return ink.shown()
