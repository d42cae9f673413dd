"""Find plugins through entry points, isolate broken ones, look a component up, say what exists.

Each entry point of the group ``unitdisc`` is tried by itself: one broken plugin takes nothing else down.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING, Any

import pluggy

from unitdisc import hookspecs
from unitdisc.errors import PluginError
from unitdisc.suggest import hint

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

HOOKS = {
    "data": "unitdisc_data",
    "encoder": "unitdisc_encoders",
    "bottleneck": "unitdisc_bottlenecks",
    "decoder": "unitdisc_decoders",
    "head": "unitdisc_heads",
    "metric": "unitdisc_metrics",
    "exporter": "unitdisc_exporters",
    "reader": "unitdisc_readers",
}
KINDS = tuple(HOOKS)

_CONTRACTS = {
    "data": ("unitdisc.data", ("DataSource", "Corpus", "Vocoder")),
    "encoder": ("unitdisc.parts", ("Encoder",)),
    "bottleneck": ("unitdisc.parts", ("Bottleneck",)),
    "decoder": ("unitdisc.parts", ("Decoder",)),
    "head": ("unitdisc.parts", ("Head",)),
    "metric": ("unitdisc.metric", ("Metric",)),
    "exporter": ("unitdisc.exporter", ("Exporter",)),
    "reader": ("unitdisc.reader", ("Reader",)),
}
_TARGET = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


@dataclass(frozen=True)
class Component:
    """What one plugin offers under one name.

    Args:
        kind: One of `KINDS`.
        name: What a recipe calls it.
        target: The class, or "module:Class".
        plugin: The entry point.
        distribution: The installed package that the entry point belongs to.
        version: The version of that package.
    """

    kind: str
    name: str
    target: type | str
    plugin: str
    distribution: str
    version: str

    @property
    def origin(self) -> str:
        """Where the component comes from, for messages."""
        return _origin(self)


@dataclass(frozen=True)
class Broken:
    """A plugin that was not loaded, and why, in one line."""

    plugin: str
    distribution: str
    version: str
    reason: str

    @property
    def origin(self) -> str:
        """Where the plugin comes from, for messages."""
        return _origin(self)


@dataclass(frozen=True)
class _Scan:
    components: list[Component] = field(default_factory=list)
    broken: list[Broken] = field(default_factory=list)


class _UnusableError(Exception):
    """Why an entry point is no plugin."""


def found(kind: str) -> list[Component]:
    """Return everything that plugins offer of ``kind``, sorted by name, clashing names included."""
    _check_kind(kind)
    return [component for component in _scan().components if component.kind == kind]


def components(kind: str) -> dict[str, Component]:
    """Return the components of ``kind`` by name. Raises `PluginError` when two plugins give the same name."""
    if messages := clashes(kind):
        raise PluginError("\n".join(messages))
    return {component.name: component for component in found(kind)}


def load(kind: str, name: str) -> type[Any]:
    """Import the class that recipes call ``name``."""
    existing = components(kind)
    if name not in existing:
        raise PluginError(_no_such(kind, name, existing))
    component = existing[name]
    loaded = _resolve(component)
    contracts = _contracts(kind)
    if not (isinstance(loaded, type) and issubclass(loaded, contracts)):
        accepted = " or ".join(f"{contract.__module__}.{contract.__name__}" for contract in contracts)
        raise PluginError(
            f"{kind} '{name}' of {component.origin}: {component.target} does not derive from {accepted}"
        )
    return loaded


def broken() -> list[Broken]:
    """Return the plugins that were not loaded."""
    return list(_scan().broken)


def clashes(kind: str) -> list[str]:
    """Return one message per name of ``kind`` that more than one plugin gives."""
    owners: dict[str, list[str]] = {}
    for component in found(kind):
        owners.setdefault(component.name, []).append(component.origin)
    return [
        f"{kind} '{name}' is given by {' and by '.join(origins)}: uninstall or rename one of them"
        for name, origins in owners.items()
        if len(origins) > 1
    ]


def origins() -> list[dict[str, str]]:
    """Return every distribution that gives components, with its version."""
    pairs = sorted({(component.distribution, component.version) for component in _scan().components})
    return [{"distribution": distribution, "version": version} for distribution, version in pairs]


def require_all_loaded() -> None:
    """Raise `PluginError` that lists the plugins that were not loaded, if there are any."""
    if messages := [f"plugin {item.origin} is not loaded: {item.reason}" for item in broken()]:
        raise PluginError("\n".join(messages))


def refresh() -> None:
    """Forget what was found; the next look-up scans again."""
    importlib.invalidate_caches()
    _scan.cache_clear()


@cache
def _scan() -> _Scan:
    scan = _Scan()
    for entry in metadata.entry_points(group="unitdisc"):
        distribution, version = _distribution(entry)
        try:
            for kind, name, target in _offered(entry):
                scan.components.append(Component(kind, name, target, entry.name, distribution, version))
        except _UnusableError as reason:
            scan.broken.append(Broken(entry.name, distribution, version, str(reason)))
    scan.components.sort(key=lambda component: (component.name, component.distribution, component.plugin))
    scan.broken.sort(key=lambda item: (item.distribution, item.plugin))
    return scan


def _offered(entry: metadata.EntryPoint) -> list[tuple[str, str, type | str]]:
    """Return (kind, name, target) of everything that the plugin behind ``entry`` offers."""
    try:
        # What a plugin prints must not end up in the output of --json.
        with redirect_stdout(sys.stderr):
            plugin = entry.load()
            _check_hooks(plugin)
            manager = pluggy.PluginManager("unitdisc")
            manager.add_hookspecs(hookspecs)
            manager.register(plugin)
            return [
                (kind, name, target)
                for kind, hook in HOOKS.items()
                for implementation in getattr(manager.hook, hook).get_hookimpls()
                for name, target in _checked(hook, implementation.function())
            ]
    except _UnusableError:
        raise
    except (Exception, SystemExit) as error:
        raise _UnusableError(_one_line(error)) from error


def _check_hooks(plugin: object) -> None:
    """Say what is wrong with a plugin's hooks in words; pluggy's own check leaves an unmarked hook unseen."""
    is_plugin = False
    for name, function in inspect.getmembers(plugin, inspect.isroutine):
        is_marked = hasattr(function, "unitdisc_impl")
        if not is_marked and not name.startswith("unitdisc_"):
            continue
        if name not in HOOKS.values():
            raise _UnusableError(f"there is no hook {name}{hint(name, HOOKS.values())}")
        if not is_marked:
            raise _UnusableError(f"{name} is not marked with @unitdisc.hookimpl")
        if parameters := inspect.signature(function).parameters:
            raise _UnusableError(f"{name} asks for the argument '{next(iter(parameters))}', hooks take none")
        is_plugin = True
    if not is_plugin:
        raise _UnusableError("no function in it is marked with @unitdisc.hookimpl")


def _checked(hook: str, offered: object) -> Iterator[tuple[str, type | str]]:
    accepted = "accepted: a mapping of names to classes or 'module:Class'"
    if not isinstance(offered, Mapping):
        raise _UnusableError(f"{hook} returned {type(offered).__name__} ({accepted})")
    for name, target in offered.items():
        is_target = isinstance(target, type) or (isinstance(target, str) and _TARGET.fullmatch(target))
        if not (isinstance(name, str) and name and is_target):
            raise _UnusableError(f"{hook} returned {{{name!r}: {target!r}}} ({accepted})")
        yield name, target


def _resolve(component: Component) -> object:
    if isinstance(component.target, type):
        return component.target
    module, _, attribute = component.target.partition(":")
    where = f"{component.kind} '{component.name}' of {component.origin}"
    try:
        with redirect_stdout(sys.stderr):
            loaded = importlib.import_module(module)
    except (Exception, SystemExit) as error:
        raise PluginError(f"{where}: cannot import {module}: {_one_line(error)}") from error
    if not hasattr(loaded, attribute):
        raise PluginError(f"{where}: {module} has no '{attribute}'{hint(attribute, vars(loaded))}")
    return getattr(loaded, attribute)


def _contracts(kind: str) -> tuple[type, ...]:
    module, names = _CONTRACTS[kind]
    loaded = importlib.import_module(module)
    return tuple(getattr(loaded, name) for name in names)


def _check_kind(kind: str) -> None:
    if kind not in HOOKS:
        raise PluginError(f"there is no kind '{kind}'{hint(kind, KINDS)} (accepted: {', '.join(KINDS)})")


def _no_such(kind: str, name: str, existing: Iterable[str]) -> str:
    names = ", ".join(existing) or "none; is the package installed, for example with 'pip install -e .'?"
    lost = "".join(f"; plugin {item.origin} is not loaded: {item.reason}" for item in broken())
    return f"there is no {kind} '{name}'{hint(name, existing)} (accepted: {names}){lost}"


def _distribution(entry: metadata.EntryPoint) -> tuple[str, str]:
    if entry.dist is None:
        return "unknown", "unknown"
    # A damaged package lacks either; the plugin may still work.
    return entry.dist.metadata["Name"] or "unknown", entry.dist.metadata["Version"] or "unknown"


def _origin(item: Component | Broken) -> str:
    return f"'{item.plugin}' of {item.distribution} {item.version}"


def _one_line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split()).rstrip(": ")
