"""The scores of a run as rows: value, chance, and what they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unitdisc.report.data import Score

if TYPE_CHECKING:
    from unitdisc.run import Run


def scores(run: Run) -> list[Score]:
    """Return a row per metric of ``metrics.json``, then the decoder's numbers on that split."""
    metrics = run.metrics
    rows = []
    for name, found in metrics["metrics"].items():
        chance = found["chance"]
        rows.append(
            Score(
                name,
                found["values"]["value"],
                chance["value"] if chance else None,
                first_sentence(run.recipe.metrics[name].component),
                better="higher" if found["higher_is_better"] else "lower",
            )
        )
    rows += [
        Score(name, value, metrics["losses_chance"][name], f"{name}, mean over the split's frames")
        for name, value in metrics["losses"].items()
        if name.startswith("decoder.")
    ]
    return rows


def first_sentence(component: type) -> str:
    """Return what a component is, in a line."""
    return (component.__doc__ or component.__name__).strip().split("\n")[0].rstrip(".").replace("`", "")
