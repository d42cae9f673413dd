"""What a report shows; plain values, so that drawing it needs neither a model nor the data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Score:
    """A row of the table of scores.

    Args:
        name: What is measured.
        value: The run's score.
        chance: The same score from shuffled units; None where there is none.
        detail: What the number means.
        better: "higher" or "lower"; "" where neither is better as such.
    """

    name: str
    value: float
    chance: float | None
    detail: str
    better: str = ""


@dataclass(frozen=True)
class ReportData:
    """A run as its report tells it.

    Args:
        name: Name of the recipe.
        facts: What was run: (name, value), in the order of the page.
        scores: The scores, in the order of the page.
        log: The training log: mappings with "step", and "loss" or "perplexity".
        counts: How often each code occurs; [] where nothing is quantised.
        pictures: (what it shows, bytes of a PNG).
        top_units: The most frequent units: (unit, count, what it meets most).
        files: Where the unit files are.
        commands: How to go on: (what it does, command).
        num_units: Units behind ``top_units``; 0 takes the sum of ``counts``, right for a single codebook.
    """

    name: str
    facts: list[tuple[str, str]]
    scores: list[Score]
    log: list[dict[str, Any]]
    counts: list[int]
    pictures: list[tuple[str, bytes]]
    top_units: list[tuple[str, int, str]]
    files: list[str]
    commands: list[tuple[str, str]] = field(default_factory=list)
    num_units: int = 0
