"""What a paper reports for the system that a recipe describes; shown beside our scores, used for nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import MinLen

from unitdisc import suggest
from unitdisc.problems import shown
from unitdisc.values import check

if TYPE_CHECKING:
    from collections.abc import Mapping

    from unitdisc.problems import Problems
    from unitdisc.yaml_marks import Node

_TEXTS = ("table", "row")
_DECODER = "decoder."


@dataclass(frozen=True)
class Paper:
    """A row of a table.

    Args:
        table: Where it stands: "A, Table I".
        row: Which row it is; "" where the table says enough.
        values: What is reported, by name of our metric, or "decoder.NAME".
    """

    table: str
    row: str
    values: Mapping[str, float]

    def __str__(self) -> str:
        return f"{self.table}: {self.row}" if self.row else self.table

    def plain(self) -> dict[str, Any]:
        """Return the section that says this."""
        return {"table": self.table, "row": self.row, **self.values}


def read(node: Node | None, metrics: Mapping[str, bool], problems: Problems) -> Paper | None:
    """Return what the section ``paper`` says, or None without one or with problems, which are noted.

    Args:
        node: The section.
        metrics: Names that a value may have, with False for a metric that the recipe had before it was removed.
        problems: Takes what is wrong.
    """
    if node is None:
        return None
    if not isinstance(node.data, dict):
        problems.add(node.place, f"paper must be a section, found {node.found()}")
        return None
    if "table" not in node.data:
        problems.add(node.key, "paper.table: missing; say where the values stand, as in table: 'A, Table I'")
    values, texts = {}, dict.fromkeys(_TEXTS, "")
    for name, inner in node.data.items():
        path = f"paper.{shown(name)}"
        if name in _TEXTS:
            texts[name] = check(inner, Annotated[str, MinLen(1)] if name == "table" else str, path, problems)
        elif name not in metrics and not name.startswith(_DECODER):
            accepted = ", ".join([*_TEXTS, *metrics, f"{_DECODER}NAME"])
            hint = suggest.hint(name, [*_TEXTS, *metrics], taken=node.data)
            problems.add(
                inner.key, f"{path}: the recipe has no metric of that name{hint} (accepted: {accepted})"
            )
        elif inner.data is not None and metrics.get(name, True):  # null takes a value back
            values[name] = check(inner, float, path, problems)
    return Paper(texts["table"], texts["row"], values)
