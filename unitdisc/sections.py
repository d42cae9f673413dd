"""Check the sections of a recipe against the constructors of the components that they name."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unitdisc import suggest
from unitdisc.annotations import contract, contract_class, members
from unitdisc.errors import PluginError
from unitdisc.params import REQUIRED, Parameter, parameters
from unitdisc.problems import quoted, shown
from unitdisc.settings import SECTIONS
from unitdisc.use import Use
from unitdisc.values import absolute, check, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from unitdisc.problems import Place, Problems
    from unitdisc.yaml_marks import Node

_CONTRACT = {
    "data": "DataSource",
    "encoder": "Encoder",
    "bottleneck": "Bottleneck",
    "decoder": "Decoder",
    "heads": "Head",
    "metrics": "Metric",
    "metric": "Metric",
    "exporter": "Exporter",
    "reader": "Reader",
    "vocoder": "Vocoder",
}
_schema: Callable[..., list[Parameter]] = functools.cache(parameters)
_ENTRY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


class Sections:
    """Turns nodes into checked values. What has problems comes back as None, with the problems noted.

    Args:
        nodes: Sections by name.
        start: Where the recipe starts; what is missing is missing there.
        problems: Takes what is wrong.
    """

    def __init__(self, nodes: dict[str, Node], start: Place, problems: Problems) -> None:
        self._nodes = nodes
        self._start = start
        self._problems = problems

    def value(self, key: str, annotation: Any, default: Any) -> Any:
        """Return the value of a key that is no section."""
        return check(self._nodes[key], annotation, key, self._problems) if key in self._nodes else default

    def node(self, *path: str) -> Node | None:
        """Return what is written at ``path``, or None."""
        nodes, found = self._nodes, None
        for step in path:
            found = nodes.get(step)
            nodes = found.data if found is not None and isinstance(found.data, dict) else {}
        return found

    def settings(self, key: str) -> Any:
        """Return a section of the engine."""
        section = SECTIONS[key]
        node = self._nodes.get(key)
        if node is not None and not isinstance(node.data, dict):
            self._problems.add(node.place, f"{key} must be a section, found {node.found()}")
            return None
        given = node.data if node else {}
        if "formats" in given and key == "export":
            self._check_formats(given["formats"])
        place = node.key if node else self._start
        values = self._arguments(_schema(section), given, place, key, f"section {key}")
        return section(**values)

    def use(self, key: str, *, is_required: bool) -> Use | None:
        """Return the component of a section."""
        wanted = contract_class(_CONTRACT[key])
        if key in self._nodes:
            return self._use(self._nodes[key], (wanted,), key)
        if is_required:
            names = f" (accepted: {', '.join(self._names(key))})"
            self._problems.add(self._start, f"{key}: missing; write {key}: {{use: NAME}}{names}")
        return None

    def uses(self, key: str) -> dict[str, Use]:
        """Return the components of a section of named ones."""
        node = self._nodes.get(key)
        if node is None:
            return {}
        if not isinstance(node.data, dict):
            text = f"{key} must be a section of any names, each with use: NAME, found {node.found()}"
            self._problems.add(node.place, text)
            return {}
        wanted = contract_class(_CONTRACT[key])
        found = {}
        for name, entry in node.data.items():
            path = f"{key}.{shown(name)}"
            if not _ENTRY.fullmatch(name):
                text = f"{path}: a name here is made of letters, digits, _ and -, and starts with no digit"
                self._problems.add(entry.key, text)
            elif isinstance(entry.data, dict) and "use" not in entry.data and _likely(name, entry, node):
                hint = _likely(name, entry, node)
                self._problems.add(entry.key, f"{path}: has no 'use'{hint}")
            elif use := self._use(entry, (wanted,), path):
                found[name] = use
        return found

    def _use(self, node: Node, wanted: Sequence[type], path: str) -> Use | None:
        found = contract(wanted[0])
        assert found is not None, "only contracts are asked for"  # noqa: S101
        kind, words = found
        if not isinstance(node.data, dict):
            text = f"{path} must be a {words} section, {{use: NAME, ...}}, found {node.found()}"
            self._problems.add(node.place, text)
            return None
        name = self._use_name(node, kind, path)
        component = self._load(kind, name, node.data["use"].place, path) if name else None
        if name is None or component is None or not self._fits(component, wanted, node, path):
            return None
        place = node.data["use"].place
        given = {key: inner for key, inner in node.data.items() if key != "use"}
        try:
            schema = _schema(component, kind)
            arguments = self._arguments(schema, given, place, path, name)
        except PluginError as error:
            self._problems.add(place, str(error))
            return None
        kept = {parameter.name: arguments.pop(parameter.name) for parameter in schema if parameter.kept}
        return Use(kind, name, component, arguments, str(place), **kept)

    def _use_name(self, node: Node, kind: str, path: str) -> str | None:
        use = node.data.get("use")
        if use is not None and isinstance(use.data, str):
            return str(use.data)
        accepted = f"(accepted: {', '.join(self._names(kind))})"
        if use is not None:
            text = f"{path}.use must be the name of a component, found {use.found()} {accepted}"
            self._problems.add(use.place, text)
            return None
        misspelt = [key for key in node.data if suggest.nearest(key, ["use"])]
        for key in misspelt:
            self._problems.add(
                node.data[key].key, f"{path}.{shown(key)}: unknown parameter; did you mean 'use'?"
            )
        if not misspelt:
            self._problems.add(node.key, f"{path}: names no component; write use: NAME {accepted}")
        return None

    def _load(self, kind: str, name: str, place: Place, path: str) -> type[Any] | None:
        from unitdisc import plugins  # noqa: PLC0415  (reading this module must not look for plugins)

        try:
            names = list(plugins.components(kind))
            if name in names:
                return plugins.load(kind, name)
            elsewhere = [other for other in plugins.KINDS if name in plugins.components(other)]
        except PluginError as error:
            self._problems.add(place, f"{path}.use: {' '.join(str(error).split())}")
            return None
        hint = f"; it is a {elsewhere[0]}" if elsewhere else suggest.hint(name, names)
        broken = "; some plugins are not loaded, see 'unitdisc plugins'" if plugins.broken() else ""
        text = f"{path}.use: there is no {kind} {quoted(name)}{hint} (accepted: {', '.join(names)}){broken}"
        self._problems.add(place, text)
        return None

    def _fits(self, component: type, wanted: Sequence[type], node: Node, path: str) -> bool:
        if issubclass(component, tuple(wanted)):
            return True
        name, place = node.data["use"].data, node.data["use"].place
        _, words = contract(component) or ("", component.__name__)
        if path == "data" and words == "corpus":
            example = f"data: {{use: ..., corpus: {{use: {name}}}}}"
            self._problems.add(place, f"data.use: {name} makes a corpus; write {example}")
        else:
            names = " or ".join(_called(one) for one in wanted)
            self._problems.add(place, f"{path}.use: {name} is a {words}, wanted is a {names}")
        return False

    def _arguments(
        self, schema: list[Parameter], given: dict[str, Node], place: Place, path: str, owner: str
    ) -> dict[str, Any]:
        """Return the values of all parameters of ``schema`` that the engine does not supply."""
        by_name = {parameter.name: parameter for parameter in schema}
        for key, node in given.items():
            if key not in by_name:
                self._problems.add(node.key, f"{path}.{shown(key)}: {_unknown(key, given, schema, owner)}")
            elif by_name[key].supplied:
                self._problems.add(node.key, f"{path}.{key}: the engine fills this in; remove it")
        values = {}
        for name, parameter in by_name.items():
            if parameter.supplied:
                continue
            inside = f"{path}.{name}"
            if name in given:
                values[name] = self._value(given[name], parameter.annotation, inside)
            else:
                values[name] = self._default(parameter, place, inside, owner)
        return values

    def _value(self, node: Node, annotation: Any, path: str) -> Any:
        alternatives = members(annotation)
        contracts = [one for one in alternatives if contract(one)]
        if not contracts:
            return check(node, annotation, path, self._problems)
        if node.data is None and type(None) in alternatives:
            return None
        return self._use(node, contracts, path)

    def _default(self, parameter: Parameter, place: Place, path: str, owner: str) -> Any:
        value = parameter.default
        if value is REQUIRED:
            kind = f" ({parameter.type_text})" if parameter.type_text else ""
            self._problems.add(place, f"{path}: missing; {owner} needs it{kind}")
            return None
        try:
            plain(value)
        except TypeError as error:
            self._problems.add(place, f"{path}: its default {error} cannot be written into a recipe")
        return absolute(value, Path()) if isinstance(value, Path) else value

    def _check_formats(self, node: Node) -> None:
        from unitdisc import plugins  # noqa: PLC0415  (reading this module must not look for plugins)

        names = list(plugins.components("exporter"))
        for place, entry in enumerate(node.data if isinstance(node.data, list) else ()):
            if isinstance(entry.data, str) and entry.data not in names:
                hint = suggest.hint(entry.data, names)
                text = f"export.formats[{place}]: there is no exporter {quoted(entry.data)}{hint}"
                self._problems.add(entry.place, f"{text} (accepted: {', '.join(names)})")

    def _names(self, kind: str) -> list[str]:
        from unitdisc import plugins  # noqa: PLC0415  (reading this module must not look for plugins)

        return [item.name for item in plugins.found(kind)]


def _unknown(key: str, given: dict[str, Node], schema: list[Parameter], owner: str) -> str:
    accepted = [parameter.name for parameter in schema if not parameter.supplied]
    # What the same file says already is less likely what it meant to say here.
    taken = [other for other, beside in given.items() if beside.key.source == given[key].key.source]
    hint = suggest.hint(key, [*accepted, *([] if owner.startswith("section ") else ["use"])], taken=taken)
    return f"unknown parameter of {owner}{hint} (accepted: {', '.join(accepted) or 'none'})"


def _likely(name: str, entry: Node, section: Node) -> str:
    """Return which entry of the base an entry without ``use`` was meant to change."""
    if any(suggest.nearest(key, ["use"]) for key in entry.data):
        return ""
    return suggest.hint(name, [other for other in section.data if other != name])


def _called(wanted: type) -> str:
    found = contract(wanted)
    is_contract = found is not None and wanted.__module__.startswith("unitdisc.")
    return found[1] if found is not None and is_contract else wanted.__name__
