"""Parameters of components: their types, ranges, defaults and documentation come from the constructor."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pytest
from annotated_types import Ge, Gt, Len, Lt

from unitdisc import plugins
from unitdisc.errors import PluginError
from unitdisc.params import REQUIRED, Parameter, parameters
from unitdisc.settings import SECTIONS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unitdisc.somewhere import Unknown  # type: ignore[import-not-found]

    from unitdisc.parts import Bottleneck


class Rule:
    """A rule.

    Args:
        dim: Size of a latent.
        decay: Weight of the past;
            0.99 forgets in about 100 steps.
        root: Folder (of what: is said here).

    Attributes:
        other: No parameter.
    """

    def __init__(
        self,
        dim: int,
        *,
        decay: Annotated[float, Gt(0), Lt(1)] = 0.99,
        size: Annotated[int, Ge(1)] | None = None,
        norm: Literal["batch", "none"] = "none",
        channels: Annotated[tuple[Annotated[int, Gt(0)], ...], Len(2, 2)] = (1, 2),
        names: Sequence[str] = (),
        root: Path,
        rule: Bottleneck | None = None,
        **rest: Any,
    ) -> None: ...


class Derived(Rule):
    """A rule that documents nothing itself."""


def by_name(component: type, kind: str | None = None) -> dict[str, Parameter]:
    return {parameter.name: parameter for parameter in parameters(component, kind)}


@pytest.mark.parametrize(
    ("name", "type_text", "range_text"),
    [
        ("dim", "whole number", ""),
        ("decay", "number", "greater than 0, less than 1"),
        ("size", "whole number or null", "at least 1"),
        ("norm", "one of 'batch' or 'none'", ""),
        ("channels", "list of whole numbers", "2 long, each greater than 0"),
        ("names", "list of texts", ""),
        ("root", "path", ""),
        ("rule", "bottleneck section or null", ""),
    ],
)
def test_types_and_ranges_are_said_in_words(name, type_text, range_text):
    parameter = by_name(Rule)[name]
    assert (parameter.type_text, parameter.range_text) == (type_text, range_text)


def test_order_is_that_of_the_constructor_without_catch_alls():
    assert list(by_name(Rule)) == ["dim", "decay", "size", "norm", "channels", "names", "root", "rule"]


def test_defaults_are_those_of_the_constructor():
    found = by_name(Rule)
    assert found["decay"].default == 0.99
    assert found["size"].default is None
    assert found["root"].default is REQUIRED


def test_help_is_the_args_section_joined_to_one_line():
    found = by_name(Rule)
    assert found["decay"].help == "Weight of the past; 0.99 forgets in about 100 steps."
    assert found["root"].help == "Folder (of what: is said here)."
    assert not found["size"].help


def test_help_is_inherited():
    assert by_name(Derived)["dim"].help == "Size of a latent."


def test_the_engine_supplies_by_kind():
    assert by_name(Rule, "bottleneck")["dim"].supplied
    assert not by_name(Rule, "metric")["dim"].supplied
    assert not by_name(Rule)["dim"].supplied


def test_an_annotation_that_cannot_be_resolved_is_named():
    class Odd:
        def __init__(self, what: Unknown) -> None: ...

    with pytest.raises(PluginError, match=r"Odd: parameter what: its annotation 'Unknown' cannot be read"):
        parameters(Odd)


def test_a_supplied_parameter_needs_no_readable_annotation():
    class Odd:
        def __init__(self, dim: Unknown) -> None: ...

    assert by_name(Odd, "bottleneck")["dim"].type_text == "Unknown"


def test_a_factory_gives_its_value_as_default():
    @dataclass
    class WithList:
        names: list[str] = field(default_factory=lambda: ["a"])

    assert by_name(WithList)["names"].default == ["a"]


def test_no_constructor_is_no_parameters():
    assert parameters(type("Plain", (), {})) == []


@pytest.mark.parametrize("section", SECTIONS)
def test_every_engine_parameter_is_documented(section):
    assert [p.name for p in parameters(SECTIONS[section]) if not p.help] == []


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, component.name) for kind in plugins.KINDS for component in plugins.found(kind)]
)
def test_every_parameter_of_every_component_is_readable_and_documented(kind, name):
    found = parameters(plugins.load(kind, name), kind)
    assert [p.name for p in found if not p.supplied and not (p.type_text and p.help)] == []
