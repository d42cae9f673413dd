"""Check a value of a recipe against an annotation, and say in a reader's words what is wrong with it."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError

from unitdisc import suggest
from unitdisc.annotations import members, wanted
from unitdisc.problems import Place, shown

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from unitdisc.problems import Problems
    from unitdisc.yaml_marks import Node

_RANGES = {
    "greater_than": ("gt", "greater than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
    "multiple_of": ("multiple_of", "a multiple of"),
}
_TYPES = {
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "string": "text",
    "path": "a path",
    "list": "a list",
    "tuple": "a list",
    "dict": "a mapping",
}
_BOOLEANS = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}


def check(node: Node, annotation: Any, path: str, problems: Problems) -> Any:
    """Return the value that ``node`` means for a parameter, or None with the problems added.

    Args:
        node: What the recipe says.
        annotation: Of the parameter.
        path: Name of the parameter in messages.
        problems: Takes what is wrong.
    """
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(annotation)
    except (PydanticSchemaGenerationError, PydanticUserError):
        problems.add(node.place, f"{path}: a recipe cannot hold this parameter (its type is {annotation})")
        return None
    try:
        # JSON has just the types of a recipe: strict JSON takes a list for a tuple, but no text for a number.
        value = adapter.validate_json(json.dumps(node.plain()), strict=True)
    except ValidationError as error:
        for place, text in _problems(error, node, annotation, path):
            problems.add(place, text)
        return None
    return _absolute(value, node)


def absolute(path: Path, folder: Path) -> Path:
    """Return ``path`` as written in ``folder``, without ``..`` and with the home folder in place of ``~``."""
    # Links stay as they are written, and a user that does not exist stays a folder of that name.
    return Path(os.path.abspath(folder / os.path.expanduser(path)))  # noqa: PTH100, PTH111


def plain(value: Any) -> Any:
    """Return a value as a recipe writes it. Raises `TypeError` for what no recipe can write."""
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, AbstractSet):
        return sorted(plain(item) for item in value)
    is_number = isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))
    if value is None or isinstance(value, str) or is_number:
        return value
    raise TypeError(repr(value))


def _absolute(value: Any, node: Node) -> Any:
    """Make every path in a value absolute, each from the folder of the file that has it."""
    if isinstance(value, Path):
        return absolute(value, node.place.folder)
    if isinstance(value, list | tuple) and isinstance(node.data, list):
        return type(value)(_absolute(item, inner) for item, inner in zip(value, node.data, strict=True))
    if isinstance(value, dict) and isinstance(node.data, dict):
        inside = node.data.values()
        return {key: _absolute(item, inner) for (key, item), inner in zip(value.items(), inside, strict=True)}
    return value


def _problems(error: ValidationError, node: Node, annotation: Any, path: str) -> list[tuple[Place, str]]:
    found = []
    for detail in error.errors(include_url=False, include_input=False):
        inner, inner_path, is_exact = _walk(node, detail["loc"])
        if not is_exact:  # an alternative of a union failed, so all did
            return [
                (
                    node.place,
                    f"{path} must be {wanted(annotation)}, found {node.found()}{_hint(node, annotation)}",
                )
            ]
        accepted = _accepted(detail, annotation, is_whole=inner is node)
        hint = _hint(inner, annotation)
        found.append((inner.place, f"{path}{inner_path} must be {accepted}, found {inner.found()}{hint}"))
    return found


def _walk(node: Node, steps: tuple[int | str, ...]) -> tuple[Node, str, bool]:
    """Follow pydantic's location of an error; where it names an alternative of a union, that is no place."""
    path = ""
    for step in steps:
        if isinstance(step, int) and isinstance(node.data, list) and step < len(node.data):
            node, path = node.data[step], f"{path}[{step}]"
        elif isinstance(step, str) and isinstance(node.data, dict) and step in node.data:
            node, path = node.data[step], f"{path}.{shown(step)}"
        else:
            return node, path, False
    return node, path, True


def _accepted(detail: ErrorDetails, annotation: Any, *, is_whole: bool) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind in _RANGES:
        name, words = _RANGES[kind]
        bound = context[name]
        return f"{words} {int(bound) if bound == int(bound) else bound}"
    if kind in ("literal_error", "enum"):
        names = str(context["expected"])
        return f"one of {names}" if " or " in names else names
    if kind in ("too_short", "string_too_short"):
        return f"at least {context['min_length']} long"
    if kind in ("too_long", "string_too_long"):
        return f"at most {context['max_length']} long"
    if is_whole:
        return wanted(annotation)
    return _TYPES.get(kind.partition("_")[0], f"a part of {wanted(annotation)}")


def _hint(node: Node, annotation: Any) -> str:
    """Return what to write instead, where that is clear."""
    alternatives = members(annotation)
    if isinstance(node.data, str):
        names = [name for inner in alternatives for name in get_args(inner) if isinstance(name, str)]
        if bool in alternatives and node.data.casefold() in _BOOLEANS:
            return f"; write {_BOOLEANS[node.data.casefold()]}"
        return suggest.hint(node.data, names)
    is_scalar = node.data is not None and not isinstance(node.data, list | dict)
    return "; put it in quotes" if is_scalar and str in alternatives else ""
