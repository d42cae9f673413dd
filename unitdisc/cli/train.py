"""``unitdisc train``: training alone."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("train", short_help="Train a recipe.")
@click.argument("recipe")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--preset", help="Overlay beside the base recipe, such as small.")
@click.option("--out", type=click.Path(path_type=Path), help="Run folder [default: runs/RECIPE-PRESET].")
def command(recipe: str, overrides: tuple[str, ...], preset: str | None, out: Path | None) -> None:
    """Train RECIPE (a name, a file, or the folder of a run to go on with) and stop there."""
    from unitdisc.cli import warn_broken
    from unitdisc.cli.run import execute, resolve

    warn_broken()
    resolved, folder = resolve(recipe, preset=preset, overrides=overrides, out=out)
    execute(resolved, folder, only_train=True)
