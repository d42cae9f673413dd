"""``unitdisc plugins``: what exists, from which distribution, and the parameters of one component."""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Any

import click

from unitdisc import plugins

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unitdisc.params import Parameter


@click.command("plugins")
@click.argument("kind", required=False, type=click.Choice(plugins.KINDS))
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(*, kind: str | None, name: str | None, as_json: bool) -> None:
    """List what plugins offer; with KIND and NAME, show one component and its parameters."""
    if kind and name:
        shown = describe(kind, name)
        text = component_text(shown)
    else:
        shown = _list([kind] if kind else plugins.KINDS)
        text = _list_text(shown)
    click.echo(json.dumps(shown, indent=2, ensure_ascii=False) if as_json else text)


def _list(kinds: Sequence[str]) -> dict[str, Any]:
    return {
        "components": [
            {
                "kind": component.kind,
                "name": component.name,
                "distribution": component.distribution,
                "version": component.version,
                "plugin": component.plugin,
            }
            for kind in kinds
            for component in plugins.found(kind)
        ],
        "not_loaded": [
            {
                "plugin": item.plugin,
                "distribution": item.distribution,
                "version": item.version,
                "reason": item.reason,
            }
            for item in plugins.broken()
        ],
        "clashes": [message for kind in kinds for message in plugins.clashes(kind)],
    }


def _list_text(shown: dict[str, Any]) -> str:
    rows = [
        (item["kind"], item["name"], item["distribution"], item["version"]) for item in shown["components"]
    ]
    lines = _aligned([("KIND", "NAME", "DISTRIBUTION", "VERSION"), *rows])
    lines += [
        f"NOT LOADED  '{item['plugin']}' of {item['distribution']} {item['version']}: {item['reason']}"
        for item in shown["not_loaded"]
    ]
    lines += [f"CLASH       {message}" for message in shown["clashes"]]
    if not rows:
        lines.append("No plugin is installed; 'pip install -e .' in a source tree installs the bundled ones.")
    return "\n".join(lines)


def describe(kind: str, name: str) -> dict[str, Any]:
    """Return what is known of one component; `component_text` shows it."""
    from unitdisc.params import parameters  # the list does not need pydantic

    loaded = plugins.load(kind, name)
    component = plugins.components(kind)[name]
    return {
        "kind": kind,
        "name": name,
        "class": f"{loaded.__module__}:{loaded.__qualname__}",
        "distribution": component.distribution,
        "version": component.version,
        "description": _description(loaded),
        "parameters": [_parameter(parameter) for parameter in parameters(loaded, kind)],
    }


def _parameter(parameter: Parameter) -> dict[str, Any]:
    from unitdisc.params import REQUIRED  # the list does not need pydantic

    shown: dict[str, Any] = {
        "name": parameter.name,
        "type": parameter.type_text,
        "range": parameter.range_text,
        "required": parameter.default is REQUIRED and not parameter.supplied,
        "supplied": parameter.supplied,
        "meaning": parameter.help,
    }
    if parameter.default is not REQUIRED:
        shown["default"] = _plain(parameter.default)
    return shown


def _plain(value: object) -> object:
    try:
        return json.loads(json.dumps(value))
    except TypeError:
        return repr(value)


def _description(loaded: type) -> str:
    """Return the docstring without its ``Args:`` section, which the parameters show."""
    lines: list[str] = []
    is_inside = False
    for line in (inspect.getdoc(loaded) or "").splitlines():
        if line.rstrip() == "Args:":
            is_inside = True
        elif line and not line.startswith(" "):
            is_inside = False
        if not is_inside:
            lines.append(line)
    return "\n".join(lines).strip()


def component_text(shown: dict[str, Any]) -> str:
    """Return a component and its parameters as text."""
    origin = f"{shown['distribution']} {shown['version']} ({shown['class']})"
    rows = [
        (parameter["name"], parameter["type"], parameter["range"] or "-", _default_text(parameter))
        for parameter in shown["parameters"]
    ]
    head, *lines = _aligned([("PARAMETER", "TYPE", "RANGE", "DEFAULT"), *rows])
    table = [head] if rows else ["No parameters."]
    for line, parameter in zip(lines, shown["parameters"], strict=True):
        table += [line, *([f"    {parameter['meaning']}"] if parameter["meaning"] else [])]
    return "\n".join([f"{shown['kind']} '{shown['name']}' of {origin}", "", shown["description"], "", *table])


def _default_text(parameter: dict[str, Any]) -> str:
    if parameter["supplied"]:
        return "from the engine"
    return "required" if parameter["required"] else json.dumps(parameter["default"])


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    padded = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in rows]
    return ["  ".join(cells).rstrip() for cells in padded]
