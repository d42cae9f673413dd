"""The page of scores that ``unitdisc evaluate`` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

_CONTROLS = {"shuffled": "shuffled", "random": "random_segments", "gold": "gold"}
_COLUMNS = ("value", "± 95 %", *_CONTROLS, "paper")
_SECTION = ("definition", "values", "higher_is_better", "interval", "signature", "use", *_CONTROLS.values())


def page(content: Mapping[str, Any]) -> None:
    """Print warnings, each score beside chance, ceiling and interval, what each is, and what is not scored."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, markup=False, soft_wrap=True)
    for warning in content["warnings"]:
        console.print(f"warning: {warning}")
    shown = Table("score")
    rows = dict(_rows(content))
    columns = [column for column in _COLUMNS if any(column in cells for cells in rows.values())]
    for column in columns:
        shown.add_column(column, justify="right", no_wrap=True)
    for name, cells in rows.items():
        shown.add_row(name, *(cells.get(column, "") for column in columns))
    console.print(_title(content))
    console.print(shown)
    for line in _legend(content, columns):
        console.print(line)
    console.print()
    for name, found in content["scores"].items():
        console.print(f"{name}: {_definition(found)}")
    reasons: dict[str, list[str]] = {}
    for name, reason in content["left_out"].items():
        reasons.setdefault(reason, []).append(name)
    for reason, names in reasons.items():
        console.print(f"not scored: {', '.join(names)}: {reason}")


def _rows(content: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield what stands in each row, and in each of its cells that is not empty."""
    paper = content.get("paper", {"values": {}})["values"]
    for name, found in content["scores"].items():
        cells = {"value": _number(found["values"]), "± 95 %": _interval(found)}
        cells |= {shown: _number(found[control]) for shown, control in _CONTROLS.items()}
        cells |= {"paper": f"{paper[name]:.4g}"} if name in paper else {}
        arrow = "↑" if found["higher_is_better"] else "↓"
        yield f"{name} {arrow}", {column: text for column, text in cells.items() if text}
    for name, found in content.get("losses", {}).items():
        cells = {column: f"{found[column]:.4g}" for column in ("value", "shuffled")}
        yield name, cells | ({"paper": f"{paper[name]:.4g}"} if name in paper else {})


def _title(content: Mapping[str, Any]) -> str:
    if "units" in content:
        what = content["units"]["path"]
    else:
        run = content["run"]
        what = f"{run['path']} ({run['recipe']}, step {run['checkpoint_step']:,}), split {run['split']}"
    target = f" {content['target']} of" if content["target"] else ""
    against = f" against{target} {content['labels']['path']}" if "labels" in content else ""
    like = f", as {content['like']} scores" if content["like"] else ""
    count = content["utterances"]
    return f"{what}{against}{like}: {count:,} utterance{'s' if count != 1 else ''}"


def _legend(content: Mapping[str, Any], columns: Collection[str]) -> list[str]:
    over, groups = content["intervals"]["over"], content["intervals"]["groups"]
    said = {
        "value": "↑ higher is better, ↓ lower.",
        "± 95 %": f"± 95 %: over {groups:,} {over}s, drawn anew, or with * each left out once.",
        "shuffled": "shuffled: the same units in random order.",
        "random": "random: as many segments, with random edges and units.",
        "gold": "gold: labels as units.",
        "paper": f"paper: {content.get('paper', {}).get('row')}.",
    }
    lines = [said[column] for column in columns]
    if not content["intervals"]["jackknife"] and any(
        not found["interval"] for found in content["scores"].values()
    ):
        lines.append("no ±: a score to be found 20 times more for it; --intervals 200 does so.")
    return lines


def _interval(found: Mapping[str, Any]) -> str:
    spread = found["interval"]
    if spread is None:
        return ""
    return f"{(spread['high'] - spread['low']) / 2:.2g}{'*' if spread['method'] == 'jackknife' else ''}"


def _number(values: Mapping[str, float] | None) -> str:
    return "" if values is None else f"{values['value']:.4g}"


def _definition(found: Mapping[str, Any]) -> str:
    """Return what a score is, how it was set, and its further numbers."""
    given = {name: value for name, value in found.items() if name not in _SECTION and value is not None}
    options = [
        f"{name}={str(value).lower() if isinstance(value, bool) else value}" for name, value in given.items()
    ]
    signature = [found["signature"]] if "signature" in found else []
    more = ", ".join(f"{name} {value:.4g}" for name, value in found["values"].items() if name != "value")
    return " ".join([f"{found['definition']}.", *options, *signature, *([f"({more})"] if more else [])])
