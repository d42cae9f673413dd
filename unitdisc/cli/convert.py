"""``unitdisc convert``: unit files of any system in another format."""

from __future__ import annotations

from pathlib import Path

import click

from unitdisc.cli import warn_broken

_PATH = click.Path(path_type=Path)


@click.command("convert", short_help="Write unit files of any system in another format.")
@click.argument("path", metavar="FILE", type=_PATH)
@click.argument("options", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--from", "source", required=True, metavar="NAME", help="Format of FILE.")
@click.option("--to", "target", required=True, metavar="NAME", help="Format to write.")
@click.option("--out", type=_PATH, required=True, help="Folder, replaced as a whole.")
@click.option("--deduplicate", is_flag=True, help="Merge equal neighbours into one unit.")
@click.option("--book", type=click.IntRange(min=0), help="Write only this codebook of several.")
@click.option("--step", type=click.FloatRange(min=0, min_open=True), help="How long one unit of FILE lasts.")
@click.option(
    "--unit-of-time", type=click.Choice(["second", "column", "pixel"]), help="Of the step [default: second]."
)
@click.option(
    "--num-codes", type=click.IntRange(min=1), help="Size K of a codebook [default: largest code + 1]."
)
def command(
    path: Path,
    *,
    options: tuple[str, ...],
    source: str,
    target: str,
    out: Path,
    deduplicate: bool,
    book: int | None,
    step: float | None,
    unit_of_time: str | None,
    num_codes: int | None,
) -> None:
    """Write the units of FILE, which may be a folder, in another format, and say what is lost.

    KEY=VALUE are parameters of the new format; `unitdisc plugins exporter` lists the formats. Step and number of codes
    are those of units.meta.json where it stands beside FILE.
    """
    from unitdisc.convert import convert, read

    warn_broken()
    options = (*options, "deduplicate=true") if deduplicate else options
    units = read(path, source, step=step, unit_of_time=unit_of_time, num_codes=num_codes)
    done = convert(units, target, out, options=options, book=book)
    for name in done.files:
        click.echo(out / name)
    if not units.is_told:
        click.echo(
            f"number of codes: {units.num_codes}, the largest code + 1; if there are more, give --num-codes"
        )
    click.echo(f"lost: {'; '.join(done.lost) or 'nothing'}")
