"""The assembled model: encoder, normalisation and projection of the latents, bottleneck, decoder and heads."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from unitdisc import views
from unitdisc.coded import Coded
from unitdisc.errors import RecipeError
from unitdisc.layers.batch_norm import MaskedBatchNorm
from unitdisc.missing import without_missing
from unitdisc.parts import Batch, Bottleneck, Decoder, Encoder, Head, Padded, Part, Place, Quantized

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from unitdisc.data import FeatureSpec, TargetSpec
    from unitdisc.recipe import Recipe
    from unitdisc.settings import Latents


class NonFiniteLatentsError(Exception):
    """The encoder returned NaN or infinity; nothing has reached the codebook."""


@dataclass(frozen=True)
class Losses:
    """What one micro-batch contributes.

    Args:
        total: (), the sum over this batch's valid input frames of everything that is minimised.
        num_frames: Valid input frames.
        parts: Loss per frame of "bottleneck" (per latent), "decoder" and each head.
        stats: Numbers for the log, as "part.name".
        codes: (B, S, Q) int64, -1 on padding.
    """

    total: Tensor
    num_frames: int
    parts: dict[str, Tensor]
    stats: dict[str, Tensor]
    codes: Tensor


class Standardize(Part):
    """Subtracts the training split's mean and divides by its deviation, per element (global CMVN)."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("deviation", torch.ones(shape))

    def forward(self, inputs: Padded) -> Padded:
        """Return (B, T, *shape), zeros on padding."""
        values = (inputs.values - self.mean) / self.deviation
        return Padded(values * _expand(inputs.mask, values), inputs.lengths)


class Project(Part):
    """What stands before every rule: optional batch normalisation, then a linear projection to D (paper A)."""

    def __init__(self, dim: int, settings: Latents) -> None:
        super().__init__()
        self.norm = MaskedBatchNorm(dim) if settings.norm == "batch" else None
        self.linear = nn.Linear(dim, settings.dim) if settings.dim is not None else None
        self.dim = settings.dim or dim

    def forward(self, latents: Padded) -> Padded:
        """Return (B, S, D), zeros on padding."""
        values = latents.values
        if self.norm is not None:
            values = self.norm(values, latents.mask)
        if self.linear is not None:
            values = self.linear(values)
        return Padded(torch.where(latents.mask[..., None], values, 0), latents.lengths)


