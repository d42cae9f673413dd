"""What heads may look at: one vector per latent from the units, the latents or the input, behind one shape."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from unitdisc.errors import RecipeError
from unitdisc.parts import Bottleneck, Padded, Place

if TYPE_CHECKING:
    from collections.abc import Mapping

    from unitdisc.use import Use


def place(use: Use) -> Place:
    """Return what a head or decoder looks at."""
    chosen: Place = use.on or getattr(use.component, "places", ("bottleneck",))[0]
    return chosen


def supplied_to(use: Use, supplied: Mapping[str, Any], bottleneck: Bottleneck) -> dict[str, Any]:
    """Return ``supplied`` with ``dim`` as the size of the vectors that the head ``use`` looks at.

    Raises `RecipeError` for the units of a bottleneck that has none.
    """
    on = place(use)
    supplied = {
        **supplied,
        "num_codes": bottleneck.num_codes,
        "num_codebooks": bottleneck.num_codebooks,
    }
    if on == "input":
        return {**supplied, "dim": supplied["stride"] * prod(supplied["features"].shape)}
    if on in ("units", "codes"):
        dim = bottleneck.num_codebooks * (bottleneck.num_codes if on == "units" else 1)
        if bottleneck.num_codes == 0:
            raise RecipeError(
                f"{use.where}: the bottleneck quantises nothing, so a {use.name} head has no units to look at; "
                "look at bottleneck, encoder or input, or leave the head out"
            )
        return {**supplied, "dim": dim}
    return supplied


def stacked(inputs: Padded, stride: int, lengths: Tensor) -> Padded:
    """Return (B, S, stride * size), for each latent the input frames (B, T, ...) that it stands for.

    Frames behind the end of a sequence are zeros. ``lengths`` (B,) are those of the latents.
    """
    values = inputs.values.flatten(2).masked_fill(~inputs.mask[..., None], 0)
    values = F.pad(values, (0, 0, 0, -values.shape[1] % stride))
    return Padded(values.unflatten(1, (-1, stride)).flatten(2), lengths)


def indicators(codes: Tensor, num_codes: int, lengths: Tensor) -> Padded:
    """Return (B, S, Q * K) float32 with Q ones for the codes (B, S, Q), zeros on padding."""
    offsets = num_codes * torch.arange(codes.shape[2], device=codes.device)
    values = torch.zeros(*codes.shape[:2], num_codes * codes.shape[2], device=codes.device)
    return Padded(values.scatter_(2, codes.clamp(min=0) + offsets, (codes >= 0).float()), lengths)
