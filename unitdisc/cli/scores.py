"""The table of scores that ``run`` and ``evaluate`` print."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unitdisc.scores import scores

if TYPE_CHECKING:
    from unitdisc.run import Run


def table(run: Run) -> None:
    """Print each score beside its chance value from shuffled units."""
    from rich.console import Console
    from rich.table import Table

    metrics = run.metrics
    step = f"step {metrics['checkpoint_step']} of {run.recipe.train.steps}"
    title = f"{run.recipe.name}, split {metrics['split']}, {step}"
    shown = Table(title=title, title_justify="left")
    shown.add_column("score")
    for column in ("value", "chance"):
        shown.add_column(column, justify="right")
    shown.add_column("better")
    for score in scores(run):
        chance = "" if score.chance is None else f"{score.chance:.4g}"
        shown.add_row(score.name, f"{score.value:.4g}", chance, score.better)
    Console(highlight=False).print(shown)
