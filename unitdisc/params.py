"""The parameters of a component: its constructor's signature is the schema of its recipe section."""

from __future__ import annotations

import collections.abc
import dataclasses
import functools
import inspect
import re
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from unitdisc.annotations import CONTRACTS, contract_class, range_text, wanted
from unitdisc.errors import PluginError

SUPPLIED: dict[str, frozenset[str]] = {
    "encoder": frozenset({"features", "conditions"}),
    "bottleneck": frozenset({"dim"}),
    "decoder": frozenset(
        {"dim", "features", "stride", "grid", "conditions", "targets", "num_codes", "num_codebooks"}
    ),
    "head": frozenset({"dim", "stride", "grid", "targets", "num_codes", "num_codebooks"}),
}
"""What the engine fills in, by kind."""

_ON = (
    "What the head looks at. bottleneck: the quantised latents. encoder: the latents as the bottleneck gets them. "
    "input: the standardised frames that a latent stands for, side by side. units: the codes as indicators, one of K."
)


class _Required:
    def __repr__(self) -> str:
        return "REQUIRED"


REQUIRED: Final = _Required()
"""The default of a parameter that has none."""


@dataclass(frozen=True)
class Parameter:
    """One parameter of a constructor.

    Args:
        name: Its key in a recipe.
        annotation: Its type with its constraints.
        default: `REQUIRED` when there is none.
        help: What the constructor's documentation says, on one line.
        type_text: What it accepts: "whole number or null".
        range_text: Its range: "greater than 0, less than 1"; empty without one.
        supplied: Whether the engine fills it in, so that a recipe must not.
        kept: Whether the engine keeps it, so that the constructor does not see it.
    """

    name: str
    annotation: Any
    default: Any
    help: str
    type_text: str
    range_text: str
    supplied: bool
    kept: bool = False


def parameters(component: type[Any], kind: str | None = None) -> list[Parameter]:
    """Return the parameters of a component class in the order of its constructor.

    Args:
        component: A plugin's class or a section of the engine.
        kind: What the component is, so that what the engine supplies is known.
    """
    supplied = SUPPLIED.get(kind or "", frozenset())
    texts = _help(component)
    found = []
    for given in list(inspect.signature(component.__init__).parameters.values())[1:]:
        if given.kind in (given.VAR_POSITIONAL, given.VAR_KEYWORD):
            continue
        name, is_supplied = given.name, given.name in supplied
        annotation = Any if is_supplied else _annotation(component, name, given.annotation)
        words = (
            inspect.formatannotation(given.annotation).strip("'")
            if is_supplied
            else wanted(annotation).removeprefix("a ")
        )
        found.append(
            Parameter(
                name=name,
                annotation=annotation,
                default=_default(component, given),
                help=texts.get(name, ""),
                type_text=words,
                range_text=range_text(annotation),
                supplied=is_supplied,
            )
        )
    if kind == "head" and "on" not in {parameter.name for parameter in found}:
        found.append(_on(component))
    return found


def _on(component: type[Any]) -> Parameter:
    """Return what the engine takes out of a head's section; a constructor's own ``on`` stays its own."""
    annotation: Any = typing.Literal.__getitem__(component.places)
    return Parameter(
        name="on",
        annotation=annotation,
        default=component.places[0],
        help=_ON,
        type_text=wanted(annotation).removeprefix("a "),
        range_text="",
        supplied=False,
        kept=True,
    )


def _annotation(component: type[Any], name: str, given: Any) -> Any:
    """Resolve an annotation, also where its names are imported for type checkers only."""
    if given is inspect.Parameter.empty:
        return Any
    known = {**_known_names(), **getattr(component.__init__, "__globals__", {})}
    holder = type("holder", (), {"__annotations__": {name: given}})
    try:
        return typing.get_type_hints(holder, known, {}, include_extras=True)[name]
    except (NameError, AttributeError, TypeError, SyntaxError) as error:
        raise PluginError(
            f"{component.__module__}.{component.__qualname__}: parameter {name}: its annotation {given!r} "
            f"cannot be read ({error}); import what it names outside of TYPE_CHECKING"
        ) from error


@functools.cache
def _known_names() -> dict[str, Any]:
    """Return the names that modules often import for type checkers only."""
    contracts = {name: contract_class(name) for name in CONTRACTS}
    return {**vars(collections.abc), **contracts, "Path": Path, "Any": Any}


def _default(component: type[Any], given: inspect.Parameter) -> Any:
    if given.default is inspect.Parameter.empty:
        return REQUIRED
    if dataclasses.is_dataclass(component):
        # A signature shows a placeholder where the field has a factory.
        for item in dataclasses.fields(component):
            if item.name == given.name and item.default_factory is not dataclasses.MISSING:
                return item.default_factory()
    return given.default


def _help(component: type) -> dict[str, str]:
    """Return the ``Args:`` of the class and of the classes that it derives from."""
    texts: dict[str, str] = {}
    for base in reversed(component.__mro__):
        for documented in (vars(base).get("__init__"), base):
            texts.update(_args(getattr(documented, "__doc__", None) or ""))
    return texts


def _args(documentation: str) -> dict[str, str]:
    texts: dict[str, str] = {}
    name = ""
    _, _, section = inspect.cleandoc(documentation).partition("Args:\n")
    for line in section.splitlines():
        if line and not line.startswith(" "):
            break
        start = re.match(r" {4}(\w+)(?: \([^)]*\))?: *(.*)", line)
        if start:
            name, texts[start[1]] = start[1], start[2]
        elif name and line.strip():
            texts[name] += " " + line.strip()
    return texts
