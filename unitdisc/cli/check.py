"""``unitdisc check``: what a recipe would train, without reading data."""

from __future__ import annotations

import json

import click


@click.command("check", short_help="Show what a recipe would train, without reading data.")
@click.argument("recipe")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--preset", help="Overlay beside the base recipe, such as small.")
@click.option(
    "--time", "timed", is_flag=True, help="Also train a few steps on noise: time and memory on this machine."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    recipe: str, overrides: tuple[str, ...], preset: str | None, *, timed: bool, as_json: bool
) -> None:
    """Read RECIPE, build its parts and print shapes, rates, parameters and memory. Reads no data."""
    from unitdisc import recipe as recipes
    from unitdisc.cli import warn_broken
    from unitdisc.summary import summarize

    warn_broken()
    asked = recipes.read(recipe, preset=preset, overrides=overrides)
    summary = summarize(asked)
    if timed:
        from unitdisc.trial import estimate

        summary |= estimate(asked)
    if as_json:
        click.echo(json.dumps(summary, indent=1))
        return
    width = max(map(len, summary))
    for name, value in summary.items():
        click.echo(f"{name:<{width}}  {value}")
