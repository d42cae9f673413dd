"""What a recipe amounts to: shapes, rates, parameters, memory; found by building the parts, without reading data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from unitdisc.data import TargetSpec
from unitdisc.errors import RecipeError
from unitdisc.model import Project
from unitdisc.parts import Part

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import nn

    from unitdisc.data import DataSource, FeatureSpec
    from unitdisc.parts import Bottleneck, Encoder
    from unitdisc.recipe import Recipe, Use


class _Sized(dict[str, Any]):
    """Stands for vocabularies that only the data knows: every name exists and has the same entry."""

    def __init__(self, entry: object) -> None:
        super().__init__()
        self.entry = entry

    def __contains__(self, name: object) -> bool:
        return True

    def __missing__(self, name: str) -> object:
        return self.entry

    def get(self, name: str, default: object = None) -> object:
        del name, default
        return self.entry


@dataclass(frozen=True)
class _Built:
    """The parts of a recipe that need nothing of the data, without memory behind their numbers."""

    features: FeatureSpec
    encoder: Encoder
    project: Project
    bottleneck: Bottleneck
    supplied: dict[str, Any]


def announcements(recipe: Recipe) -> list[str]:
    """Return what the parts say before training. Raises `RecipeError` when one asks for what will never happen."""
    with torch.device("meta"):
        return list(_announced(recipe, _build(recipe)))


def summarize(recipe: Recipe) -> dict[str, Any]:
    """Return what ``unitdisc check`` prints. Raises `RecipeError` when parts do not fit together."""
    with torch.device("meta"):
        built = _build(recipe)
        announced = list(_announced(recipe, built))
        sizes = {
            "encoder": f"{_count(built.encoder) + _count(built.project):,}",
            "bottleneck": f"{_count(built.bottleneck):,}",
            **({"decoder": _growing(recipe.decoder, built.supplied)} if recipe.decoder else {}),
            **{f"heads.{name}": _growing(use, built.supplied) for name, use in recipe.heads.items()},
        }
    features, encoder, project, bottleneck = built.features, built.encoder, built.project, built.bottleneck
    rate = features.frame_rate / encoder.stride
    bits = bottleneck.num_codebooks * math.log2(max(1, bottleneck.num_codes))
    latents = math.ceil(recipe.train.batch_frames / encoder.stride)
    per = features.unit_of_time
    quantiser = (
        bottleneck.workspace(latents) + 2 * 4 * latents * project.dim
    )  # latents in, values out, float32
    return {
        "recipe": recipe.name,
        "data": recipe.data.name,
        "input frame": f"{' x '.join(map(str, features.shape))}, {features.frame_rate:g} per {per}",
        "encoder": f"{recipe.encoder.name}, stride {encoder.stride}, size {encoder.dim}",
        "latents": f"size {project.dim}, norm {recipe.latents.norm}",
        "bottleneck": f"{recipe.bottleneck.name}, {bottleneck.num_codebooks} x {bottleneck.num_codes} codes",
        f"units per {per}": round(rate, 6),
        f"bits per {per}": round(rate * bits, 6),
        **{f"parameters {name}": size for name, size in sizes.items()},
        "batch": f"{recipe.train.batch_frames:,} frames x {recipe.train.batches_per_step} per step, "
        f"{recipe.train.steps:,} steps",
        **({"announced": "; ".join(announced)} if announced else {}),
        "peak quantiser memory": f"{quantiser / 2**20:.1f} MiB for a batch of {latents:,} latents",
    }


def _build(recipe: Recipe) -> _Built:
    source: DataSource = recipe.data.build()
    features = source.features
    encoder: Encoder = recipe.encoder.build(features=features)
    project = Project(encoder.dim, recipe.latents)
    bottleneck: Bottleneck = recipe.bottleneck.build(dim=project.dim)
    supplied = {"dim": project.dim, "features": features, "stride": encoder.stride}
    return _Built(features, encoder, project, bottleneck, supplied)


def _announced(recipe: Recipe, built: _Built) -> Iterator[str]:
    explaining = [use for use in (recipe.decoder, *recipe.heads.values()) if use is not None]
    modules: list[tuple[str, nn.Module]] = [
        (recipe.encoder.where, built.encoder),
        (recipe.bottleneck.where, built.bottleneck),
        *((use.where, _build_sized(use, built.supplied, 1)) for use in explaining),
    ]
    for where, module in modules:
        for part in module.modules():
            if isinstance(part, Part):
                try:
                    yield from part.announce(recipe.train.steps)
                except RecipeError as error:
                    raise RecipeError(f"{where}: {error}") from error


def _growing(use: Use, supplied: dict[str, Any]) -> str:
    """Return the parameter count, with what each symbol or condition value of the data will add."""
    with torch.device("meta"):
        one, two = (_count(_build_sized(use, supplied, size)) for size in (1, 2))
    return f"{2 * one - two:,}" + (f" + {two - one:,} per symbol or speaker of the data" if two > one else "")


def _build_sized(use: Use, supplied: dict[str, Any], size: int) -> nn.Module:
    vocab = tuple(str(number) for number in range(size))
    attempts: list[Callable[[], nn.Module]] = [
        lambda kind=kind: use.build(  # type: ignore[misc]
            **supplied, targets=_Sized(TargetSpec(kind, vocab)), conditions=_Sized(size)
        )
        for kind in ("frames", "sequence")
    ]
    try:
        return attempts[0]()
    except RecipeError:
        return attempts[1]()


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
