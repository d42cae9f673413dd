"""Units as spans of time, and spans as units on a grid."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil
from typing import TYPE_CHECKING

import numpy as np

from unitdisc.errors import DataError
from unitdisc.repeats import run_starts
from unitdisc.units import Units

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from unitdisc.exporter import Told

Span = tuple[float, float, tuple[int, ...]]
"""Start, end, codes."""

_LONGEST = 10**8
"""Steps in one utterance; more of them, or NaN, is damage."""
TICKS = 10**6
"""Steps of a printed time in one second or column."""
_OFF = 0.1
"""Largest distance of an edge from the grid, in units: more of it is no rounding."""


@dataclass
class Spans:
    """The spans of one utterance.

    Args:
        where: File and line of the first.
        spans: In any order.
        bounds: Where the utterance begins and ends, where that is known.
    """

    where: str
    spans: list[Span] = field(default_factory=list)
    bounds: tuple[float, float] | None = None


def ticks(item: Units, *, deduplicate: bool) -> Iterator[tuple[int, int, tuple[int, ...]]]:
    """Yield (start, end, codes) per unit, or per run of equal ones, in millionths.

    Each edge is rounded once: a unit ends exactly where the next begins, and errors do not add up.
    """
    count = len(item.codes)
    edges = np.minimum(item.start + np.arange(count + 1) * item.step, item.end) * TICKS
    firsts = run_starts(item.codes) if deduplicate else np.arange(count)
    bounds = np.rint(edges[np.append(firsts, count)]).astype(np.int64).tolist()
    yield from zip(bounds, bounds[1:], map(tuple, item.codes[firsts].tolist()), strict=False)


def clock(tick: int) -> str:
    """Return a time with 6 decimals."""
    return f"{tick / TICKS:.6f}"


def on_grid(found: Mapping[str, Spans], told: Told, path: Path) -> Iterator[tuple[str, Units]]:
    """Yield ("file:line", units) of the spans by id. Raises `DataError` for what are no steps in a row."""
    step = told.step or _step(found, path)
    unit_of_time = told.unit_of_time or "second"
    for key, item in found.items():
        ordered = sorted(item.spans, key=lambda span: span[0])
        start, end = item.bounds or (ordered[0][0], ordered[-1][1])
        spelt = np.zeros((0, 1), np.int64)
        if ordered:
            codes, counts = _counted(ordered, step, f"{item.where}: {key}")
            spelt, start = np.repeat(codes, counts, axis=0), ordered[0][0]
        last = start + len(spelt) * step
        end = last if abs(end - last) <= 1 / TICKS else end  # no printed time tells them apart
        yield item.where, Units(key, spelt, start, step, end, unit_of_time)


def _counted(spans: list[Span], step: float, where: str) -> tuple[np.ndarray, list[int]]:
    """Return the codes (R, Q) of spans, and how many steps each lasts."""
    start, position, rough = spans[0][0], 0, 0.0
    counts: list[int] = []
    for number, (left, right, codes) in enumerate(spans):
        off = abs((left - start) / step - position)
        if not off <= _OFF:  # NaN is not
            raise DataError(
                f"{where}: unit {number + 1} begins at {left:.6g}, which is not {position} steps of {step:.6g} after "
                f"{start:.6g}; units follow one another in whole steps: give the right --step"
            )
        if len(codes) != len(spans[0][2]):
            raise DataError(f"{where}: unit {number + 1} has {len(codes)} codes, not {len(spans[0][2])}")
        rough = max(rough, off)
        edge = (right - start) / step
        if not edge < _LONGEST:
            raise DataError(
                f"{where}: unit {number + 1} ends at {right:.6g}, which cannot be; steps are {step:.6g}"
            )
        # The end of a recording may cut the last unit; what is no more than rounding is no further unit.
        is_last = number == len(spans) - 1
        count = ceil(edge - max(2 * rough, 2 / TICKS / step)) if is_last else round(edge)
        counts.append(max(1, count - position))
        position += counts[-1]
    return np.array([codes for _, _, codes in spans], np.int64), counts


def _step(found: Mapping[str, Spans], path: Path) -> float:
    """Return how long all units last, of which the last of each utterance may be cut."""
    lengths = [right - left for item in found.values() for left, right, _ in sorted(item.spans)[:-1]]
    if not lengths:
        lengths = [
            max((right - left for item in found.values() for left, right, _ in item.spans), default=1.0)
        ]
    shortest, longest = min(lengths), max(lengths)
    if longest - shortest > 2.5 / TICKS or shortest <= 0:
        raise DataError(
            f"{path}: units last {shortest:.6g} to {longest:.6g}, so repeats may have been merged; say how long a "
            "single one lasts with --step"
        )
    mean = sum(lengths) / len(lengths)
    printed = round(mean * TICKS) / TICKS
    longest_item = max((len(item.spans) for item in found.values()), default=0)
    return printed if abs(printed - mean) * longest_item <= 1 / TICKS else mean
