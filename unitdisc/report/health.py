"""Curves of how the codebook was used while it learned, and what raised an alarm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unitdisc.report.chart import line_chart

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from unitdisc.report.chart import Point

_CURVES = (
    ("epoch_perplexity", "Perplexity over each epoch", "perplexity"),
    ("epoch_dead", "Dead codes: share not used in an epoch", "share"),
    ("bottleneck.norm_ratio", "Scale: length of used codewords over that of latents, best below 1", "ratio"),
    ("bottleneck.quantization_error", "Quantisation error: what is lost of the latents' energy", "share"),
    ("churn", "Churn: share of a fixed probe's codes that changed in an epoch", "share"),
    ("near_zero_counts", "Moving counts near zero", "share of codes"),
)

_MOST_MARKS = 60


def health_charts(log: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Return (caption, SVG) of each curve of the log; dashed lines are where codewords were replaced and the like."""
    marks = _marks(log)
    names = ", ".join(name.replace("_", " ") for name in marks)
    places = [step for steps in marks.values() for step in steps]
    figures = []
    for key, caption, unit in _CURVES:
        points: list[Point] = [
            (float(line["step"]), float(line[key])) for line in log if line.get(key) is not None
        ]
        told = f"{caption} (dashed: {names})" if names else caption
        figures.append((told, line_chart(points, name=unit, x_name="step", marks=places)))
    return figures


def alarms(log: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Return (step and kind, what was wrong and what to change) of each alarm."""
    return [
        (f"step {event['step']:,}, {event['kind']}", f"{event['says']}; change {event['change']}")
        for event in _events(log)
        if event["event"] == "alarm"
    ]


def _marks(log: Sequence[Mapping[str, Any]]) -> dict[str, list[float]]:
    """Return the steps of each kind of event that is rare enough to be told apart in a chart."""
    steps: dict[str, list[float]] = {}
    for event in _events(log):
        steps.setdefault(str(event["event"]), []).append(float(event["step"]))
    return {name: places for name, places in steps.items() if name != "alarm" and len(places) <= _MOST_MARKS}


def _events(log: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for line in log:
        yield from line.get("events", [])
