"""``unitdisc report``: the page and picture of a trained run."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("report", short_help="Draw the report of a run.")
@click.argument("run_folder", metavar="RUN", type=click.Path(path_type=Path))
@click.option(
    "--beside",
    metavar="RUN2",
    type=click.Path(path_type=Path),
    help="Another run over the same data, to compare with: its scores, curves and units stand beside those of RUN.",
)
def command(run_folder: Path, beside: Path | None) -> None:
    """Write report.html and units.png into RUN, anew.

    The page opens from disk in any browser and needs nothing else: scores, curves, and a browser of units with
    sound, pictures and labels.
    """
    from unitdisc import steps
    from unitdisc.run import load
    from unitdisc.stopping import interruptible

    run = load(run_folder)
    other = load(beside) if beside is not None else None
    told = f"stopped; what was there is kept; do it again with: unitdisc report {run_folder}"
    with interruptible(told), run.folder.locked():
        steps.report(run, anew=True, beside=other)
    for path in (run.folder.report, run.folder.picture):
        if path.exists():
            click.echo(path)
