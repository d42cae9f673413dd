"""What a constructor's annotations say, in the words of a recipe's reader."""

from __future__ import annotations

import importlib
import types
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types

CONTRACTS = {
    "DataSource": ("unitdisc.data", "data", "data source"),
    "Corpus": ("unitdisc.data", "data", "corpus"),
    "Vocoder": ("unitdisc.data", "data", "vocoder"),
    "Encoder": ("unitdisc.parts", "encoder", "encoder"),
    "Bottleneck": ("unitdisc.parts", "bottleneck", "bottleneck"),
    "Decoder": ("unitdisc.parts", "decoder", "decoder"),
    "Head": ("unitdisc.parts", "head", "head"),
    "Metric": ("unitdisc.metric", "metric", "metric"),
    "Exporter": ("unitdisc.exporter", "exporter", "exporter"),
    "Reader": ("unitdisc.reader", "reader", "reader"),
}
"""Base class: (its module, its kind, what a message calls it)."""

_WORDS = {
    Any: ("anything", "values"),
    bool: ("true or false", "true or false"),
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    str: ("text", "texts"),
    Path: ("a path", "paths"),
    type(None): ("null", "nulls"),
}
_RANGES = (
    (annotated_types.Gt, "gt", "greater than"),
    (annotated_types.Ge, "ge", "at least"),
    (annotated_types.Lt, "lt", "less than"),
    (annotated_types.Le, "le", "at most"),
    (annotated_types.MultipleOf, "multiple_of", "a multiple of"),
)


def contract(component: object) -> tuple[str, str] | None:
    """Return the kind of a component class and what a message calls it, or None for any other annotation."""
    if isinstance(component, type):
        for base in component.__mro__:
            module, kind, words = CONTRACTS.get(base.__name__, ("", "", ""))
            if base.__module__ == module:
                return kind, words
    return None


def contract_class(name: str) -> type:
    """Import a contract."""
    found: type = getattr(importlib.import_module(CONTRACTS[name][0]), name)
    return found


def wanted(annotation: Any) -> str:
    """Return what an annotation accepts: "a whole number or null"."""
    return _words(annotation)[0]


def members(annotation: Any) -> tuple[Any, ...]:
    """Return the alternatives of a union, without what `Annotated` adds; a single one for no union."""
    if get_origin(annotation) is Annotated:
        return members(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return tuple(inner for outer in get_args(annotation) for inner in members(outer))
    return (annotation,)


def range_text(annotation: Any) -> str:
    """Return the range that an annotation sets: "greater than 0, less than 1"; empty without one."""
    return ", ".join(dict.fromkeys(_ranges(annotation)))


def _words(annotation: Any) -> tuple[str, str]:
    """Return the words for one value and for many."""
    alternatives = members(annotation)
    if len(alternatives) > 1:
        # null is said last whatever the order of the annotation
        ordered = sorted(alternatives, key=lambda inner: inner is type(None))
        return _alternatives([wanted(inner) for inner in ordered]), "values"
    (bare,) = alternatives
    if bare in _WORDS:
        return _WORDS[bare]
    if get_origin(bare) is Literal:
        names = [str(value) if isinstance(value, int) else repr(value) for value in get_args(bare)]
        return (f"one of {_alternatives(names)}" if len(names) > 1 else names[0]), "names"
    if is_contract := contract(bare):
        return f"a {is_contract[1]} section", f"{is_contract[1]} sections"
    return _collection(bare)


def _collection(bare: Any) -> tuple[str, str]:
    origin, inner = get_origin(bare) or bare, [item for item in get_args(bare) if item is not Ellipsis]
    if not isinstance(origin, type):
        return str(bare), str(bare)
    if issubclass(origin, Mapping):
        return f"a mapping of names to {_words(inner[-1])[1]}" if inner else "a mapping", "mappings"
    if issubclass(origin, Collection):
        is_fixed = issubclass(origin, tuple) and Ellipsis not in get_args(bare) and inner
        count = f" {len(inner)}" if is_fixed else ""
        many = {_words(item)[1] for item in inner}
        return f"a list of{count} {many.pop() if len(many) == 1 else 'values'}", "lists"
    return f"a {origin.__name__}", f"{origin.__name__}s"


def _alternatives(words: list[str]) -> str:
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _ranges(annotation: Any) -> list[str]:
    if get_origin(annotation) is Literal:
        return []
    found = [text for item in getattr(annotation, "__metadata__", ()) for text in _constraint(item)]
    inner = [text for item in get_args(annotation) for text in _ranges(item)]
    if inner and isinstance(get_origin(annotation), type) and get_origin(annotation) is not types.UnionType:
        inner = [f"each {text.removeprefix('each ')}" for text in inner]
    return found + inner


def _constraint(item: Any) -> list[str]:
    if isinstance(item, annotated_types.Len | annotated_types.MinLen | annotated_types.MaxLen):
        return [_length(getattr(item, "min_length", 0), getattr(item, "max_length", None))]
    if isinstance(item, annotated_types.GroupedMetadata):
        return [text for part in item for text in _constraint(part)]
    return [f"{words} {getattr(item, name)}" for kind, name, words in _RANGES if isinstance(item, kind)]


def _length(least: int, most: int | None) -> str:
    if most is None:
        return f"at least {least} long"
    return f"{least} long" if least == most else f"{least} to {most} long"
