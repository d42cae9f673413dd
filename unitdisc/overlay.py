"""Lay recipes over one another: command line over preset over recipe over base."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unitdisc import suggest
from unitdisc.errors import RecipeError
from unitdisc.problems import COMMAND_LINE, Problems, quoted, shown
from unitdisc.yaml_marks import MAX_DEPTH, Node, parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

KEYS = (
    "name",
    "seed",
    "data",
    "encoder",
    "latents",
    "bottleneck",
    "decoder",
    "heads",
    "metrics",
    "train",
    "evaluate",
    "export",
    "paper",
)
"""The keys of a recipe, in the order in which it is written down."""

NAMED = frozenset({"heads", "metrics"})
"""Whose entries are sections of their own, under any name."""

_VALUES = frozenset({"name", "seed"})


def overlay(layers: Iterable[dict[str, Node]], problems: Problems) -> dict[str, Node]:
    """Return the sections that are left of ``layers``, the last of which counts most."""
    merged: dict[str, Node] = {}
    for layer in layers:
        for key, node in layer.items():
            if key not in KEYS:
                _unknown(key, node, layer, problems)
            elif key in NAMED and isinstance(node.data, dict):
                merged[key] = _named(key, merged.get(key), node, problems)
            elif node.data is None and key not in _VALUES:
                merged.pop(key, None)
            else:
                merged[key] = _over(merged.get(key), node)
    return merged


def from_command_line(overrides: Sequence[str], problems: Problems) -> dict[str, Node]:
    """Return ``a.b.c=value`` pairs as sections; their order does not matter but where two say the same."""
    sections: dict[str, Node] = {}
    for override in overrides:
        path, is_pair, text = override.partition("=")
        steps = path.split(".")
        if not is_pair or not all(steps) or len(steps) > MAX_DEPTH:
            problems.add(
                COMMAND_LINE, f"{quoted(override)}: an override is KEY=VALUE, for example train.steps=100"
            )
            continue
        if steps[0] == "extends":
            problems.add(
                COMMAND_LINE, "extends: cannot be overridden; give the recipe that extends the other"
            )
            continue
        try:
            node = parse(text, COMMAND_LINE, problems, prefix=f"{shown(path)}: ")
        except RecipeError:
            continue  # the problem is noted; the rest is read all the same
        _put(sections, steps, node)
    return sections


def _put(sections: dict[str, Node], steps: list[str], node: Node) -> None:
    for step in steps[:-1]:
        if step not in sections or not isinstance(sections[step].data, dict):
            sections[step] = Node({}, COMMAND_LINE, COMMAND_LINE)
        sections = sections[step].data
    last = steps[-1]
    if isinstance(node.data, dict) and last in sections and isinstance(sections[last].data, dict):
        sections[last].data.update(node.data)
    else:
        sections[last] = node


def _over(base: Node | None, over: Node) -> Node:
    """Lay a section over another; what names ``use`` is a new section, any other value replaces."""
    if (
        base is None
        or not isinstance(over.data, dict)
        or not isinstance(base.data, dict)
        or "use" in over.data
    ):
        return over
    data = {**base.data, **{key: _over(base.data.get(key), node) for key, node in over.data.items()}}
    return Node(data, over.place, over.key)


def _named(section: str, base: Node | None, over: Node, problems: Problems) -> Node:
    """Lay entries of ``heads`` or ``metrics`` over others; null removes one."""
    entries = dict(base.data) if base is not None and isinstance(base.data, dict) else {}
    for key, node in over.data.items():
        if node.data is not None:
            entries[key] = _over(entries.get(key), node)
        elif key in entries:
            del entries[key]
        else:
            problems.add(node.key, f"{section}.{shown(key)}: nothing to remove{suggest.hint(key, entries)}")
    return Node(entries, over.place, over.key)


def _unknown(key: str, node: Node, layer: dict[str, Node], problems: Problems) -> None:
    accepted = ("extends", *KEYS)
    hint = suggest.hint(key, accepted, taken=layer)
    problems.add(node.key, f"{shown(key)}: unknown section{hint} (accepted: {', '.join(accepted)})")