class Model(nn.Module):
    """Encoder, latents, bottleneck, decoder and heads behind one forward pass.

    Args:
        encoder: Inputs to latents.
        project: What stands between encoder and bottleneck.
        bottleneck: Latents to codes.
        decoder: Explains the inputs, or None.
        heads: Predict targets.
        places: What each head looks at.
        features: What an input frame is.
        conditions: The values of each condition in order, such as the pieces that spell source sentences.
    """

    def __init__(
        self,
        *,
        encoder: Encoder,
        project: Project,
        bottleneck: Bottleneck,
        decoder: Decoder | None,
        heads: Mapping[str, Head],
        places: Mapping[str, Place],
        features: FeatureSpec,
        conditions: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        super().__init__()
        self.features = features
        self.conditions = {name: tuple(values) for name, values in (conditions or {}).items()}
        self.standardize = Standardize(features.shape) if features.standardize else None
        self.encoder = encoder
        self.project = project
        self.bottleneck = bottleneck
        self.decoder = decoder
        # A prefix, because a ModuleDict refuses names of its own methods, such as "keys".
        self.named_heads = nn.ModuleDict({f"head_{name}": head for name, head in heads.items()})
        self.places = dict(places)

    @property
    def heads(self) -> dict[str, Head]:
        """Heads by the name that the recipe gives them."""
        return {name.removeprefix("head_"): head for name, head in self.named_heads.items()}  # type: ignore[misc]

    @property
    def stride(self) -> int:
        """Input frames per latent."""
        return self.encoder.stride

    @property
    def device(self) -> torch.device:
        """Where its numbers are; where nothing learns there may be buffers alone."""
        return next(chain(self.parameters(), self.buffers()), torch.empty(0)).device

    def parts(self) -> Iterator[Part]:
        """Yield every Part inside, outer before inner, in an order that is the same on every rank."""
        for module in self.modules():
            if isinstance(module, Part):
                yield module

    def standardized(self, batch: Batch) -> Batch:
        """Return the batch as encoder and decoder see it."""
        return batch if self.standardize is None else batch.with_inputs(self.standardize(batch.inputs))

    def encode(self, batch: Batch) -> Padded:
        """Return finite float32 latents (B, S, D) of a standardised batch. Raises `NonFiniteLatentsError`."""
        given = (batch.conditions,) if self.encoder.is_conditional else ()
        latents = self.project(self.encoder(batch.inputs, *given))
        values = latents.values.float()
        if not torch.isfinite(values).all():
            raise NonFiniteLatentsError
        return Padded(values, latents.lengths)

    def quantize(self, latents: Padded) -> Quantized:
        """Run the bottleneck in float32 whatever the surrounding precision."""
        with torch.autocast(latents.values.device.type, enabled=False):
            return self.bottleneck(latents)  # type: ignore[no-any-return]

    def views(
        self,
        inputs: Padded,
        latents: Padded | None,
        seen: Padded,
        codes: Tensor,
        samples: Tensor | None = None,
    ) -> dict[Place, Padded]:
        """Return what the heads look at, by place, each (B, S, size); places that no head looks at are left out.

        Args:
            inputs: Standardised frames (B, T, ...).
            latents: Before the bottleneck; None where they are not known and not wanted.
            seen: After it.
            codes: (B, S, Q), -1 on padding.
            samples: (B, S, Q, m), where the rule draws some.
        """
        wanted = set(self.places.values())
        found: dict[Place, Padded] = {"bottleneck": Coded(seen.values, seen.lengths, codes, samples)}
        if "encoder" in wanted and latents is not None:
            found["encoder"] = latents
        if "input" in wanted:
            found["input"] = views.stacked(inputs, self.stride, seen.lengths)
        if "units" in wanted:
            found["units"] = views.Indicators(codes, self.bottleneck.num_codes, seen.lengths)
        if "codes" in wanted:
            found["codes"] = Padded(codes, seen.lengths)
        return found

    def forward(self, batch: Batch) -> Losses:
        """Return the losses of one micro-batch. Raises `NonFiniteLatentsError`."""
        batch = self.standardized(batch)
        latents = self.encode(batch)
        quantized = self.quantize(latents)
        seen = Padded(quantized.values, latents.lengths)
        parts = {"bottleneck": quantized.loss.float()}
        stats = {f"bottleneck.{name}": value for name, value in quantized.stats.items()}
        # The bottleneck's mean is over latents; times stride it weighs as if over frames, whatever the lengths.
        total = parts["bottleneck"] * latents.lengths.sum() * self.stride
        looks = self.views(batch.inputs, latents, seen, quantized.codes, quantized.samples)
        for name, part, place in self.explaining():
            loss, numbers = part(looks[place], batch)
            parts[name] = loss.float()
            stats |= {f"{name}.{key}": value for key, value in numbers.items()}
            total = total + parts[name] * batch.num_frames
        return Losses(total, batch.num_frames, parts, stats, quantized.codes)

    def explaining(self) -> Iterator[tuple[str, nn.Module, Place]]:
        """Yield decoder and heads by name, with what each looks at."""
        if self.decoder is not None:
            yield "decoder", self.decoder, "bottleneck"
        for name, head in self.heads.items():
            yield name, head, self.places[name]

    def param_groups(self) -> list[dict[str, Any]]:
        """Return optimiser groups: the parts' own, then everything that no part named, with ``lr_scale``."""
        groups = [group for part in self.parts() for group in part.param_groups()]
        named = {id(parameter) for group in groups for parameter in group["params"]}
        rest = [p for p in self.parameters() if id(p) not in named and p.requires_grad]
        return [{"params": rest, "lr_scale": 1.0}, *groups]


def build(
    recipe: Recipe,
    features: FeatureSpec,
    targets: Mapping[str, TargetSpec],
    conditions: Mapping[str, Sequence[str]],
) -> Model:
    """Build the model of a recipe for data of this form, initialised from the recipe's seed."""
    if taken := {"bottleneck", "decoder"} & set(recipe.heads):
        raise RecipeError(
            f"heads.{taken.pop()}: is the name of a part of the model in the log; take another name"
        )
    recipe = without_missing(recipe, targets=targets)
    torch.manual_seed(recipe.seed)
    numbers = {name: len(values) for name, values in conditions.items()}
    encoder = recipe.encoder.build(features=features, conditions=numbers)
    # In this order, so that a probe more or less leaves the first weights of all others as they were.
    project = Project(encoder.dim, recipe.latents)
    bottleneck: Bottleneck = recipe.bottleneck.build(dim=project.dim)
    supplied = {
        "dim": project.dim,
        "features": features,
        "stride": encoder.stride,
        "grid": encoder.grid,
        "targets": dict(targets),
        "conditions": numbers,
        "num_codes": bottleneck.num_codes,
        "num_codebooks": bottleneck.num_codebooks,
    }
    return Model(
        encoder=encoder,
        project=project,
        bottleneck=bottleneck,
        decoder=recipe.decoder.build(**supplied) if recipe.decoder else None,
        heads={
            name: use.build(**views.supplied_to(use, supplied, bottleneck))
            for name, use in recipe.heads.items()
        },
        places={name: views.place(use) for name, use in recipe.heads.items()},
        features=features,
        conditions=conditions,
    )


def _expand(mask: Tensor, values: Tensor) -> Tensor:
    return mask.view(*mask.shape, *[1] * (values.dim() - 2))
