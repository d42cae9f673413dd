"""What heads may look at: one vector per latent from the units, the latents or the input, behind one shape."""

from __future__ import annotations

from functools import cached_property
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
    supplied = dict(supplied)
    if on == "input" and supplied["features"].vocab_size is not None:
        raise RecipeError(
            f"{use.where}: the inputs are numbers of tokens, which a {use.name} head cannot look at; look at "
            "bottleneck, encoder, units or codes"
        )
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


class Indicators(Padded):
    """Codes as vectors (B, S, Q * K) float32 with Q ones, zeros on padding; they are made when they are asked for.

    What needs them only in a product with a matrix takes `times`, which costs what Q rows of it cost.

    Args:
        codes: (B, S, Q) int64, -1 or anything on padding.
        num_codes: K.
        lengths: (B,) int64.
    """

    def __init__(self, codes: Tensor, num_codes: int, lengths: Tensor) -> None:
        offsets = num_codes * torch.arange(codes.shape[2], device=codes.device)
        is_valid = Padded(codes, lengths).mask[..., None] & (codes >= 0)
        self.__dict__.update(  # a frozen dataclass has no other way
            lengths=lengths,
            size=num_codes * codes.shape[2],
            places=codes.where(is_valid, 0) + offsets,  # (B, S, Q) in [0, Q * K)
            is_valid=is_valid,
        )

    size: int
    places: Tensor
    is_valid: Tensor

    @cached_property
    def values(self) -> Tensor:
        """(B, S, Q * K)."""
        zeros = torch.zeros(*self.places.shape[:2], self.size, device=self.places.device)
        return zeros.scatter_(2, self.places, self.is_valid.float())

    @property
    def mask(self) -> Tensor:
        """(B, S) bool, true on valid latents."""
        return torch.arange(self.places.shape[1], device=self.lengths.device) < self.lengths[:, None]

    def detach(self) -> Padded:
        """Return itself: no gradient passes through codes."""
        return self

    def times(self, matrix: Tensor) -> Tensor:
        """Return (B, S, N), ``values`` times ``matrix`` (Q * K, N)."""
        return (F.embedding(self.places, matrix) * self.is_valid[..., None]).sum(2)
