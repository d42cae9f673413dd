"""The comparison as a table, in plain text and in Markdown."""

from __future__ import annotations

from itertools import groupby
from math import isnan
from typing import TYPE_CHECKING

from unitdisc.ablate.outcome import least_perplexity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unitdisc.ablate.comparison import Comparison, Line
    from unitdisc.ablate.outcome import Outcome

_HEADS = ("score", "recipe", "n", "median", "mean", "95 % interval")
_RIGHT = {"n", "median", "mean", "paper"}
_NOTE = (
    "Interval: 95 % t interval of the mean over seeds; of a difference: paired by seed; no correction for many "
    "comparisons. "
    "Failed runs have no score, collapsed ones count."
)


def text(comparison: Comparison) -> str:
    """Return the table for a terminal."""
    heads, blocks = _heads(comparison), [_rows(comparison, lines) for lines in _by_metric(comparison)]
    rows = [heads, *(row for block in blocks for row in block)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(heads))]
    shown = [_aligned(heads, heads, widths), "  ".join("-" * width for width in widths)]
    for block in blocks:
        shown += [_aligned(row, heads, widths) for row in block] + [""]
    return "\n".join([*shown, _counts(comparison), *_remarks(comparison), _NOTE]) + "\n"


def markdown(comparison: Comparison) -> str:
    """Return the table for a page."""
    heads = _heads(comparison)
    rows = [row for lines in _by_metric(comparison) for row in _rows(comparison, lines)]
    rule = ["--:" if head in _RIGHT else "---" for head in heads]
    table = [f"| {' | '.join(map(_escaped, row))} |" for row in (heads, rule, *rows)]
    remarks = [f"- {_escaped(remark)}" for remark in _remarks(comparison)]
    return (
        "\n".join([*table, "", _counts(comparison), "", *remarks, *([""] if remarks else []), _NOTE]) + "\n"
    )


def number(value: float) -> str:
    """Return a score as it is shown."""
    return "undefined" if isnan(value) else f"{value:.4g}"


def failed_and_collapsed(outcomes: Sequence[Outcome]) -> str:
    """Return how many of a variant's runs did, or nothing."""
    failed = sum(not outcome.is_finished for outcome in outcomes)
    collapsed = sum(outcome.is_collapsed for outcome in outcomes)
    parts = [f"{failed} failed"] * (failed > 0) + [f"{collapsed} collapsed"] * (collapsed > 0)
    return ", ".join(parts)


def _heads(comparison: Comparison) -> list[str]:
    against = [f"minus {comparison.baseline}", "95 % interval", ""] if len(comparison.variants) > 1 else []
    return [*_HEADS, *(["paper"] if comparison.has_paper else []), *against, "runs"]


def _by_metric(comparison: Comparison) -> list[list[Line]]:
    return [list(lines) for _, lines in groupby(comparison.lines, key=lambda line: line.metric)]


def _rows(comparison: Comparison, lines: Sequence[Line]) -> list[list[str]]:
    rows = []
    for number_, line in enumerate(lines):
        better = f" ({line.better} is better)" if line.better else ""
        row = [f"{line.metric}{better}" if number_ == 0 else "", line.variant, *_summary(line, comparison)]
        if comparison.has_paper:
            row.append("" if line.paper is None else number(line.paper))
        if len(comparison.variants) > 1:
            row += _difference(line)
        rows.append([*row, failed_and_collapsed(comparison.of(line.variant))])
    return rows


def _summary(line: Line, comparison: Comparison) -> list[str]:
    if line.summary is None:
        is_scored = not any(outcome.is_finished for outcome in comparison.of(line.variant))
        return [f"0 of {len(comparison.seeds)}" if is_scored else "-", "", "", ""]
    n = line.summary.n
    count = str(n) if n == len(comparison.seeds) else f"{n} of {len(comparison.seeds)}"
    return [count, number(line.summary.median), number(line.summary.mean), _interval(line.summary.interval)]


def _difference(line: Line) -> list[str]:
    if line.difference is None:
        return ["", "", ""]
    mean = line.difference.mean
    return ["undefined" if isnan(mean) else f"{mean:+.4g}", _interval(line.difference.interval), line.verdict]


def _interval(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f"[{interval[0]:.4g}, {interval[1]:.4g}]"


def _counts(comparison: Comparison) -> str:
    finished = sum(outcome.is_finished for outcome in comparison.outcomes)
    seeds = ", ".join(map(str, comparison.seeds))
    what = failed_and_collapsed(comparison.outcomes)
    return f"{finished} of {len(comparison.outcomes)} runs finished{f' ({what})' if what else ''}; seeds {seeds}."


def _remarks(comparison: Comparison) -> list[str]:
    remarks = _papers(comparison) if comparison.has_paper else []
    for outcome in comparison.outcomes:
        if not outcome.is_finished:
            remarks.append(f"failed: {outcome.cell}, {outcome.ended}")
        elif outcome.is_collapsed:
            remarks.append(
                f"collapsed: {outcome.cell}, perplexity {number(outcome.perplexity or 0.0)} of {outcome.num_codes} "
                f"codes, under {least_perplexity(outcome.num_codes):g}"
            )
    return remarks


def _papers(comparison: Comparison) -> list[str]:
    """Return a line per table: which row each recipe is."""
    tables: dict[str, list[str]] = {}
    for variant, paper in comparison.papers.items():
        tables.setdefault(paper.table, []).append(f"{variant} is {paper.row}" if paper.row else variant)
    return [f"paper: {table}: {'; '.join(rows)}" for table, rows in tables.items()]


def _aligned(row: Sequence[str], heads: Sequence[str], widths: Sequence[int]) -> str:
    cells = [
        cell.rjust(width) if head in _RIGHT else cell.ljust(width)
        for cell, head, width in zip(row, heads, widths, strict=True)
    ]
    return "  ".join(cells).rstrip()


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|")
