"""What the decoders of line images share: grey levels, what they are told of a line, which data they can explain."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from unitdisc.errors import RecipeError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from unitdisc.data import FeatureSpec
    from unitdisc.parts import Padded


def check_lines(
    name: str, features: FeatureSpec, conditions: Mapping[str, int], condition: str | None
) -> None:
    """Raise `RecipeError` unless the data has columns of pixels and the condition that decoder ``name`` wants."""
    if len(features.shape) != 1 or features.standardize or features.grid is not None:
        found = "standardised frames" if features.standardize else f"frames, one per {features.unit_of_time},"
        raise RecipeError(
            f"decoder: {name} explains columns of pixels in [0, 1], the data has {found} of shape "
            f"{features.shape}; choose a decoder made for them"
        )
    if condition is not None and not conditions.get(condition):
        known = ", ".join(sorted(conditions)) or "none"
        raise RecipeError(
            f"decoder.condition: the data has no condition {condition!r} (it has: {known}); "
            "set decoder.condition to one of them, or to null"
        )


def grey_levels(inputs: Padded, levels: int) -> Tensor:
    """Return (B, T, F) int64 in [0, levels): pixel x has the level min(floor(x * levels), levels - 1).

    Values beyond a line's end may be anything, so they are put away before; they have the level 0.
    """
    values = inputs.values.masked_fill(~inputs.mask[:, :, None], 0)
    return (values * levels).floor().clamp(0, levels - 1).long()


def told(latents: Tensor, table: Tensor | None, condition: Tensor | None) -> Tensor:
    """Return latents (B, S, D) with the row of ``table`` (N, D) that ``condition`` (B,) names added to each line.

    -1, a value that training did not know, and no condition at all mean the mean of the rows.
    """
    if table is None:
        return latents
    rows = torch.cat([table, table.mean(0, keepdim=True)])
    return latents + (rows[-1] if condition is None else rows[condition][:, None])


def bits(loss: Tensor, height: int, levels: int) -> dict[str, Tensor]:
    """Return "bpd", bits per pixel of nats per column, and the levels, without which it means nothing."""
    bpd = loss / (height * math.log(2))
    return {"bpd": bpd, "levels": torch.tensor(float(levels), device=bpd.device)}
