"""YAML whose every key and value knows its line and column, and whose text stays text.

Differs from ``yaml.safe_load``: plain ``null``, ``true``, ``false``, decimal integers and floats (``1e-3``
too) are the only words with a meaning; duplicate keys, tags, deep nesting and exploding anchors are reported.
"""

from __future__ import annotations

import json
import math
import os
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NoReturn

import yaml

from unitdisc.problems import Place, quoted, shown

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from unitdisc.problems import Problems

MAX_BYTES = 1_000_000
MAX_DEPTH = 64
MAX_NODES = 100_000

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?")
_WORDS = {"": None, "null": None, "true": True, "false": False}
_MAX_INT_DIGITS = 18  # always fits into 64 bits; a longer one is read as a float
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Node:
    """A value with its place.

    Args:
        data: None, bool, int, float, str, list of nodes, or nodes by key.
        place: Where the value starts.
        key: Where its key starts; the same as ``place`` for what has no key.
    """

    data: Any
    place: Place
    key: Place

    def plain(self) -> Any:
        """Return the value without places."""
        if isinstance(self.data, list):
            return [node.plain() for node in self.data]
        if isinstance(self.data, dict):
            return {key: node.plain() for key, node in self.data.items()}
        return self.data

    def found(self) -> str:
        """Return how a message names the value."""
        if isinstance(self.data, list):
            return f"a list of {len(self.data)}"
        if isinstance(self.data, dict):
            return "a section"
        if isinstance(self.data, str):
            return quoted(self.data)
        return json.dumps(self.data)


def origin(path: Path) -> Place:
    """Return the start of a file, named as seen from the current directory."""
    relative = os.path.relpath(path)
    label = os.path.abspath(path) if relative.startswith("..") else relative  # noqa: PTH100
    return Place(label, 1, 1, path.parent)


def read_file(path: Path, problems: Problems) -> Node:
    """Return the mapping that a file holds."""
    start = origin(path)
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        problems.stop(start, f"cannot be read ({error.strerror})")
    if len(content) > MAX_BYTES:
        problems.stop(start, f"is larger than {MAX_BYTES} bytes; this cannot be a recipe")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8-sig")
        problems.stop(_after(start, before), f"is not UTF-8 text (byte 0x{content[error.start]:02x})")
    node = parse(text, start, problems)
    if node.data is None:
        problems.stop(start, "is empty; a recipe is a mapping of sections")
    if not isinstance(node.data, dict):
        problems.stop(node.place, f"a recipe is a mapping of sections, found {node.found()}")
    return node


def parse(text: str, start: Place, problems: Problems, *, prefix: str = "") -> Node:
    """Return what ``text`` says. ``prefix`` stands before the text of every problem."""
    unprintable = _UNPRINTABLE.search(text)
    if unprintable:
        place = _after(start, text[: unprintable.start()])
        problems.stop(place, f"{prefix}control character {unprintable.group()!r}; remove it")
    return _Parser(text, start, problems, prefix).document()


