"""The page of a run: one HTML file that needs nothing else."""

from __future__ import annotations

from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING

from unitdisc.report.browser import body, script
from unitdisc.report.chart import line_chart, rank_chart
from unitdisc.report.health import alarms, curve, health_charts
from unitdisc.report.parts import bullets, number, section, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unitdisc.report.data import ReportData, Score

_POLICY = (
    "default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'"
)
"""What the page may load: what is in it."""


def html(run: ReportData) -> str:
    """Return the page: one file with its pictures, sounds and charts inside, in light and dark."""
    browser = run.browser
    sections = [
        section("Scores", _scores(run.scores, run.beside)),
        body(browser) if browser else "",
        _without_scripts(run),
        section("Training and code usage", _charts(run)),
        section("Codebook health", _health(run)),
        section("What was run", _facts(run.facts)),
        section("Unit files", bullets(f"<code>{escape(file)}</code>" for file in run.files)),
        section("How to go on", _commands(run.commands)),
    ]
    name = escape(run.name)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{name} - unitdisc</title>\n<style>\n{_style()}</style>\n</head>\n<body>\n<main>\n"
        f'<h1>{name}</h1>\n<p class="faint">Discrete units found by unitdisc.</p>\n'
        f"{''.join(sections)}</main>\n{script(browser) if browser else ''}</body>\n</html>\n"
    )


def _style() -> str:
    folder = files("unitdisc.report")
    return "".join((folder / name).read_text(encoding="utf-8") for name in ("page.css", "browser.css"))


_COLUMNS: tuple[tuple[str, str], ...] = (
    ("interval", "95 % interval"),
    ("chance", "Chance"),
    ("random", "Random"),
    ("ceiling", "Ceiling"),
    ("beside", ""),
)
"""Fields of a score beside its value; a column that no score fills is left out."""

_TOLD = {
    "interval": "The interval is over speakers or writers, where known, else over utterances.",
    "chance": "Chance is the same score after the units were shuffled over the whole split, or, where it is known, "
    "computed.",
    "random": "Random is that of as many segments with random edges and units.",
    "ceiling": "Ceiling is that of the reference labels themselves.",
}


def _scores(scores: Sequence[Score], beside: str) -> str:
    if not scores:
        return ""
    columns = [
        (field, name or beside)
        for field, name in _COLUMNS
        if any(getattr(score, field) is not None for score in scores)
    ]
    rows = []
    for score in scores:
        cells = "".join(
            f'<td class="number">{cell}</td>'
            for cell in [number(score.value), *(_cell(getattr(score, field)) for field, _ in columns)]
        )
        rows.append(
            f'<th scope="row" class="key">{escape(score.name)}</th>{cells}<td>{escape(score.detail)}</td>'
        )
    names = ["Value", *(name for _, name in columns)]
    heads = [("Score", ""), *((name, "number") for name in names), ("Meaning", "")]
    return table(heads, rows, " ".join(_TOLD[field] for field, _ in columns if field in _TOLD))


def _cell(value: float | tuple[float, float] | None) -> str:
    if value is None:
        return "none"
    return number(value) if isinstance(value, float | int) else " to ".join(map(number, value))


def _without_scripts(run: ReportData) -> str:
    """Return the most frequent units as a table, for browsers that run no scripts."""
    if not run.top_units:
        return ""
    total = run.num_units or max(sum(run.counts), 1)
    has_label = any(label for _, _, label in run.top_units)
    heads = [("Unit", "number"), ("Count", "number"), ("Share", "number")]
    heads += [("Meets most", "")] if has_label else []
    rows = [
        f'<th scope="row" class="number">{escape(unit)}</th><td class="number">{count:,}</td>'
        f'<td class="number">{count / total:.1%}</td>' + (f"<td>{escape(label)}</td>" if has_label else "")
        for unit, count, label in run.top_units
    ]
    note = "Meets most: the commonest reference label, with its share of the unit's labelled frames."
    frequent = section("Most frequent units", table(heads, rows, note if has_label else ""))
    return f"<noscript>\n{frequent}</noscript>\n"


def _charts(run: ReportData) -> str:
    figures, names = [], _names(run)
    for name in ("loss", "perplexity"):
        points, beside = curve(run.log, name), curve(run.beside_log, name)
        svg = line_chart(points, name=name, x_name="step", beside=beside, names=names)
        figures.append((f"{name.capitalize()} in training", svg))
    others = run.browser.beside_counts if run.browser else []
    caption = f"Code usage: {_used(run.counts)} codes occur" + (
        f"; dashed: {_used(others)}" if others else ""
    )
    figures.append((caption, rank_chart(run.counts, beside=others, names=names)))
    return _figures(figures, run)


def _used(counts: Sequence[int]) -> str:
    return f"{sum(count > 0 for count in counts):,} of {len(counts):,}"


def _health(run: ReportData) -> str:
    told = bullets(f"<strong>{escape(head)}</strong>: {escape(rest)}" for head, rest in alarms(run.log))
    figures = health_charts(run.log, beside=run.beside_log, names=_names(run))
    return (f"<p>Alarms, with the keys of the recipe to change:</p>{told}" if told else "") + _figures(
        figures, run
    )


def _names(run: ReportData) -> tuple[str, str]:
    return f"{run.name} (this run)", run.beside


def _figures(figures: Sequence[tuple[str, str]], run: ReportData) -> str:
    drawn = "".join(
        f"<figure><figcaption>{escape(name)}</figcaption>{svg}</figure>" for name, svg in figures if svg
    )
    return f'{_legend(run)}<div class="charts">{drawn}</div>' if drawn else ""


def _legend(run: ReportData) -> str:
    """Return which line is whose, in words too, where another run's curves are drawn."""
    if not run.beside_log:
        return ""
    items = "".join(
        f'<li><svg width="40" height="12" aria-hidden="true"><path class="{kind}" d="M2 6H38"/></svg>'
        f"{escape(name)}: {style}</li>"
        for name, kind, style in zip(_names(run), ("line", "line beside"), ("solid", "dashed"), strict=True)
    )
    return f'<ul class="legend">{items}</ul>'


def _facts(facts: Sequence[tuple[str, str]]) -> str:
    rows = [
        f'<th scope="row" class="key">{escape(name)}</th><td>{escape(value)}</td>' for name, value in facts
    ]
    return table([], rows, "") if rows else ""


def _commands(commands: Sequence[tuple[str, str]]) -> str:
    return "".join(
        f"<p>{escape(what)}</p><pre><code>{escape(command)}</code></pre>" for what, command in commands
    )
