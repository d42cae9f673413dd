"""Curves of how the codebook was used while it learned, and what raised an alarm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unitdisc.report.chart import NAMES, line_chart

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from unitdisc.report.chart import Point

    Log = Sequence[Mapping[str, Any]]

_CURVES = (
    ("epoch_perplexity", "Perplexity over each epoch", "perplexity"),
    ("epoch_dead", "Dead codes: share not used in an epoch", "share"),
    ("bottleneck.norm_ratio", "Scale: length of used codewords over that of latents, best below 1", "ratio"),
    ("bottleneck.quantization_error", "Quantisation error: what is lost of the latents' energy", "share"),
    ("churn", "Churn: share of a fixed probe's codes that changed in an epoch", "share"),
    ("near_zero_counts", "Moving counts near zero", "share of codes"),
)

_MOST_MARKS = 60


def health_charts(log: Log, *, beside: Log = (), names: tuple[str, str] = NAMES) -> list[tuple[str, str]]:
    """Return (caption, SVG) of each curve; upright lines are where codewords were replaced and the like.

    Args:
        log: Of the run.
        beside: Of another run, whose curves are dashed.
        names: Of the runs.
    """
    marks = _marks(log)
    events = ", ".join(name.replace("_", " ") for name in marks) + (f" of {names[0]}" if beside else "")
    places = [step for steps in marks.values() for step in steps]
    figures = []
    for key, caption, unit in _CURVES:
        told = f"{caption} (upright lines: {events})" if marks else caption
        svg = line_chart(
            curve(log, key),
            name=unit,
            x_name="step",
            marks=places,
            beside=curve(beside, key),
            names=names,
        )
        figures.append((told, svg))
    return figures


def curve(log: Log, key: str) -> list[Point]:
    """Return (step, value) of the lines of the log that have a value of that name."""
    return [(float(line["step"]), float(line[key])) for line in log if line.get(key) is not None]


def alarms(log: Log) -> list[tuple[str, str]]:
    """Return (step and kind, what was wrong and what to change) of each alarm."""
    return [
        (f"step {event['step']:,}, {event['kind']}", f"{event['says']}; change {event['change']}")
        for event in _events(log)
        if event["event"] == "alarm"
    ]


def _marks(log: Log) -> dict[str, list[float]]:
    """Return the steps of each kind of event that is rare enough to be told apart in a chart."""
    steps: dict[str, list[float]] = {}
    for event in _events(log):
        steps.setdefault(str(event["event"]), []).append(float(event["step"]))
    return {name: places for name, places in steps.items() if name != "alarm" and len(places) <= _MOST_MARKS}


def _events(log: Log) -> Iterator[Mapping[str, Any]]:
    for line in log:
        yield from line.get("events", [])
