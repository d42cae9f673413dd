"""A recipe: one component per hook with its arguments, checked as a whole before anything is trained.

YAML files are read with the place of every key, laid over one another (`overlay`), and checked against the
constructors of the components that they name (`sections`); all problems are reported at once.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Lt, MinLen

from unitdisc import agreement, paper, recipe_files, settings, suggest
from unitdisc.overlay import from_command_line, overlay
from unitdisc.problems import COMMAND_LINE, Problems, quoted
from unitdisc.recipe_files import RecipeInfo, available
from unitdisc.sections import Sections
from unitdisc.use import Use
from unitdisc.values import plain
from unitdisc.yaml_marks import Node, dump, origin, read_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["Recipe", "RecipeInfo", "Use", "available", "read"]

_OWN = ("name", "paper")
"""What says which recipe this is, and not what it does; another that extends it is another."""


@dataclass(frozen=True)
class Recipe:
    """What to train on, with what, how, and what to score and export.

    Args:
        name: "speech/ema", for people.
        seed: Of everything that is drawn.
        data: Data source.
        encoder: Frames to latents.
        latents: What stands between encoder and bottleneck.
        bottleneck: Latents to codes.
        decoder: Quantised latents back to the inputs.
        heads: Tasks and probes by name.
        metrics: Scores by name.
        train: How the parts are trained.
        evaluate: How the model is scored.
        export: Which units are written.
        paper: What a paper reports for it.
    """

    name: str
    seed: int
    data: Use
    encoder: Use
    latents: settings.Latents
    bottleneck: Use
    decoder: Use | None
    heads: dict[str, Use]
    metrics: dict[str, Use]
    train: settings.Train
    evaluate: settings.Evaluate
    export: settings.Export
    paper: paper.Paper | None = None

    def explaining(self) -> list[Use]:
        """Return the decoder, where there is one, and the heads."""
        return [use for use in (self.decoder, *self.heads.values()) if use is not None]

    def resolved(self) -> dict[str, Any]:
        """Return the recipe with every default as plain values; reading it again gives the same recipe."""
        named = {item.name: _resolved(getattr(self, item.name)) for item in fields(self)}
        return {name: value for name, value in named.items() if name != "paper" or value is not None}

    def to_yaml(self) -> str:
        """Return the resolved recipe as a file of its own."""
        return dump(self.resolved())

    def digest(self) -> str:
        """Return the SHA-256 of the resolved recipe, without what a paper says of it."""
        resolved = {name: value for name, value in self.resolved().items() if name != "paper"}
        return hashlib.sha256(json.dumps(resolved, sort_keys=True).encode()).hexdigest()


def read(recipe: str | Path, *, preset: str | None = None, overrides: Sequence[str] = ()) -> Recipe:
    """Read and check a recipe. Raises `RecipeError` with all of its problems, one per line.

    Args:
        recipe: A file, or a name such as "speech/ema".
        preset: Name of overlays beside the recipe and the files that it extends; its own comes last.
        overrides: ``a.b.c=value``, the value in YAML.
    """
    problems = Problems()
    path = recipe_files.find(recipe, problems)
    files = recipe_files.chain(path, problems)
    layers = [sections for _, sections in files]
    for base in layers[:-1]:
        for own in _OWN:
            base.pop(own, None)
    if preset is not None:
        layers += _presets([file for file, _ in files], preset, problems)
    layers.append(from_command_line(overrides, problems))
    sections = Sections(overlay(layers, problems), origin(path), problems)
    metrics = _metrics(layers, sections.node("metrics"))
    parts = {
        "name": sections.value("name", Annotated[str, MinLen(1)], recipe_files.name(path)),
        "seed": sections.value("seed", Annotated[int, Ge(0), Lt(2**63)], 0),
        **{key: sections.use(key, is_required=True) for key in ("data", "encoder", "bottleneck")},
        "decoder": sections.use("decoder", is_required=False),
        **{key: sections.uses(key) for key in ("heads", "metrics")},
        **{key: sections.settings(key) for key in settings.SECTIONS},
        "paper": paper.read(sections.node("paper"), metrics, problems),
    }
    agreement.check(sections, parts["train"], problems)
    problems.check()
    return Recipe(**parts)


def component(kind: str, name: str, overrides: Sequence[str] = ()) -> Use:
    """Return one component with its parameters given as ``key=value``, checked as a recipe's are."""
    problems = Problems()
    given = {"use": Node(name, COMMAND_LINE, COMMAND_LINE), **from_command_line(overrides, problems)}
    sections = Sections({kind: Node(given, COMMAND_LINE, COMMAND_LINE)}, COMMAND_LINE, problems)
    use = sections.use(kind, is_required=True)
    problems.check()
    assert use is not None  # noqa: S101  (what has problems has stopped)
    return use


def _metrics(layers: Sequence[dict[str, Node]], left: Node | None) -> dict[str, bool]:
    """Return the metrics of all layers, and whether each is in what is left of them."""
    nodes = [layer["metrics"] for layer in layers if "metrics" in layer]
    named = {name: False for node in nodes if isinstance(node.data, dict) for name in node.data}
    return {**named, **dict.fromkeys(left.data if left and isinstance(left.data, dict) else (), True)}


def _presets(files: Sequence[Path], preset: str, problems: Problems) -> list[dict[str, Node]]:
    """Return the overlays of that name beside the files that make up a recipe, that of the root first."""
    beside = [recipe_files.presets(file) for file in files]
    existing = sorted({name: None for presets in beside for name in presets})
    if preset not in existing:
        names = ", ".join(existing) or "none"
        hint = suggest.hint(preset, existing)
        problems.add(COMMAND_LINE, f"there is no preset {quoted(preset)}{hint} (accepted: {names})")
    layers = []
    for presets in beside:
        if preset in presets:
            layers.append(dict(read_file(presets[preset], problems).data))
            if extends := layers[-1].pop("extends", None):
                problems.add(
                    extends.key, "extends: a preset extends nothing, it lies over the recipe; remove it"
                )
    return layers


def _resolved(value: Any) -> Any:
    if isinstance(value, Use | paper.Paper):
        return value.plain()
    if isinstance(value, dict):
        return {name: _resolved(item) for name, item in value.items()}
    if type(value) in settings.SECTIONS.values():
        return {item.name: plain(getattr(value, item.name)) for item in fields(value)}
    return value
