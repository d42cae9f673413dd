"""What a report shows; plain values, so that drawing it needs neither a model nor the data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unitdisc.report.browse import Browser


@dataclass(frozen=True)
class Score:
    """A row of the table of scores.

    Args:
        name: What is measured.
        value: The run's score.
        chance: The same score from shuffled units; None where there is none.
        detail: What the number means.
        better: "higher" or "lower"; "" where neither is better as such.
        interval: Lower and upper end of the interval around the value; None where there is none.
        random: The same score of random segments with random units; None where there is none.
        ceiling: The same score of the reference labels taken for units; None where there is none.
        beside: The same score of another run; None where there is none.
    """

    name: str
    value: float
    chance: float | None
    detail: str
    better: str = ""
    interval: tuple[float, float] | None = None
    random: float | None = None
    ceiling: float | None = None
    beside: float | None = None


@dataclass(frozen=True)
class ReportData:
    """A run as its report tells it.

    Args:
        name: Name of the recipe.
        facts: What was run: (name, value), in the order of the page.
        scores: The scores, in the order of the page.
        log: The training log: mappings with "step", and "loss" or "perplexity".
        counts: How often each code occurs; [] where nothing is quantised.
        top_units: The most frequent units: (unit, count, what it meets most).
        files: Where the unit files are.
        commands: How to go on: (what it does, command).
        num_units: Units behind ``top_units``; 0 takes the sum of ``counts``, right for a single codebook.
        browser: The units one by one; None where nothing is quantised.
        beside: Name of the other run that scores are compared with; "" where there is none.
        beside_log: Its training log.
    """

    name: str
    facts: list[tuple[str, str]]
    scores: list[Score]
    log: list[dict[str, Any]]
    counts: list[int]
    top_units: list[tuple[str, int, str]] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    commands: list[tuple[str, str]] = field(default_factory=list)
    num_units: int = 0
    browser: Browser | None = None
    beside: str = ""
    beside_log: list[dict[str, Any]] = field(default_factory=list)
