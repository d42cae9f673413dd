"""The page of scores that ``unitdisc evaluate`` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_CONTROLS = ("shuffled", "random_segments", "gold")
_SECTION = ("definition", "values", "higher_is_better", "interval", "signature", "use", *_CONTROLS)


def page(content: Mapping[str, Any]) -> None:
    """Print warnings, each score beside chance, ceiling and interval, what each is, and what is not scored."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, markup=False, soft_wrap=True)
    for warning in content["warnings"]:
        console.print(f"warning: {warning}")
    has_intervals = content["intervals"]["samples"] > 0
    shown = Table("score")
    for column in ("value", *(["± 95 %"] if has_intervals else []), "shuffled", "random", "gold"):
        shown.add_column(column, justify="right", no_wrap=True)
    for name, found in content["scores"].items():
        spread = [_interval(found)] if has_intervals else []
        arrow = "↑" if found["higher_is_better"] else "↓"
        shown.add_row(
            f"{name} {arrow}",
            _number(found["values"]),
            *spread,
            *(_number(found[control]) for control in _CONTROLS),
        )
    console.print(_title(content))
    console.print(shown)
    for line in _legend(content):
        console.print(line)
    console.print()
    for name, found in content["scores"].items():
        console.print(f"{name}: {_definition(found)}")
    reasons: dict[str, list[str]] = {}
    for name, reason in content["left_out"].items():
        reasons.setdefault(reason, []).append(name)
    for reason, names in reasons.items():
        console.print(f"not scored: {', '.join(names)}: {reason}")


def _title(content: Mapping[str, Any]) -> str:
    if "units" in content:
        what = content["units"]["path"]
    else:
        what = f"{content['run']['path']}, split {content['run']['split']}"
    target = f" {content['target']} of" if content["target"] else ""
    against = f" against{target} {content['labels']['path']}" if "labels" in content else ""
    like = f", as {content['like']} scores" if content["like"] else ""
    return f"{what}{against}{like}: {content['utterances']:,} utterances"


def _legend(content: Mapping[str, Any]) -> list[str]:
    over, groups = content["intervals"]["over"], content["intervals"]["groups"]
    lines = [
        "↑ higher is better, ↓ lower. shuffled: the same units in random order.",
        "random: as many segments, with random edges and units. gold: labels as units.",
    ]
    if content["intervals"]["samples"]:
        lines.append(f"± 95 %: over {groups:,} {over}s, drawn anew, or with * each left out once.")
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
