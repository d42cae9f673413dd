"""What is compared: recipes, and recipes with settings of their own, each with every seed."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from unitdisc import recipe as recipes
from unitdisc import recipe_files
from unitdisc.errors import RecipeError
from unitdisc.suggest import hint

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

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

    A pattern stands for the recipes that fit and are not there yet nor typed themselves, in the order of the numbers
    that their ``paper.row`` begins with, then by name. Raises `RecipeError` for the first recipe with problems, or
    when two have the same name.
    """
    shared = [argument for argument in arguments if _OVERRIDE.match(argument)]
    given = [argument for argument in arguments if not _OVERRIDE.match(argument)]
    if not given:
        raise RecipeError("give at least one recipe ('unitdisc recipes' lists them)")
    if any(override.startswith("seed=") for override in shared):
        raise RecipeError("seed: is what is varied; give --seeds, as in --seeds 5 or --seeds 1,4,7")
    variants: list[Variant] = []
    for text in given:
        taken = [*given, *(variant.given for variant in variants)]
        variants += _variants(text, taken, shared, preset)
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


def _variants(text: str, taken: Sequence[str], shared: Sequence[str], preset: str | None) -> list[Variant]:
    """Return the variant that ``text`` stands for, or those that fit it but for the ``taken`` ones."""
    found = _VARIANT.fullmatch(text)
    pattern, own = (found[1], f":{found[2]}") if found else (text, "")
    if not set(pattern) & set("*?[") or Path(pattern).is_file():
        return [_variant(text, shared, preset)]
    names = recipe_files.matching(pattern)
    if not names:
        raise RecipeError(f"{pattern!r}: no recipe fits this pattern ('unitdisc recipes' lists them)")
    variants = [_variant(f"{name}{own}", shared, preset) for name in names if f"{name}{own}" not in taken]
    return sorted(variants, key=_place)


def _place(variant: Variant) -> tuple[bool, str, int, str]:
    paper = variant.recipe.paper
    number = re.match(r"[0-9]{1,9}", paper.row) if paper else None
    if paper is None or number is None:
        return True, "", 0, variant.recipe.name
    return False, paper.table, int(number[0]), variant.recipe.name


def _variant(text: str, shared: Sequence[str], preset: str | None) -> Variant:
    """Read a recipe; a paper's values are for the recipe without settings of its own behind a colon."""
    found = _VARIANT.fullmatch(text)
    name, own = (found[1], _COMMA.split(found[2])) if found else (text, [])
    if any(override.startswith("seed=") for override in own):
        raise RecipeError(
            f"{text}: the seed is what is varied; give --seeds, as in --seeds 5 or --seeds 1,4,7"
        )
    keys = {override.partition("=")[0] for override in own}
    is_other = bool(keys - {"name"}) and not any(key.partition(".")[0] == "paper" for key in keys)
    drops = ["paper=null"] if is_other else []
    recipe = recipes.read(name, preset=preset, overrides=[*drops, *shared, *own])
    is_named = not own or "name" in keys
    return Variant(recipe.name if is_named else f"{recipe.name}:{','.join(own)}", text, recipe)
