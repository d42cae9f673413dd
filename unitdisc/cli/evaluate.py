"""``unitdisc evaluate``: score a trained run from its folder alone."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command("evaluate", short_help="Score a trained run.")
@click.argument("run_folder", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print metrics.json.")
def command(run_folder: Path, *, as_json: bool) -> None:
    """Score RUN on its recipe's split and write metrics.json; prints what is there when it is up to date."""
    from unitdisc import steps
    from unitdisc.cli.scores import table
    from unitdisc.run import load
    from unitdisc.stopping import interruptible

    run = load(run_folder)
    told = f"stopped; what was there is kept; do it again with: unitdisc evaluate {run_folder}"
    with interruptible(told), run.folder.locked():
        steps.evaluate(run)
    if as_json:
        click.echo(json.dumps(run.metrics, indent=1))
    else:
        table(run)
