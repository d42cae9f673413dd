"""What to change in a recipe against each kind of trouble, as keys that the recipe has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unitdisc import plugins
from unitdisc.codebook import CodebookRule
from unitdisc.use import Use

if TYPE_CHECKING:
    from collections.abc import Iterator

    from unitdisc.recipe import Recipe


def advice(kind: str, recipe: Recipe) -> str:
    """Return changes against an alarm of ``kind`` (`unitdisc.alarms`), the likeliest to help first."""
    return "; or ".join(_against(kind, recipe)) or _slower(recipe)


def _against(kind: str, recipe: Recipe) -> Iterator[str]:
    if kind in {"collapse", "scale", "growth"} and recipe.latents.norm == "none":
        yield "latents.norm: batch"
    for path, value in keys(recipe.bottleneck):
        yield from _of_key(kind, path, value)
    if kind in {"collapse", "scale", "dead", "counts"}:
        yield from _wrapped(recipe.bottleneck)
    if kind in {"growth", "skipped"}:
        yield _slower(recipe)
    if kind == "skipped" and recipe.train.clip is None:
        yield "train.clip: 1"
    if kind == "skipped" and recipe.train.amp != "none":
        yield "train.amp: none"


def _of_key(kind: str, path: str, value: Any) -> Iterator[str]:
    match kind, path.rpartition(".")[2]:
        case "collapse", "lr_scale" if value <= 1:
            yield f"{path}: 10"
        case "scale", "init" if value != "uniform":
            yield f"{path}: uniform"
        case "growth", "commitment":
            yield f"{path}: above {value:g}"
        case "counts", "init_count" if value == 0:
            yield f"{path}: 1"
        case (("dead" | "counts"), "num_codes"):
            yield f"{path}: below {value}"


def keys(use: Use, where: str = "bottleneck") -> Iterator[tuple[str, Any]]:
    """Yield the path in the recipe and the value of every argument, of the components inside, too."""
    for name, value in use.arguments.items():
        path = f"{where}.{name}"
        if isinstance(value, Use):
            yield from keys(value, path)
        else:
            yield path, value


def _wrapped(use: Use) -> Iterator[str]:
    """Yield the rule inside of each installed one that could put new codewords into its place."""
    if not issubclass(use.component, CodebookRule):
        return
    for name in ("reestimate", "revive"):
        if name in plugins.components("bottleneck"):
            yield f"bottleneck: {{use: {name}, rule: {{use: {use.name}, ...}}}}"


def _slower(recipe: Recipe) -> str:
    return f"train.lr: below {recipe.train.lr:g}"
