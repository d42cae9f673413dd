"""What a recipe amounts to: shapes, rates, parameters, memory; found by building the parts, without reading data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from unitdisc import agreement, views
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


class Asked(dict[str, Any]):
    """Stands for names that only the data knows: has every one, and keeps those that were asked for.

    Args:
        make: Makes the entry of a name.
    """

    def __init__(self, make: Callable[[], object]) -> None:
        super().__init__()
        self.make = make

    def __contains__(self, name: object) -> bool:
        return self[str(name)] is not None

    def __missing__(self, name: str) -> object:
        self[name] = made = self.make()
        return made

    def get(self, name: str, default: object = None) -> object:
        """Return the entry of ``name``, which there always is."""
        del default
        return self[name]


class AnyKind(str):
    """Equal to every kind of target, as what the data's targets are is not known yet; keeps what was asked for."""

    __slots__ = ("heard",)
    __hash__ = str.__hash__
    heard: str

    def __eq__(self, other: object) -> bool:
        self.heard = str(other)
        return isinstance(other, str)

    def __ne__(self, other: object) -> bool:
        return not self == other


@dataclass(frozen=True)
class Skeleton:
    """The parts of a recipe that need nothing of the data."""

    features: FeatureSpec
    encoder: Encoder
    project: Project
    bottleneck: Bottleneck
    supplied: dict[str, Any]

    def sized(self, use: Use, size: int) -> nn.Module:
        """Build decoder or head as if every target and condition of the data had ``size`` values."""
        spec = TargetSpec(AnyKind("frames"), tuple(str(number) for number in range(size)))  # type: ignore[arg-type]
        return self.completed(use, targets=Asked(lambda: spec), conditions=Asked(lambda: size))

    def completed(self, use: Use, *, targets: dict[str, TargetSpec], conditions: dict[str, int]) -> nn.Module:
        """Build decoder or head for data of this form."""
        supplied = views.supplied_to(use, self.supplied, self.bottleneck)
        built: nn.Module = use.build(**supplied, targets=targets, conditions=conditions)
        return built

    def growing(self, use: Use) -> str:
        """Return the parameter count, with what each symbol or condition value of the data will add."""
        one, two = (_count(self.sized(use, size)) for size in (1, 2))
        more = f" + {two - one:,} per symbol or speaker of the data" if two > one else ""
        return f"{2 * one - two:,}{more}"


def announcements(recipe: Recipe) -> list[str]:
    """Return what the parts say before training. Raises `RecipeError` when one asks for what will never happen."""
    with torch.device("meta"):
        return list(_announced(recipe, skeleton(recipe)))


def summarize(recipe: Recipe) -> dict[str, Any]:
    """Return what ``unitdisc check`` prints. Raises `RecipeError` when parts do not fit together."""
    with torch.device("meta"):
        built = skeleton(recipe)
        announced = list(_announced(recipe, built))
        sizes = {
            "encoder": f"{_count(built.encoder) + _count(built.project):,}",
            "bottleneck": f"{_count(built.bottleneck):,}",
            **({"decoder": built.growing(recipe.decoder)} if recipe.decoder else {}),
            **{f"heads.{name}": built.growing(use) for name, use in recipe.heads.items()},
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
        "input frame": f"{_shape(features)}, {features.frame_rate:g} per {per}",
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


def skeleton(recipe: Recipe) -> Skeleton:
    """Build what needs nothing of the data, on torch's default device."""
    source: DataSource = recipe.data.build()
    features = source.features
    if features.grid is not None and recipe.train.crop is not None:
        raise RecipeError("train.crop: pictures are trained on as a whole; set train.crop to null")
    encoder: Encoder = recipe.encoder.build(features=features, conditions=Asked(lambda: 1))
    project = Project(encoder.dim, recipe.latents)
    bottleneck: Bottleneck = recipe.bottleneck.build(dim=project.dim)
    supplied = {
        "dim": project.dim,
        "features": features,
        "stride": encoder.stride,
        "grid": encoder.grid,
        "num_codes": bottleneck.num_codes,
        "num_codebooks": bottleneck.num_codebooks,
    }
    return Skeleton(features, encoder, project, bottleneck, supplied)


def _announced(recipe: Recipe, built: Skeleton) -> Iterator[str]:
    yield from agreement.announce(recipe.train)
    modules: list[tuple[str, nn.Module]] = [
        (recipe.encoder.where, built.encoder),
        (recipe.bottleneck.where, built.bottleneck),
        *((use.where, built.sized(use, 1)) for use in recipe.explaining()),
    ]
    for where, module in modules:
        for part in module.modules():
            if isinstance(part, Part):
                try:
                    yield from part.announce(recipe.train.steps)
                except RecipeError as error:
                    raise RecipeError(f"{where}: {error}") from error


def _shape(features: FeatureSpec) -> str:
    size = features.vocab_size
    return f"one of {size:,} tokens" if size is not None else " x ".join(map(str, features.shape))


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
