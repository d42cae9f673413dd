"""Heads and metrics that ask for what a corpus does not tell: labels, or who speaks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from unitdisc.recipe import Recipe
    from unitdisc.use import Use


def without_missing(
    recipe: Recipe, *, targets: Collection[str], fields: Collection[str] | None = None
) -> Recipe:
    """Return the recipe without the heads and metrics that the data cannot serve, where it says "skip".

    Args:
        recipe: What is asked for.
        targets: Names of the data's targets.
        fields: Names of what the corpus says of an example (`Split.fields`); None does not look.
    """
    if recipe.evaluate.missing == "refuse":
        return recipe
    heads = {
        name: use
        for name, use in recipe.heads.items()
        if _exists(use, "target", targets) and _exists(use, "sequence", targets)
    }
    metrics = {
        name: use
        for name, use in recipe.metrics.items()
        if _exists(use, "target", targets)
        and _exists(use, "head", heads)
        and (fields is None or _exists(use, "field", fields))
    }
    return replace(recipe, heads=heads, metrics=metrics)


def left_out(recipe: Recipe, kept: Recipe) -> list[str]:
    """Return a line on what ``kept`` lacks of the recipe, or nothing."""
    names = [
        *(f"heads.{name}" for name in recipe.heads if name not in kept.heads),
        *(f"metrics.{name}" for name in recipe.metrics if name not in kept.metrics),
    ]
    return [f"left out, as the data have nothing for them: {', '.join(names)}"] if names else []


def _exists(use: Use, argument: str, names: Collection[str]) -> bool:
    return use.arguments.get(argument) is None or use.arguments[argument] in names
