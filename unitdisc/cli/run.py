"""``unitdisc run``: train, evaluate, export and report a recipe, going on where the folder stopped."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from unitdisc.recipe import Recipe


@click.command("run", short_help="Train, evaluate, export and report a recipe; go on where it stopped.")
@click.argument("recipe")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--preset", help="Overlay beside the base recipe, such as small.")
@click.option("--out", type=click.Path(path_type=Path), help="Run folder [default: runs/RECIPE-PRESET].")
def command(recipe: str, overrides: tuple[str, ...], preset: str | None, out: Path | None) -> None:
    """Train RECIPE, score it, export its units and draw a report.

    RECIPE is a name that `unitdisc recipes` lists, a file, or the folder of a run to go on with. The same command
    goes on where a killed run stopped; a finished run is left as it is. Start it with torchrun for several GPUs:
    torchrun --nproc-per-node 4 -m unitdisc run RECIPE train.batches_per_step=4
    """
    from unitdisc.cli import warn_broken

    warn_broken()
    resolved, folder = resolve(recipe, preset=preset, overrides=overrides, out=out)
    execute(resolved, folder, only_train=False)


def resolve(
    recipe: str, *, preset: str | None, overrides: tuple[str, ...], out: Path | None
) -> tuple[Recipe, Path]:
    """Return the recipe and the run folder that the arguments mean."""
    from unitdisc import recipe as recipes
    from unitdisc.errors import RecipeError

    folder = Path(recipe)
    if (folder / "recipe.yaml").is_file():
        if preset or overrides or out:
            raise RecipeError(
                f"{folder}: is a run, which goes on with its own recipe; leave out preset, out and overrides"
            )
        return recipes.read(folder / "recipe.yaml"), folder
    read = recipes.read(recipe, preset=preset, overrides=overrides)
    name = read.name.replace("/", "-") + (f"-{preset}" if preset else "")
    return read, out or Path("runs") / name


def execute(recipe: Recipe, folder: Path, *, only_train: bool) -> None:
    """Run the steps that are not done; under torchrun only the first process goes beyond training."""
    from unitdisc import steps
    from unitdisc.cli.scores import table
    from unitdisc.run import Run
    from unitdisc.run_folder import RunFolder
    from unitdisc.stopping import interruptible
    from unitdisc.summary import announcements

    if int(os.environ.get("RANK", "0")) > 0:
        steps.train(recipe, folder)
        return
    if steps.is_finished(recipe, folder, only_train=only_train):
        click.echo(
            f"{folder}: finished before, nothing to do" + _what_next(recipe, folder, only_train=only_train)
        )
        return
    announcements(recipe)  # for what they refuse, before the folder is made
    told = f"stopped; what was finished is kept; go on with: unitdisc run {folder}"
    with interruptible(told), RunFolder(folder).locked():
        steps.train(recipe, folder)
        if only_train:
            click.echo(f"trained: {folder}\nnext: unitdisc evaluate {folder}")
            return
        run = Run(folder)
        for work, doing in (
            (steps.evaluate, "scoring"),
            (steps.export_units, "exporting units"),
            (steps.report, "drawing"),
        ):
            click.echo(doing)
            work(run)
    table(run)
    click.echo(_what_next(recipe, folder, only_train=False).lstrip("\n"))


def _what_next(recipe: Recipe, folder: Path, *, only_train: bool) -> str:
    from unitdisc.kinds import kind_of

    if only_train:
        return ""
    kind = kind_of(recipe.data.build().features)
    places = {"units": folder / "units", "picture": folder / "units.png", "report": folder / "report.html"}
    return (
        "".join(f"\n{name:<9}{path}" for name, path in places.items() if path.exists())
        + f"\nnext     {kind.own}"
        + "\n         other rules and tasks: unitdisc recipes"
        f"\n         in Python: run = unitdisc.load({str(folder)!r}); run.encode({kind.signal}).codes"
    )
