"""An axis of a panel: where a value stands, and which numbers to write."""

from __future__ import annotations

from itertools import pairwise
from math import ceil, floor, log10

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
        room = min(abs(second - first) for (first, _), (second, _) in pairwise(texts))
        every = ceil((max(text_width(text, SMALL) for _, text in texts) + _APART) / room)
        return texts[::every]


class LogAxis(Axis):
    """Places of the logarithms of values above 0, the largest at least 10 times the smallest.

    Args:
        low: Smallest value.
        high: Largest value.
        start: Place of ``low``.
        stop: Place of ``high``.
    """

    def __init__(self, low: float, high: float, *, start: float, stop: float) -> None:
        super().__init__(log10(low), log10(high), start=start, stop=stop)
        decades = _decades(low, high, (1,))
        self.numbers = decades if len(decades) > 2 else _decades(low, high, (1, 2, 5))

    def place(self, value: float) -> float:
        """Return the place of ``value``."""
        return super().place(log10(value))


def _decades(low: float, high: float, factors: tuple[int, ...]) -> list[float]:
    """Return ``factors`` times the powers of ten, those in [low, high]."""
    powers = range(floor(log10(low)), ceil(log10(high)) + 1)
    numbers = [float(f"{factor}e{power}") for power in powers for factor in factors]
    return [number for number in numbers if low <= number <= high]


def _inside(low: float, high: float) -> list[float]:
    """Return at least three round numbers in equal steps, all in [low, high]."""
    numbers = ticks(low, high)
    inside = [value for value in numbers if low <= value <= high]
    if len(inside) >= _FEWEST:
        return inside
    half = (numbers[1] - numbers[0]) / 2
    finer = [float(f"{numbers[0] + half * index:.12g}") for index in range(2 * len(numbers))]
    return [value for value in finer if low <= value <= high]
