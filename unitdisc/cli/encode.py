"""``unitdisc encode``: units of recordings or line images that are not part of a run."""

from __future__ import annotations

import contextlib
from pathlib import Path

import click

from unitdisc.cli import warn_broken


@click.command("encode", short_help="Write the units of any other recordings or line images.")
@click.argument("run_folder", metavar="RUN", type=click.Path(path_type=Path))
@click.argument("corpus", metavar="CORPUS", type=click.Path(path_type=Path))
@click.argument("options", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "--from",
    "reader",
    metavar="NAME",
    help="Reader of a corpus as its owner distributes it, such as page scans; KEY=VALUE are its parameters.",
)
@click.option("--split", "splits", multiple=True, metavar="NAME", help="Split, repeatable [default: all].")
@click.option(
    "--format", "formats", multiple=True, metavar="NAME", help="Exporter, repeatable [default: the recipe's]."
)
@click.option(
    "--deduplicate",
    is_flag=True,
    help="Merge equal neighbours into one unit, with durations beside where a format has room.",
)
@click.option(
    "--skip-bad", is_flag=True, help="List files that cannot be read, and leave them out of the units."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder [default: RUN/encoded/ and the name of CORPUS], replaced as a whole.",
)
def command(
    run_folder: Path,
    corpus: Path,
    *,
    options: tuple[str, ...],
    reader: str | None,
    splits: tuple[str, ...],
    formats: tuple[str, ...],
    deduplicate: bool,
    skip_bad: bool,
    out: Path | None,
) -> None:
    """Write the units of CORPUS with the model of RUN, which needs its own data no more.

    \b
    CORPUS is
      a corpus folder with a manifest (unitdisc data import --help), or imported
      any folder of recordings or line images: paths without ending become ids
      one recording or line image
      with --from NAME, what that reader reads (unitdisc plugins reader NAME)
    Inputs are made as in training: recordings of other rates are resampled, images of other heights scaled.
    What is done is kept beside the folder until all is: a command that was stopped or killed goes on.
    Several processes share the work, for the same units: torchrun --nproc-per-node 4 -m unitdisc encode ...
    """  # noqa: D301  (click takes the backspace character as "keep these lines")
    from unitdisc import device, distributed, encode
    from unitdisc.cli.data import import_from
    from unitdisc.errors import RecipeError
    from unitdisc.run import load
    from unitdisc.stopping import interruptible

    warn_broken()
    if options and reader is None:
        raise RecipeError(f"{options[0]}: parameters belong to a reader; name it with --from NAME")
    if skip_bad and reader is not None:
        raise RecipeError(
            f"--skip-bad: is for files without a manifest; what {reader} may leave out is a parameter of its own, "
            f"see unitdisc plugins reader {reader}"
        )
    run = load(run_folder)
    whole = corpus.resolve()
    folder = out or run_folder / "encoded" / ((whole.stem if whole.is_file() else whole.name) or "root")
    told = f"stopped; what was in {folder} is kept, and what is done; go on with the same command"
    imported, about = None, {}
    with contextlib.ExitStack() as stack:
        stack.enter_context(interruptible(told))
        distributed.start(device.choose(run.recipe.train))
        stack.callback(distributed.stop)
        if out is None and distributed.rank() == 0:
            stack.enter_context(run.folder.locked())
        if reader is not None:
            found: list[tuple[str, Path]] = []
            distributed.in_turn(
                lambda: found.append(import_from(reader, options, corpus, name=run.recipe.data.name))
            )
            ((line, imported),) = found
            if distributed.rank() == 0:
                click.echo(line, err=True)
            about = {"reader": [reader, *options]}
        files, skipped = encode.encode(
            run,
            corpus,
            imported=imported,
            splits=splits,
            formats=formats,
            options=("deduplicate=true",) if deduplicate else (),
            skip_bad=skip_bad,
            folder=folder,
            about=about,
        )
    for reason in skipped.values():
        click.echo(f"unitdisc: left out: {reason}", err=True)
    if skipped:
        click.echo(f"unitdisc: {len(skipped)} files are left out", err=True)
    for name in files:
        click.echo(folder / name)
