"""``unitdisc data import``: check a corpus folder and bring it into the form that its data source reads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from unitdisc import cache, plugins
from unitdisc.cli import warn_broken
from unitdisc.errors import DataError, PluginError, StorageError
from unitdisc.manifest import read_folder

if TYPE_CHECKING:
    from collections.abc import Sequence


@click.group("data")
def command() -> None:
    """Import your own recordings or line images."""


@command.command("import")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path), help="New folder to write; the cache where it is left out."
)
@click.option("--labels", help="Label tables to import, as in phones,words; all where it is left out.")
@click.option(
    "--as", "name", help="Data source that imports it; found by the kind of files where it is left out."
)
def import_command(*, folder: Path, out: Path | None, labels: str | None, name: str | None) -> None:
    """Check FOLDER and import it; the folder printed at the end can be a recipe's data.root.

    \b
    FOLDER holds
      manifest.jsonl  one JSON object per line: "id" and "path" (relative, inside
                      FOLDER); also read where given: "split" (for all or none;
                      without it everything is train), "speaker" or "document",
                      "text", "n_samples", "sample_rate", "duration", "width",
                      "height"
      recordings      FLAC, WAV or OGG with one channel, or line images (PNG)
      phones.tsv      or any other NAME.tsv of timed labels, tab separated, with
                      the header id, start_sample, end_sample, SYMBOL
                      (start_column, end_column for images), end excluded
    A folder of this form can also be given as data.root directly; importing it first checks all of it.
    """  # noqa: D301  (click takes the backspace character as "keep these lines")
    warn_broken()
    corpus = read_folder(folder, unit="sample")
    tables = _label_tables(corpus.root) if labels is None else [item for item in labels.split(",") if item]
    name, component = _importer(name, corpus.entries[0].path.suffix.lower(), corpus.root)
    if out is not None and out.exists():
        raise StorageError(f"{out}: is already there; give a new folder with --out")
    place = cache.import_folder(corpus.root, tables, component) if out is None else out.absolute()
    summary: list[str] = []
    cache.once(place, lambda part: summary.append(component.import_folder(corpus.root, part, tables)))
    click.echo(f"{name}: {summary[0] if summary else f'{len(corpus.entries)} entries, imported before'}")
    click.echo(place)


def _label_tables(root: Path) -> list[str]:
    """Return the names of the tables of timed labels: whose header begins with id and has a start.

    A header that is nearly right is taken too, so that reading the table says what is wrong with it.
    """
    names = []
    for path in sorted(root.glob("*.tsv")):
        with path.open("rb") as file:
            first, *others = file.readline().split(b"\t")
        if first.lower() == b"id" and any(column.lower().startswith(b"start") for column in others):
            names.append(path.stem)
    return names


def _importer(name: str | None, suffix: str, root: Path) -> tuple[str, Any]:
    """Return the named data source, or the only one that takes files with ``suffix``."""
    able = _importers([name] if name else list(plugins.components("data")))
    if name:
        if name not in able:
            raise PluginError(
                f"data '{name}' has no import_folder; leave --as out or name another data source"
            )
        return name, able[name]
    fitting = [existing for existing, component in able.items() if suffix in component.suffixes]
    if len(fitting) == 1:
        return fitting[0], able[fitting[0]]
    accepted = ", ".join(sorted({end for component in able.values() for end in component.suffixes}))
    if fitting:
        raise DataError(f"{root}: {' and '.join(fitting)} import *{suffix}; choose one with --as")
    raise DataError(f"{root}: no data source imports *{suffix or ' (no suffix)'} (accepted: {accepted})")


def _importers(names: Sequence[str]) -> dict[str, Any]:
    loaded = {name: plugins.load("data", name) for name in names}
    return {
        name: component
        for name, component in loaded.items()
        if hasattr(component, "import_folder") and hasattr(component, "suffixes")
    }
