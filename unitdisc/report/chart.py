"""Charts as SVG that takes its colours from the page."""

from __future__ import annotations

from html import escape
from math import ceil, floor, isfinite, log10
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

Point = tuple[float, float]

NAMES = ("this run", "the other run")
"""Whose curves they are where nothing else is said: the solid one, and the dashed one beside it."""

_WIDTH, _HEIGHT = 520, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 14, 12, 40
_MOST_POINTS = 400


class Axes:
    """Places of values in a chart, with the SVG of its frame.

    Args:
        x: Smallest and largest value to the right.
        y: Smallest and largest value upwards.
    """

    def __init__(self, x: Point, y: Point) -> None:
        self.x_range = x if x[0] < x[1] else (x[0] - 0.5, x[0] + 0.5)
        self.y_ticks = ticks(*(y if y[0] < y[1] else (y[0] - 0.5, y[0] + 0.5)))

    def x(self, value: float) -> float:
        """Return the place of ``value`` to the right."""
        low, high = self.x_range
        return round(_LEFT + (value - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT), 1)

    def y(self, value: float) -> float:
        """Return the place of ``value`` downwards."""
        low, high = self.y_ticks[0], self.y_ticks[-1]
        return round(_HEIGHT - _BOTTOM - (value - low) / (high - low) * (_HEIGHT - _BOTTOM - _TOP), 1)

    def frame(self, x_name: str, y_name: str) -> str:
        """Return grid lines, numbers and names of the axes."""
        parts = []
        for tick in self.y_ticks:
            y = self.y(tick)
            parts.append(f'<path class="grid" d="M{_LEFT} {y}H{_WIDTH - _RIGHT}"/>')
            parts.append(f'<text x="{_LEFT - 7}" y="{y + 4}" text-anchor="end">{tick:g}</text>')
        for tick in ticks(*self.x_range):
            if self.x_range[0] <= tick <= self.x_range[1]:
                x = self.x(tick)
                parts.append(
                    f'<text x="{x}" y="{_HEIGHT - _BOTTOM + 16}" text-anchor="middle">{tick:g}</text>'
                )
        middle = (_LEFT + _WIDTH - _RIGHT) / 2
        parts.append(f'<text x="{middle}" y="{_HEIGHT - 5}" text-anchor="middle">{escape(x_name)}</text>')
        up = (_TOP + _HEIGHT - _BOTTOM) / 2
        turn = f'transform="rotate(-90 13 {up})"'
        parts.append(f'<text x="13" y="{up}" text-anchor="middle" {turn}>{escape(y_name)}</text>')
        return "".join(parts)


def line_chart(
    points: Sequence[Point],
    *,
    name: str,
    x_name: str,
    marks: Sequence[float] = (),
    beside: Sequence[Point] = (),
    names: tuple[str, str] = NAMES,
) -> str:
    """Return the SVG of a curve, and of another one ``beside``; "" where neither has two finite points.

    Args:
        points: Of the curve, from left to right.
        name: What is shown upwards.
        x_name: What is shown to the right.
        marks: Where upright lines are.
        beside: Points of the dashed curve.
        names: Whose curves they are.
    """
    curves = [thinned([point for point in curve if isfinite(point[1])]) for curve in (points, beside)]
    curves = [curve if len(curve) > 1 else [] for curve in curves]
    xs, ys = ([point[axis] for curve in curves for point in curve] for axis in (0, 1))
    if not xs:
        return ""
    axes = Axes((min(xs), max(xs)), (min(ys), max(ys)))
    told = [f"from {curve[0][1]:.4g} to {curve[-1][1]:.4g}" if curve else "no values" for curve in curves]
    says = (
        told[0]
        if not beside
        else "; ".join(f"{whose} {text}" for whose, text in zip(names, told, strict=True))
    )
    low, high = axes.x_range
    places = dict.fromkeys(axes.x(mark) for mark in marks if low <= mark <= high)
    lines = "".join(f"M{x} {_TOP}V{_HEIGHT - _BOTTOM}" for x in places)
    marked = f'<path class="mark" d="{lines}"/>' if lines else ""
    drawn = "".join(
        f'<path class="{kind}" d="M{"L".join(f"{axes.x(x)} {axes.y(y)}" for x, y in curve)}"/>'
        for kind, curve in zip(("line", "line beside"), curves, strict=True)
        if curve
    )
    return _svg(axes.frame(x_name, name) + marked + drawn, f"{name} over {x_name}: {says}")


def rank_chart(counts: Sequence[int], *, beside: Sequence[int] = (), names: tuple[str, str] = NAMES) -> str:
    """Return the SVG of how often codes occur, the most frequent first; "" where nothing was counted.

    Args:
        counts: Of each code.
        beside: Of each code of another run, whose curve is dashed.
        names: Whose counts they are.
    """
    if sum(counts) == 0:
        return ""
    shares, others = _shares(counts), _shares(beside)
    axes = Axes((0, max(len(shares), len(others))), (0, max([shares[0], *others[:1]])))
    body = axes.frame("codes, the most frequent first", "% of all units")
    body += f'<path class="area" d="M{axes.x(0)} {axes.y(0)}{_stairs(shares, axes)}V{axes.y(0)}Z"/>'
    says = _used(shares)
    if others:
        body += f'<path class="line beside" d="M{axes.x(0)} {axes.y(others[0])}{_stairs(others, axes)}V{axes.y(0)}"/>'
        says = f"{names[0]}: {says}; {names[1]}: {_used(others)}"
    return _svg(body, says)


def _shares(counts: Sequence[int]) -> list[float]:
    """Return percent of all, the largest first; [] where nothing was counted."""
    total = sum(counts)
    return sorted((100 * count / total for count in counts), reverse=True) if total else []


def _stairs(shares: Sequence[float], axes: Axes) -> str:
    step = ceil(len(shares) / _MOST_POINTS)
    groups = [(first, shares[first : first + step]) for first in range(0, len(shares), step)]
    return "".join(
        f"V{axes.y(sum(group) / len(group))}H{axes.x(first + len(group))}" for first, group in groups
    )


def _used(shares: Sequence[float]) -> str:
    used = sum(share > 0 for share in shares)
    return (
        f"{used} of {len(shares)} codes are used; the most frequent one takes {shares[0]:.2g} % of all units"
    )


def _svg(body: str, says: str) -> str:
    says = escape(says)
    opening = f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{says}">'
    return f"{opening}<title>{says}</title>{body}</svg>"


def thinned(points: Sequence[Point]) -> list[Point]:
    """Return at most 400 points, each the mean of its neighbours; the first and last steps stay in reach."""
    step = ceil(len(points) / _MOST_POINTS) or 1
    groups = [points[first : first + step] for first in range(0, len(points), step)]
    return [
        (sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group)) for group in groups
    ]


def ticks(low: float, high: float) -> list[float]:
    """Return 3 to 8 round numbers in equal steps that enclose [low, high]."""
    rough = (high - low) / 4
    power = 10.0 ** floor(log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first, last = floor(low / step + 1e-9), ceil(high / step - 1e-9)
    return [float(f"{number * step:.12g}") for number in range(first, last + 1)]
