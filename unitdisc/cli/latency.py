"""``unitdisc latency``: how long translations take, run beside run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

if TYPE_CHECKING:
    from unitdisc.contenders import Contender

_WIDTH = 140
"""Columns of a table that is not read on a terminal."""


@click.command("latency", short_help="Take the time of translations, run beside run.")
@click.argument("runs", nargs=-1, metavar="[RUN | KEY=VALUE]...")
@click.option(
    "--recipe", "recipes", multiple=True, metavar="NAME", help="In place of runs, random weights of a recipe."
)
@click.option("--preset", help="Overlay of these recipes.")
@click.option(
    "--beam",
    "beams",
    multiple=True,
    type=click.IntRange(min=1),
    default=(1, 4),
    show_default=True,
    help="Beam, repeatable: 1 is greedy. Of latent models latent sentences, of fertilities guesses.",
)
@click.option("--split", metavar="NAME", help="Split of the sentences [default: the one that was scored].")
@click.option(
    "--sentences", type=click.IntRange(min=1), default=200, show_default=True, help="At most, the first ones."
)
@click.option(
    "--min-tokens", type=click.IntRange(min=1), default=1, show_default=True, help="Of a source, at least."
)
@click.option(
    "--length", type=click.IntRange(min=2), default=25, show_default=True, help="Tokens, with random weights."
)
@click.option(
    "--warm-up",
    type=click.IntRange(min=0),
    default=10,
    show_default=True,
    help="Sentences before, not timed.",
)
@click.option(
    "--teacher", type=click.Path(path_type=Path), metavar="RUN", help="Also let RUN choose among candidates."
)
@click.option(
    "--whole", is_flag=True, help="Also let latent models predict all latents, without stopping early."
)
@click.option(
    "--device", "wanted", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True
)
@click.option(
    "--threads", type=click.IntRange(min=1), metavar="N", help="CPU threads [default: as in training]."
)
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="JSON file to write."
)
def command(
    runs: tuple[str, ...],
    *,
    recipes: tuple[str, ...],
    preset: str | None,
    beams: tuple[int, ...],
    split: str | None,
    sentences: int,
    min_tokens: int,
    length: int,
    warm_up: int,
    teacher: Path | None,
    whole: bool,
    wanted: Literal["auto", "cpu", "cuda"],
    threads: int | None,
    out: Path | None,
) -> None:
    """Translate the same sentences with each RUN, one by one and in turns, and print what each takes.

    A row is a run with a beam: milliseconds from the tokens of a sentence to those of its translation (spelling is
    left out), what the parts of the work take (medians), latents predicted of those that there could be, tokens
    written, and how many times faster than the first row: the median over sentences, with its 95 % interval. Name
    the run that the others are compared with first, and its beam: --beam 4 --beam 1.

    With --recipe, models of random weights in sizes that nobody has trained yet, such as

      unitdisc latency --recipe translation/autoregressive --beam 1 data.vocab_size=37000

    Sentences of theirs never end by themselves, so all read --length random
    tokens and write as many; latent models predict one latent more than these
    tokens need, as trained ones do, and with --whole all that they plan for.
    """
    from dataclasses import replace

    from unitdisc import contenders, device, latency
    from unitdisc import recipe as read
    from unitdisc.errors import RecipeError, StorageError
    from unitdisc.run import load
    from unitdisc.storage import write_text

    overrides = [each for each in runs if "=" in each and not Path(each).exists()]
    folders = [each for each in runs if each not in overrides]
    if bool(folders) == bool(recipes) or (overrides and not recipes):
        raise RecipeError(
            "RUN: give folders of runs, or with --recipe recipes and KEY=VALUE, not both: their sentences differ"
        )
    _refuse(["split", "min_tokens"] if recipes else ["length"], "--recipe" if recipes else "runs")
    if out and not out.absolute().parent.is_dir():
        raise StorageError(f"{out}: there is no folder {out.parent}; make it, or give another file")
    opened = [load(folder) for folder in folders]
    asked = [read.read(name, preset=preset, overrides=overrides) for name in recipes]
    train = (opened[0].recipe if opened else asked[0]).train
    chosen = device.choose(replace(train, device=wanted, threads=threads or train.threads))
    rivals: list[Contender] = (
        contenders.trained(opened, chosen, split=split, sentences=sentences, min_tokens=min_tokens)
        if opened
        else contenders.untrained(asked, chosen, sentences=sentences, length=length)
    )
    found = latency.measure(rivals, beams=beams, warm_up=warm_up, with_whole=whole, teacher=teacher)
    _show(found)
    if out:
        write_text(out, json.dumps(found, indent=1) + "\n")
        click.echo(out)


def _refuse(names: list[str], beside: str) -> None:
    """Raise `RecipeError` for options given that would change nothing."""
    from click.core import ParameterSource

    from unitdisc.errors import RecipeError

    context = click.get_current_context()
    for name in names:
        if context.get_parameter_source(name) == ParameterSource.COMMANDLINE:
            raise RecipeError(f"--{name.replace('_', '-')}: says nothing beside {beside}; leave it out")


def _show(found: dict[str, Any]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    rows = found["rows"]
    parts = list(dict.fromkeys(part for row in rows for part in row["parts"]))
    counts = list(dict.fromkeys(what for row in rows for what in row["counts"]))
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), caption_justify="left")
    table.add_column("ms a sentence")
    numbers = [*parts, *(f"{what} of all" for what in counts), "tokens", "times faster"]
    for column in ("median", "mean", "p95", "std", *numbers):
        table.add_column(column, justify="right")
    names = list(dict.fromkeys(row["name"] for row in rows))
    for row in rows:
        taken, faster = row["milliseconds"], row["speed_up"]
        table.add_row(
            f"{names.index(row['name']) + 1}: {_way(row)}",
            *(f"{taken[name]:.1f}" for name in ("median", "mean", "p95", "std")),
            *(f"{row['parts'][part]['median']:.1f}" if part in row["parts"] else "" for part in parts),
            *(
                "{:.1f} of {:.1f}".format(*row["counts"][what]) if what in row["counts"] else ""
                for what in counts
            ),
            f"{row['tokens']:.1f}",
            f"{faster['median']:.2f} ({faster['low']:.2f} to {faster['high']:.2f})",
        )
    console = Console(highlight=False, markup=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = _WIDTH
    console.print(table)
    for number, name in enumerate(names, 1):
        console.print(f"{number}: {name}")
    console.print(
        f"{found['sentences']} sentences of {found['source_tokens']:.1f} source tokens in the mean, one at a time, "
        f"without tokenisation; {found['device']}, {found['threads']} threads, load average {found['load']}"
    )


def _way(row: dict[str, Any]) -> str:
    """Return how a row's model writes."""
    beam = "greedy" if row["beam"] == 1 else f"beam {row['beam']}"
    return beam + (", whole" if "early_stop" in row else "") + (", teacher" if "teacher" in row else "")
