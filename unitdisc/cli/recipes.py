"""``unitdisc recipes``: list the recipes, or show one with every default."""

from __future__ import annotations

import json

import click

from unitdisc.cli import warn_broken
from unitdisc.recipe import available, read


@click.command("recipes")
@click.argument("name", required=False)
@click.option("--preset", metavar="PRESET", help="Lay a preset over the recipe that is shown.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(name: str | None, preset: str | None, *, as_json: bool) -> None:
    """List the recipes with their presets, or show what the recipe NAME (or a file) comes to."""
    if name is not None:
        warn_broken()
        recipe = read(name, preset=preset)
        click.echo(json.dumps(recipe.resolved(), indent=2) if as_json else recipe.to_yaml().rstrip())
        return
    if preset is not None:
        raise click.UsageError(
            "--preset needs the name of a recipe; 'unitdisc recipes' lists the presets of each"
        )
    click.echo(_json() if as_json else _table())


def _json() -> str:
    recipes = [
        {"name": info.name, "path": str(info.path), "summary": info.summary, "presets": list(info.presets)}
        for info in available()
    ]
    return json.dumps(recipes, indent=2)


def _table() -> str:
    rows = [(info.name, ", ".join(info.presets) or "-", info.summary) for info in available()]
    if not rows:
        return "There are no recipes here; give 'unitdisc run' the path of one."
    rows.insert(0, ("RECIPE", "PRESETS", "WHAT IT IS"))
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    return "\n".join(
        f"{name:{widths[0]}}  {presets:{widths[1]}}  {text}".rstrip() for name, presets, text in rows
    )
