"""An axis of a panel: where a value stands, and which numbers to write."""

from __future__ import annotations

from math import ceil

from unitdisc.report.canvas import SMALL, text_width
from unitdisc.report.chart import ticks

_APART = 12
_FEWEST = 4


class Axis:
    """Places of values along some pixels.

    Args:
        low: Smallest value.
        high: Largest value.
        start: Place of ``low``.
        stop: Place of ``high``.
    """

    def __init__(self, low: float, high: float, *, start: float, stop: float) -> None:
        if low >= high:
            half = abs(low) * 0.05 or 0.5
            low, high = low - half, low + half
        self.low, self.high = low, high
        self.numbers = _inside(low, high)
        self.start, self.stop = start, stop

    def place(self, value: float) -> float:
        """Return the place of ``value``."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.stop - self.start)

    def labels(self) -> list[tuple[float, str]]:
        """Return (place, number) of as many numbers as stand apart when written from left to right."""
        texts = [(self.place(value), f"{value:g}") for value in self.numbers]
        if len(texts) < 2:
            return texts
        room = abs(texts[1][0] - texts[0][0])
        every = ceil((max(text_width(text, SMALL) for _, text in texts) + _APART) / room)
        return texts[::every]


def _inside(low: float, high: float) -> list[float]:
    """Return at least three round numbers in equal steps, all in [low, high]."""
    numbers = ticks(low, high)
    inside = [value for value in numbers if low <= value <= high]
    if len(inside) >= _FEWEST:
        return inside
    half = (numbers[1] - numbers[0]) / 2
    finer = [float(f"{numbers[0] + half * index:.12g}") for index in range(2 * len(numbers))]
    return [value for value in finer if low <= value <= high]
