"""``unitdisc latents``: sentences beside the latent sentences that stand for them (paper B, Table 5)."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from unitdisc.cli import warn_broken

if TYPE_CHECKING:
    import numpy as np


@click.command("latents", short_help="Print sentences beside their units, and which units end them.")
@click.argument("run_folder", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--split", metavar="NAME", help="Split to print [default: the one that was scored].")
@click.option(
    "--count",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    metavar="N",
    help="Sentences to print.",
)
def command(run_folder: Path, *, split: str | None, count: int) -> None:
    """Print the first N sentences of a split, and below each the codes of its units, terminal ones in brackets.

    A code is terminal when training saw it stand for nothing but padding: a model that translates stops there.
    """
    from unitdisc.errors import RecipeError
    from unitdisc.run import load
    from unitdisc.translation import translator

    warn_broken()
    run = load(run_folder)
    ends = translator(run.model).terminal_codes()
    if ends is None:
        raise RecipeError(
            f"{run_folder}: its decoder predicts no units, so none are printed; give a run of a latent transformer"
        )
    name = split or run.recipe.evaluate.split
    examples = run.source.split(name)
    for index, units in enumerate(islice(run.units(name), count)):
        click.echo(f"{units.key}  {examples.text(examples[index].inputs)}")
        click.echo("    " + " ".join(_spelled(codes, ends) for codes in units.codes.tolist()))
    if not ends.any():
        click.echo("no code stood for nothing but padding: nothing ends a latent sentence early")
        return
    for book, row in enumerate(ends):
        named = f"codebook {book}: " if len(ends) > 1 else ""
        click.echo(f"terminal codes: {named}{', '.join(map(str, row.nonzero()[0].tolist())) or 'none'}")


def _spelled(codes: list[int], ends: np.ndarray) -> str:
    """Return a unit, in brackets where all its codes are terminal."""
    text = "/".join(map(str, codes))
    is_end = all(ends[book, code] for book, code in enumerate(codes))
    return f"[{text}]" if is_end else text
