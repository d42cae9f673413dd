"""``unitdisc data import``: check a corpus and bring it into the form that its data source reads."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from unitdisc import cache, plugins
from unitdisc.cli import warn_broken
from unitdisc.cli.align import command as align_command
from unitdisc.errors import DataError, PluginError, RecipeError, StorageError
from unitdisc.manifest import read_folder
from unitdisc.reader import Drawn, Recorded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unitdisc.reader import Reader


@click.group("data")
def command() -> None:
    """Import your own recordings or line images."""


command.add_command(align_command)


class _Import(click.Command):
    """Its help names the readers; with a reader before ``--help``, it is the help of that reader."""

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        name = ctx.params.get("reader")
        if name is None:
            super().format_help(ctx, formatter)
            return
        from unitdisc.cli.plugins import component_text, describe

        self.format_usage(ctx, formatter)
        formatter.write(f"\n{component_text(describe('reader', name))}\n")

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Readers (--from NAME; what each needs: --from NAME --help)"):
            formatter.write_dl([(name, _first_line(name)) for name in plugins.components("reader")])


def _first_line(name: str) -> str:
    try:
        return (plugins.load("reader", name).__doc__ or "").strip().partition("\n")[0]
    except PluginError as error:
        return str(error)


@command.command("import", cls=_Import)
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("options", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "--from",
    "reader",
    metavar="NAME",
    is_eager=True,
    help="Reader of a corpus as its owner distributes it, listed below; KEY=VALUE are its parameters.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="New folder to write; the cache where it is left out."
)
@click.option("--labels", help="Label tables to import, as in phones,words; all where it is left out.")
@click.option(
    "--as", "name", help="Data source that imports it; found by the kind of files where it is left out."
)
def import_command(
    *,
    folder: Path,
    options: tuple[str, ...],
    reader: str | None,
    out: Path | None,
    labels: str | None,
    name: str | None,
) -> None:
    """Check FOLDER and import it; the folder printed at the end can be a recipe's data.root.

    \b
    Without --from, FOLDER holds
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
    if out is not None and out.exists():
        raise StorageError(f"{out}: is already there; give a new folder with --out")
    if reader is not None:
        if labels is not None:
            raise RecipeError("--labels: is for corpus folders; --from imports the labels that there are")
        for line in import_from(reader, options, folder, out=out, name=name):
            click.echo(line)
        return
    if options:
        raise RecipeError(f"{options[0]}: parameters belong to a reader; name it with --from NAME")
    corpus = read_folder(folder, unit="sample")
    tables = _label_tables(corpus.root) if labels is None else [item for item in labels.split(",") if item]
    name, component = _importer(name, corpus.entries[0].path.suffix.lower(), corpus.root)
    place = cache.import_folder(corpus.root, tables, component) if out is None else out.absolute()
    summary: list[str] = []
    cache.once(place, lambda part: summary.append(component.import_folder(corpus.root, part, tables)))
    click.echo(f"{name}: {summary[0] if summary else f'{len(corpus.entries)} entries, imported before'}")
    click.echo(place)


def import_from(
    reader: str,
    options: Sequence[str],
    folder: Path,
    *,
    out: Path | None = None,
    name: str | None = None,
) -> tuple[str, Path]:
    """Import what the reader finds in ``folder``, whole or not at all; return a line on it and where it is.

    Args:
        reader: Its name.
        options: Its parameters as ``key=value``.
        folder: What it reads.
        out: New folder to write; None takes the cache.
        name: Data source that imports it; None takes the only one that can.
    """
    from unitdisc import recipe

    use = recipe.component("reader", reader, options)
    found: Reader = use.build()
    items = list(found.read(folder))
    if not items:
        raise DataError(f"{folder}: holds nothing to import; give more of the corpus")
    is_drawn = isinstance(items[0], Drawn)
    method, kind = ("import_drawn", "text lines") if is_drawn else ("import_recorded", "utterances")
    able = _able(method, [name] if name else list(plugins.components("data")))
    if name and not able:
        raise PluginError(f"data '{name}' does not import {kind}, which are what {reader} finds in {folder}")
    if len(able) != 1:
        raise PluginError(
            f"--as: found {', '.join(able) or 'no data source'} to import {kind}; name one that does"
        )
    ((name, component),) = able.items()
    place = out.absolute() if out else _place(folder, f"{component!r} {use.plain()}", items)
    summary: list[str] = []

    def make(part: Path) -> None:
        summary.append(getattr(component, method)(items, part))
        for path in found.beside():
            shutil.copyfile(path, part / path.name)

    cache.once(place, make)
    return f"{name}: {summary[0] if summary else f'{len(items):,} {kind}, imported before'}", place


def _place(folder: Path, importer: str, items: Sequence[Recorded | Drawn]) -> Path:
    """Return where what was found in ``folder`` is kept; named by what it is made of."""
    total = hashlib.sha256(importer.encode())
    files: dict[Path, None] = {}
    for item in items:
        total.update(f"{item!r}\n".encode())
        files |= dict.fromkeys(item.files if isinstance(item, Drawn) else (item.path,))
    for path in filter(Path.is_file, files):
        state = path.stat()
        total.update(f"{path} {state.st_size} {state.st_mtime_ns}\n".encode())
    return cache.cache_root() / "imports" / f"{folder.resolve().name}-{total.hexdigest()[:16]}"


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
    able = _able("import_folder", [name] if name else list(plugins.components("data")))
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


def _able(method: str, names: Sequence[str]) -> dict[str, Any]:
    """Return those of the named data components that have a method, by name."""
    loaded = {name: plugins.load("data", name) for name in names}
    return {name: component for name, component in loaded.items() if hasattr(component, method)}
