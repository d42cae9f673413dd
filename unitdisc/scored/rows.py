"""Which scores are made: those asked for, those of a table of another system, or all that need no more than units."""

from __future__ import annotations

import inspect
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unitdisc import plugins, recipe
from unitdisc.errors import PluginError, RecipeError
from unitdisc.like import LIKE
from unitdisc.suggest import hint

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from unitdisc.use import Use

_KEY = r"[A-Za-z_]\w*="
_METRIC = re.compile(rf"(?:(?P<row>[\w. -]+)=)?(?P<name>[\w-]+)(?::(?P<options>{_KEY}.*))?", re.DOTALL)
_COMMA = re.compile(rf",(?={_KEY})")  # not the commas of [4, 4]


@dataclass(frozen=True)
class Row:
    """A score to make.

    Args:
        name: What tables call it.
        use: The metric.
        is_wanted: Whether it was asked for by name, so that a score that cannot be made is an error.
    """

    name: str
    use: Use
    is_wanted: bool


def asked(texts: Sequence[str], known: Mapping[str, Any]) -> list[Row]:
    """Return the rows of ``NAME``, ``NAME:KEY=VALUE,KEY=VALUE`` or ``ROW=NAME:...``. Raises `RecipeError`."""
    found: list[Row] = []
    for text in texts:
        match = _METRIC.fullmatch(text)
        if match is None:
            raise RecipeError(
                f"--metric {text!r}: write NAME, NAME:KEY=VALUE,KEY=VALUE or ROW=NAME:KEY=VALUE"
            )
        pairs = _COMMA.split(match["options"]) if match["options"] else []
        options = dict(pair.split("=", 1) for pair in pairs)
        use = _use(match["name"], options, known)
        name = match["row"] or text.replace(":", " ", 1)
        if name in {row.name for row in found}:
            raise RecipeError(
                f"--metric {text!r}: {name!r} stands there twice; call one otherwise, ROW={text}"
            )
        found.append(Row(name, use, is_wanted=True))
    return found


def like(name: str, known: Mapping[str, Any]) -> tuple[list[Row], dict[str, str]]:
    """Return the rows that another system reports, by its definitions, and why others are left out.

    Raises `RecipeError` for an unknown one.
    """
    if name not in LIKE:
        raise RecipeError(f"--like {name}: not known{hint(name, LIKE)} (accepted: {', '.join(LIKE)})")
    found, left_out = [], {}
    for row, section in LIKE[name].items():
        options = {key: json.dumps(value) for key, value in section.items() if key != "use"}
        accepted = {item.name for item in _parameters(plugins.load("metric", section["use"]))}
        if "target" in accepted and not {"target", "item_file"} & accepted & known.keys():
            left_out[row] = "asks for labels of frames; name them with --against"
            continue
        found.append(Row(row, _use(section["use"], options, known), is_wanted=False))
    return found, left_out


def fitting(known: Mapping[str, Any]) -> tuple[list[Row], dict[str, str]]:
    """Return a row for every metric that looks at no more than units and labels, and why others are left out."""
    found, left_out = [], {}
    for name in plugins.components("metric"):
        try:
            component = plugins.load("metric", name)
            needed = [item.name for item in _parameters(component) if item.default is item.empty]
            if missing := [item for item in needed if item not in known]:
                left_out[name] = f"asks for {' and '.join(missing)}"
                continue
            use = _use(name, {}, known)
            if needs := use.build().needs:
                left_out[name] = f"looks at {' and '.join(needs)}, which unit files do not hold"
                continue
        except (PluginError, RecipeError) as error:
            left_out[name] = str(error)
            continue
        found.append(Row(name, use, is_wanted=False))
    return found, left_out


def _use(name: str, options: Mapping[str, str], known: Mapping[str, Any]) -> Use:
    """Return a metric with its options, and with what is known wherever it has a parameter for that."""
    accepted = {item.name for item in _parameters(plugins.load("metric", name))}
    free = {key: json.dumps(value) for key, value in known.items() if key in accepted and key not in options}
    if "item_file" in {**free, **options}:
        free.pop("target", None)  # an item file says itself what is compared
    if "target" in options:
        free.pop("item_file", None)
    return recipe.component("metric", name, [f"{key}={value}" for key, value in {**free, **options}.items()])


def _parameters(component: type[Any]) -> list[inspect.Parameter]:
    return list(inspect.signature(component).parameters.values())
