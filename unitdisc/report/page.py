"""The page of a run: one HTML file that needs nothing else."""

from __future__ import annotations

from base64 import b64encode
from html import escape
from math import isfinite
from typing import TYPE_CHECKING

from unitdisc.report.chart import line_chart, rank_chart
from unitdisc.report.health import alarms, health_charts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from unitdisc.report.data import ReportData, Score

_STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1b1b1f; --faint: #5c5c66; --rule: #d9d9e0;
  --soft: #f4f4f7; --accent: #3451b2; }
@media (prefers-color-scheme: dark) { :root { --paper: #17171b; --ink: #ececf0; --faint: #a3a3ad;
  --rule: #3a3a42; --soft: #212127; --accent: #9db1ff; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 2rem 1.25rem 4rem; background: var(--paper);
  color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }
h1 { font-size: 1.7rem; margin: 0 0 .25rem; } h2 { font-size: 1.2rem; margin: 2.5rem 0 .5rem; }
p { max-width: 46rem; } .faint, caption, figcaption { color: var(--faint); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .9rem .3rem 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--rule); }
th { font-weight: 600; } .number { text-align: right; } .key { white-space: nowrap; }
caption { text-align: left; padding-bottom: .4rem; }
figure { margin: 1rem 0 1.5rem; } figcaption { margin-bottom: .3rem; }
img { display: block; max-width: 100%; height: auto; border: 1px solid var(--rule);
  border-radius: 4px; }
.charts { display: flex; flex-wrap: wrap; gap: 1rem 2rem; }
.charts figure { flex: 1 1 22rem; margin: .5rem 0; }
svg { width: 100%; max-width: 36rem; height: auto; }
svg text { font: 12px system-ui, sans-serif; fill: var(--faint); }
svg .grid { stroke: var(--rule); }
svg .line { stroke: var(--accent); stroke-width: 2; fill: none; }
svg .mark { stroke: var(--faint); stroke-dasharray: 3 3; opacity: .7; }
svg .area { fill: var(--accent); }
code, pre { font-family: ui-monospace, monospace; font-size: .92em; }
pre { background: var(--soft); padding: .6rem .9rem; border-radius: 4px; overflow-x: auto;
  margin: .25rem 0 1rem; }
"""


def html(run: ReportData) -> str:
    """Return the page: one file with its pictures and charts inside, without scripts, in light and dark."""
    sections = [
        _section("Scores", _scores(run.scores)),
        _section("Units", _pictures(run.pictures)),
        _section("Most frequent units", _top_units(run)),
        _section("Training and code usage", _charts(run)),
        _section("Codebook health", _health(run)),
        _section("What was run", _facts(run.facts)),
        _section("Unit files", _list(f"<code>{escape(file)}</code>" for file in run.files)),
        _section("How to go on", _commands(run.commands)),
    ]
    name = escape(run.name)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{name} - unitdisc</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        f'<h1>{name}</h1>\n<p class="faint">Discrete units found by unitdisc.</p>\n'
        f"{''.join(sections)}</main>\n</body>\n</html>\n"
    )


def _section(title: str, body: str) -> str:
    return f"<section>\n<h2>{escape(title)}</h2>\n{body}\n</section>\n" if body else ""


def _scores(scores: Sequence[Score]) -> str:
    if not scores:
        return ""
    has_chance = any(score.chance is not None for score in scores)
    rows = []
    for score in scores:
        chance = "none" if score.chance is None else _number(score.chance)
        numbers = [_number(score.value), *([chance] if has_chance else [])]
        cells = "".join(f'<td class="number">{number}</td>' for number in numbers)
        rows.append(
            f'<th scope="row" class="key">{escape(score.name)}</th>{cells}<td>{escape(score.detail)}</td>'
        )
    note = (
        "Chance is the same score after the units were shuffled over the whole split, or, where it is known, "
        "computed."
        if has_chance
        else ""
    )
    heads = [
        ("Score", ""),
        ("Value", "number"),
        *([("Chance", "number")] if has_chance else []),
        ("Meaning", ""),
    ]
    return _table(heads, rows, note)


def _pictures(pictures: Sequence[tuple[str, bytes]]) -> str:
    if not pictures:
        return ""
    intro = (
        "<p>Each coloured cell is a run of one unit, with its number; the same number has the same colour "
        "everywhere. Grey cells, where there are any, are the reference labels.</p>"
    )
    return intro + "".join(
        f'<figure><figcaption>{escape(what)}</figcaption><img alt="{escape(what)}, with its units below" '
        f'src="data:image/png;base64,{b64encode(image).decode()}"></figure>'
        for what, image in pictures
    )


def _top_units(run: ReportData) -> str:
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
    return _table(heads, rows, note if has_label else "")


def _charts(run: ReportData) -> str:
    figures = []
    for name in ("loss", "perplexity"):
        points = [(float(line["step"]), float(line[name])) for line in run.log if line.get(name) is not None]
        figures.append((f"{name.capitalize()} in training", line_chart(points, name=name, x_name="step")))
    used = sum(count > 0 for count in run.counts)
    figures.append((f"Code usage: {used:,} of {len(run.counts):,} codes occur", rank_chart(run.counts)))
    return _figures(figures)


def _health(run: ReportData) -> str:
    told = _list(f"<strong>{escape(head)}</strong>: {escape(rest)}" for head, rest in alarms(run.log))
    return (f"<p>Alarms, with the keys of the recipe to change:</p>{told}" if told else "") + _figures(
        health_charts(run.log)
    )


def _figures(figures: Sequence[tuple[str, str]]) -> str:
    drawn = "".join(
        f"<figure><figcaption>{escape(name)}</figcaption>{svg}</figure>" for name, svg in figures if svg
    )
    return f'<div class="charts">{drawn}</div>' if drawn else ""


def _facts(facts: Sequence[tuple[str, str]]) -> str:
    rows = [
        f'<th scope="row" class="key">{escape(name)}</th><td>{escape(value)}</td>' for name, value in facts
    ]
    return _table([], rows, "") if rows else ""


def _commands(commands: Sequence[tuple[str, str]]) -> str:
    return "".join(
        f"<p>{escape(what)}</p><pre><code>{escape(command)}</code></pre>" for what, command in commands
    )


def _list(items: Iterable[str]) -> str:
    body = "".join(f"<li>{item}</li>" for item in items)
    return f"<ul>{body}</ul>" if body else ""


def _table(heads: Sequence[tuple[str, str]], rows: Sequence[str], note: str) -> str:
    head = "".join(f'<th scope="col" class="{kind}">{name}</th>' for name, kind in heads)
    return (
        '<div class="scroll"><table>'
        + (f"<caption>{escape(note)}</caption>" if note else "")
        + (f"<thead><tr>{head}</tr></thead>" if head else "")
        + f"<tbody>{''.join(f'<tr>{row}</tr>' for row in rows)}</tbody></table></div>"
    )


def _number(value: float) -> str:
    return f"{value:.4g}" if isfinite(value) else "undefined"
