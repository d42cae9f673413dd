"""The scores of a run as rows: value, chance, and what they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unitdisc.report.data import Score

if TYPE_CHECKING:
    from unitdisc.run import Run


def scores(run: Run) -> list[Score]:
    """Return a row per metric of ``metrics.json``, then one per loss of decoder and heads on that split."""
    metrics = run.metrics
    rows = []
    for name, found in metrics["metrics"].items():
        component = run.recipe.metrics[name].component
        direction = "higher is better" if found["higher_is_better"] else "lower is better"
        chance = found["chance"]
        rows.append(Score(name, found["values"]["value"], chance["value"] if chance else None,
                          f"{_first_sentence(component)} ({direction})"))
    rows += [Score(name, value, None, "per input frame") for name, value in metrics["losses"].items()]
    return rows


def _first_sentence(component: type) -> str:
    return (component.__doc__ or component.__name__).strip().split("\n")[0].rstrip(".")