class _Parser:
    """Builds nodes from libyaml's events; recursion ends at MAX_DEPTH."""

    def __init__(self, text: str, start: Place, problems: Problems, prefix: str) -> None:
        self.text = text
        self.start = start
        self.problems = problems
        self.prefix = prefix
        self.count = 0
        self.anchors: dict[str, tuple[Node, int, int]] = {}
        self.events: Iterator[Any] = iter(())

    def document(self) -> Node:
        self.events = yaml.parse(self.text, Loader=_Loader)
        try:
            next(self.events)  # the stream starts
            if isinstance(next(self.events), yaml.StreamEndEvent):
                return Node(None, self.start, self.start)
            node, _ = self.node(next(self.events), 1)
            next(self.events)  # the document ends
            after = next(self.events)
        except yaml.YAMLError as error:
            self._not_yaml(error)
        if not isinstance(after, yaml.StreamEndEvent):
            self.stop(after, "a second YAML document; a recipe is one document")
        return node

    def node(self, event: Any, depth: int) -> tuple[Node, int]:
        """Return the node that starts with ``event``, and how many levels it has."""
        before = self.count
        if isinstance(event, yaml.AliasEvent):
            node, size, height = self.alias(event)
            self.count += size
        else:
            self.count += 1
            node, height = self.fresh(event, depth)
        if self.count > MAX_NODES:
            self.stop(event, f"anchors expand to more than {MAX_NODES} values")
        if depth + height - 1 > MAX_DEPTH:
            self.stop(event, f"nested more than {MAX_DEPTH} levels deep")
        if getattr(event, "anchor", None) and not isinstance(event, yaml.AliasEvent):
            self.anchors[event.anchor] = node, self.count - before, height
        return node, height

    def fresh(self, event: Any, depth: int) -> tuple[Node, int]:
        place = self.place(event.start_mark)
        if event.tag is not None:
            self.add(place, f"tag {quoted(event.tag)}; recipes have no tags, remove it")
        if isinstance(event, yaml.ScalarEvent):
            return Node(_scalar(event), place, place), 1
        if depth >= MAX_DEPTH:
            self.stop(event, f"nested more than {MAX_DEPTH} levels deep")
        if isinstance(event, yaml.SequenceStartEvent):
            data, height = self.sequence(depth)
            return Node(data, place, place), height
        mapping, height = self.mapping(depth)
        return Node(mapping, place, place), height

    def sequence(self, depth: int) -> tuple[list[Node], int]:
        nodes, highest = [], 0
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            node, height = self.node(event, depth + 1)
            nodes.append(node)
            highest = max(highest, height)
        return nodes, highest + 1

    def mapping(self, depth: int) -> tuple[dict[str, Node], int]:
        nodes: dict[str, Node] = {}
        highest = 0
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            place = self.place(event.start_mark)
            key, _ = self.node(event, depth + 1)
            node, height = self.node(next(self.events), depth + 1)
            highest = max(highest, height)
            if not isinstance(event, yaml.ScalarEvent):
                self.add(place, "a key must be a word")
            elif event.value in nodes:
                self.add(place, f"{shown(event.value)}: written twice, first at {nodes[event.value].key}")
            else:
                nodes[event.value] = replace(node, key=key.place)
        return nodes, highest + 1

    def alias(self, event: Any) -> tuple[Node, int, int]:
        if event.anchor not in self.anchors:
            self.stop(event, f"no anchor &{shown(event.anchor)} ends before this")
        return self.anchors[event.anchor]

    def place(self, mark: Any) -> Place:
        if not self.start.line:
            return self.start
        return replace(self.start, line=mark.line + 1, column=mark.column + 1)

    def add(self, place: Place, text: str) -> None:
        self.problems.add(place, self.prefix + text)

    def stop(self, event: Any, text: str) -> NoReturn:
        self.problems.stop(self.place(event.start_mark), self.prefix + text)

    def _not_yaml(self, error: yaml.YAMLError) -> NoReturn:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        place = self.place(mark) if mark else self.start
        reason = getattr(error, "problem", None) or "unreadable"
        lines = self.text.split("\n")
        if mark and mark.line < len(lines) and lines[mark.line][mark.column : mark.column + 1] == "\t":
            reason = "a tab; indent with spaces"
        self.problems.stop(place, f"{self.prefix}not YAML: {reason}")


def _scalar(event: Any) -> Any:
    value = event.value
    if event.style:  # quoted or a block
        return value
    if value in _WORDS:
        return _WORDS[value]
    if _INT.fullmatch(value) and len(value.lstrip("+-")) <= _MAX_INT_DIGITS:
        return int(value)
    is_number = _INT.fullmatch(value) or _FLOAT.fullmatch(value)
    return float(value) if is_number and math.isfinite(float(value)) else value


class _Dumper(yaml.SafeDumper):
    """Quotes every text that `parse` would read as a number or word."""

    def ignore_aliases(self, data: Any) -> bool:
        del data
        return True

    def items(self, data: list[Any]) -> yaml.SequenceNode:
        """Keep a list of words and numbers on one line."""
        is_flat = not any(isinstance(item, list | dict) for item in data)
        return self.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=is_flat)

    def text(self, data: str) -> yaml.ScalarNode:
        """Escape line breaks of all kinds; between other quotes they would be folded."""
        style = None if data.isprintable() else '"'
        return self.represent_scalar("tag:yaml.org,2002:str", data, style)


_Dumper.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(rf"^(?:{_FLOAT.pattern})$"), list("-+0123456789.")
)
_Dumper.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(rf"^(?:{_INT.pattern})$"), list("-+0123456789")
)
_Dumper.add_representer(list, _Dumper.items)
_Dumper.add_representer(str, _Dumper.text)


def dump(value: Any) -> str:
    """Return plain values as YAML that `parse` reads back."""
    return yaml.dump(
        value, Dumper=_Dumper, default_flow_style=False, sort_keys=False, allow_unicode=True, width=110
    )


def _after(start: Place, before: str) -> Place:
    if not start.line:
        return start
    lines = before.split("\n")
    return replace(start, line=len(lines), column=len(lines[-1]) + 1)
