"""The stored definitions of other systems."""

from __future__ import annotations

import inspect

import pytest

from unitdisc import plugins
from unitdisc.like import LIKE

ROWS = [(system, row) for system, rows in LIKE.items() for row in rows]


@pytest.mark.parametrize(("system", "row"), ROWS)
def test_every_row_is_a_metric_that_builds(system: str, row: str) -> None:
    arguments = dict(LIKE[system][row])
    metric = plugins.load("metric", arguments.pop("use"))
    if "target" in inspect.signature(metric).parameters:
        arguments["target"] = "phones"
    metric(**arguments)


def test_no_row_names_the_labels() -> None:
    assert not [row for system, row in ROWS if {"target", "item_file", "spelling"} & {*LIKE[system][row]}]


def test_the_systems_are_those_of_the_documentation() -> None:
    assert [*LIKE] == ["discophon", "distsup", "beer", "vqwordseg", "zrc2019", "fairseq"]
