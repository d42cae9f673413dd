"""``unitdisc export``: unit files of a trained run from its folder alone."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("export", short_help="Write the units of a trained run.")
@click.argument("run_folder", metavar="RUN", type=click.Path(path_type=Path))
@click.argument("options", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "--format", "formats", multiple=True, metavar="NAME", help="Exporter, repeatable [default: the recipe's]."
)
@click.option(
    "--split", "splits", multiple=True, metavar="NAME", help="Split, repeatable [default: the recipe's]."
)
@click.option(
    "--deduplicate",
    is_flag=True,
    help="Merge equal neighbours into one unit, with durations beside where a format has room.",
)
@click.option("--book", type=click.IntRange(min=0), help="Write only this codebook of several.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder [default: RUN/units], replaced as a whole."
)
def command(
    run_folder: Path,
    options: tuple[str, ...],
    formats: tuple[str, ...],
    splits: tuple[str, ...],
    out: Path | None,
    *,
    deduplicate: bool,
    book: int | None,
) -> None:
    """Write the units of RUN; KEY=VALUE are parameters of the formats.

    `unitdisc plugins exporter` lists the formats, `unitdisc plugins exporter NAME` their parameters.
    """
    from unitdisc import steps
    from unitdisc.run import load
    from unitdisc.stopping import interruptible

    options = (*options, "deduplicate=true") if deduplicate else options
    run = load(run_folder)
    told = "stopped; what was there is kept, and what is done; go on with the same command"
    with interruptible(told), run.folder.locked():
        files = steps.export_units(
            run, formats=formats, splits=splits, options=options, book=book, folder=out
        )
    folder = out or run.folder.units
    for name in files:
        click.echo(folder / name)
    if not files:
        click.echo(f"{folder}: up to date, nothing to do")
