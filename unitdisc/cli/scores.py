"""The table of scores that ``run`` and ``evaluate`` print."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unitdisc.scores import scores

if TYPE_CHECKING:
    from unitdisc.run import Run


def table(run: Run) -> None:
    """Print each score beside its chance value from shuffled units, what a paper reports, and what is not scored."""
    from rich.console import Console
    from rich.table import Table

    metrics = run.metrics
    step = f"step {metrics['checkpoint_step']} of {run.recipe.train.steps}"
    title = f"{run.recipe.name}, split {metrics['split']}, {step}"
    shown = Table(title=title, title_justify="left")
    shown.add_column("score")
    paper = run.recipe.paper
    for column in ("value", "chance", *(["paper"] if paper else [])):
        shown.add_column(column, justify="right")
    shown.add_column("better")
    for score in scores(run):
        numbers = [score.value, score.chance, *([paper.values.get(score.name)] if paper else [])]
        cells = ["" if number is None else f"{number:.4g}" for number in numbers]
        shown.add_row(score.name, *cells, score.better)
    if paper:
        shown.caption, shown.caption_justify = f"paper: {paper}", "left"
    console = Console(highlight=False)
    console.print(shown)
    if unscored := [name for name in run.recipe.metrics if name not in metrics["metrics"]]:
        console.print(f"not scored, as the data have nothing for them: {', '.join(unscored)}", soft_wrap=True)
