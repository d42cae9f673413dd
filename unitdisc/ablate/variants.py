"""What is compared: recipes, and recipes with settings of their own, each with every seed."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from unitdisc import recipe as recipes
from unitdisc.errors import RecipeError
from unitdisc.suggest import hint

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from unitdisc.recipe import Recipe

_KEY = r"[A-Za-z_][\w-]*(?:\.[A-Za-z_][\w-]*)*="
_OVERRIDE = re.compile(_KEY)
_VARIANT = re.compile(rf"(.+?):({_KEY}.*)", re.DOTALL)
_COMMA = re.compile(rf",(?={_KEY})")  # not the commas of [4, 4] or {use: ema, decay: 0.9}
_LONGEST_NAME = 100


@dataclass(frozen=True)
class Variant:
    """A recipe of the comparison.

    Args:
        name: What tables call it.
        given: What was typed: ``RECIPE`` or ``RECIPE:KEY=VALUE,KEY=VALUE``.
        recipe: The recipe; its seed is replaced in each cell.
    """

    name: str
    given: str
    recipe: Recipe

    @property
    def folder(self) -> str:
        """Name of the folder that holds its runs."""
        name = re.sub(r"[^\w.=+-]+", "-", self.name).strip("-.") or "recipe"
        if len(name) <= _LONGEST_NAME:
            return name
        return f"{name[:_LONGEST_NAME]}-{hashlib.sha256(self.name.encode()).hexdigest()[:8]}"


@dataclass(frozen=True)
class Cell:
    """One variant with one seed: an ordinary run.

    Args:
        variant: The variant's name.
        recipe: Its recipe with this seed.
        folder: The run's folder.
    """

    variant: str
    recipe: Recipe
    folder: Path

    @property
    def seed(self) -> int:
        """The seed."""
        return self.recipe.seed

    @property
    def output(self) -> Path:
        """What the run printed, beside its folder, which takes no other files."""
        return self.folder.with_name(f"{self.folder.name}.txt")

    def __str__(self) -> str:
        return f"{self.variant} seed {self.seed}"


def read_variants(arguments: Sequence[str], *, preset: str | None = None) -> list[Variant]:
    """Read every recipe of the command line, with the overrides that are for all.

    Raises `RecipeError` for the first recipe with problems, or when two have the same name.
    """
    shared = [argument for argument in arguments if _OVERRIDE.match(argument)]
    given = [argument for argument in arguments if not _OVERRIDE.match(argument)]
    if not given:
        raise RecipeError("give at least one recipe ('unitdisc recipes' lists them)")
    if any(override.startswith("seed=") for override in shared):
        raise RecipeError("seed: is what is varied; give --seeds, as in --seeds 5 or --seeds 1,4,7")
    variants = [_variant(text, shared, preset) for text in given]
    for variant in variants:
        same = [other.given for other in variants if other.folder == variant.folder]
        if len(same) > 1:
            raise RecipeError(
                f"{' and '.join(map(repr, same))} are both called {variant.name!r}; give one another name, as in "
                f"{same[-1]}{',' if _VARIANT.fullmatch(same[-1]) else ':'}name=other"
            )
    return variants


def cells(variants: Iterable[Variant], seeds: Iterable[int], folder: Path) -> list[Cell]:
    """Return every run: all variants with the first seed, then all with the next, so that pairs come early."""
    variants = list(variants)
    return [
        Cell(variant.name, replace(variant.recipe, seed=seed), folder / variant.folder / f"seed-{seed}")
        for seed in seeds
        for variant in variants
    ]


def read_seeds(text: str) -> list[int]:
    """Return the seeds 1 to n of "n", or those of a list such as "1,4,7". Raises `RecipeError`."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts or not all(part.isascii() and part.isdigit() and len(part) < 19 for part in parts):
        raise RecipeError(f"--seeds: {text!r} is neither a number such as 5 nor a list such as 1,4,7")
    numbers = list(map(int, parts))
    if "," in text:
        return list(dict.fromkeys(numbers))
    if not 1 <= numbers[0] <= 10_000:
        raise RecipeError(
            f"--seeds: a number from 1 to 10000 takes the seeds 1 to n, found {text}; "
            f"for that seed alone write --seeds {text},"
        )
    return list(range(1, numbers[0] + 1))


def find(name: str, variants: Sequence[Variant]) -> Variant:
    """Return the variant called ``name``, or typed so. Raises `RecipeError`."""
    for variant in variants:
        if name in (variant.name, variant.given):
            return variant
    names = [variant.name for variant in variants]
    raise RecipeError(
        f"--baseline: {name!r} is not compared{hint(name, names)} (accepted: {', '.join(names)})"
    )


def _variant(text: str, shared: Sequence[str], preset: str | None) -> Variant:
    found = _VARIANT.fullmatch(text)
    name, own = (found[1], _COMMA.split(found[2])) if found else (text, [])
    if any(override.startswith("seed=") for override in own):
        raise RecipeError(
            f"{text}: the seed is what is varied; give --seeds, as in --seeds 5 or --seeds 1,4,7"
        )
    recipe = recipes.read(name, preset=preset, overrides=[*shared, *own])
    is_named = not own or any(override.startswith("name=") for override in own)
    return Variant(recipe.name if is_named else f"{recipe.name}:{','.join(own)}", text, recipe)
