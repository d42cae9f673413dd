"""Units beside their labels as metrics see them, frame by frame."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Protocol

import numpy as np

from unitdisc.errors import RecipeError
from unitdisc.metric import Evaluated
from unitdisc.scored.spans import NANOSECONDS, Spans, nanoseconds
from unitdisc.shuffle import shuffled_codes

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from unitdisc.metric import Need
    from unitdisc.scored.labelled import Labels
    from unitdisc.units import Units

_USUAL = Fraction(1, 100)
"""Seconds of a frame of labels, as in most corpora."""
_UNLABELLED = Spans(np.zeros((0, 2), np.int64), np.zeros(0, np.int64), 1)


class Items(Protocol):
    """The utterances of a split, which can be gone through again and again."""

    def real(self, needs: Collection[Need]) -> Iterator[Evaluated]:
        """Yield each as it is, with what metrics need."""

    def shuffled(self, needs: Collection[Need], rng: np.random.Generator) -> Iterator[Evaluated]:
        """Yield each after the units have been shuffled over all."""

    def bare(self) -> Iterator[Evaluated]:
        """Yield each as it is, with units, targets and fields alone; after `real`."""

    def codes(self) -> list[np.ndarray]:
        """Return the units (S, Q) of each, in the same order; after `real`."""


@dataclass(frozen=True)
class Grid:
    """The frames at which units and labels meet.

    Args:
        frame: Length of a frame, in seconds or columns.
        stride: Frames of a unit.
    """

    frame: Fraction
    stride: int

    @classmethod
    def of(cls, step: Fraction, unit_of_time: str, frame: Fraction | None) -> Grid | None:
        """Return the grid for units of ``step``; None when a unit is no whole number of the asked frames.

        Where none are asked for, frames last 10 ms, or 1 column; where units are no multiple of that, as long as they.
        """
        usual = _USUAL if unit_of_time == "second" else Fraction(1)
        chosen = frame or (usual if (step / usual).denominator == 1 else step)
        stride = step / chosen
        return cls(chosen, int(stride)) if stride.denominator == 1 else None

    def num_frames(self, length: Fraction, num_units: int) -> int:
        """Return T of something so long: the frames whose middle lies in it, as far as its units reach.

        The last unit covers a frame at least, and none goes on where there is no unit.
        """
        inside = int(length / self.frame + Fraction(1, 2))
        least = max(0, (num_units - 1) * self.stride + 1) if num_units else 0
        return min(max(inside, least), num_units * self.stride)


class UnitItems:
    """The units of a file beside labels.

    Args:
        units: What is scored.
        num_codes: K.
        grid: Frames.
        labels: Of the same recordings or lines; None where there are none.
        fields: By id, what is known of it in single values.
    """

    def __init__(
        self,
        units: Sequence[Units],
        num_codes: int,
        grid: Grid,
        labels: Labels | None,
        fields: Mapping[str, Mapping[str, str]],
    ) -> None:
        self.units, self.num_codes, self.grid = units, num_codes, grid
        self.labels, self.fields = labels, fields

    def real(self, needs: Collection[Need]) -> Iterator[Evaluated]:
        """Yield each. Raises `RecipeError` for a metric that needs more than units and labels."""
        _refuse(needs)
        return self.bare()

    def shuffled(self, needs: Collection[Need], rng: np.random.Generator) -> Iterator[Evaluated]:
        """Yield each after the units have been shuffled over all; the same errors."""
        _refuse(needs)
        codes = shuffled_codes(self.codes(), rng)
        for item, shuffled in zip(self.bare(), codes, strict=True):
            yield replace(item, codes=shuffled)

    def bare(self) -> Iterator[Evaluated]:
        """Yield each."""
        return map(self._item, self.units)

    def codes(self) -> list[np.ndarray]:
        """Return the units (S, Q) of each."""
        return [units.codes for units in self.units]

    def _item(self, units: Units) -> Evaluated:
        start = exact(units.start)
        labels, targets, end, length = self.labels, {}, exact(units.end), None
        if labels is not None and units.key in labels.lengths:
            end = labels.lengths[units.key]
            length = float(end)
        count = self.grid.num_frames(end - start, len(units.codes))
        if labels is not None:
            targets = {
                name: table.spans.get(units.key, _UNLABELLED).frames(count, self.grid.frame, start)
                for name, table in labels.tables.items()
            }
        return Evaluated(
            key=units.key,
            codes=units.codes,
            num_codes=self.num_codes,
            num_frames=count,
            stride=self.grid.stride,
            targets=targets,
            fields=self.fields[units.key],
            frame_rate=float(1 / self.grid.frame),
            length=length,
        )


def _refuse(needs: Collection[Need]) -> None:
    if needs:
        raise RecipeError(
            f"a metric needs {' and '.join(sorted(needs))}, and unit files hold units alone; choose another metric, "
            "or one that looks at units (on=units), or score the run by its own labels"
        )


def exact(time: float) -> Fraction:
    """Return a time as the decimal number that it stands for."""
    return Fraction(nanoseconds(time), NANOSECONDS)


def exact_step(step: float) -> Fraction:
    """Return the length of a unit as a fraction: 0.011609977 s is 256 samples at 22,050 Hz."""
    near = Fraction(step).limit_denominator(100_000)
    return near if abs(float(near) - step) < 1e-9 * step else exact(step)
