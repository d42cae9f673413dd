"""``unitdisc report``: the page and picture of a trained run."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("report", short_help="Draw the report of a run.")
@click.argument("run_folder", metavar="RUN", type=click.Path(path_type=Path))
def command(run_folder: Path) -> None:
    """Write report.html and units.png into RUN, anew."""
    from unitdisc import steps
    from unitdisc.run import load
    from unitdisc.stopping import interruptible

    run = load(run_folder)
    told = f"stopped; what was there is kept; do it again with: unitdisc report {run_folder}"
    with interruptible(told), run.folder.locked():
        steps.report(run, anew=True)
    for path in (run.folder.report, run.folder.picture):
        if path.exists():
            click.echo(path)
