"""Valid latents of a padded batch, and back: padding must reach neither search, nor loss, nor statistics."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from unitdisc.parts import Padded


def valid_latents(latents: Padded) -> tuple[Tensor, Tensor]:
    """Return the valid latents (N, D) of (B, S, D) and their places (N,) among the B * S.

    Raises:
        ValueError: A valid latent is NaN or infinite.
    """
    mask, values = latents.mask, latents.values.flatten(0, 1)
    if mask.all():  # nothing to leave out, nothing to copy
        places, vectors = torch.arange(len(values), device=values.device), values
    else:
        places = mask.flatten().nonzero().squeeze(1)
        vectors = values.index_select(0, places)
    if not torch.isfinite(vectors.detach().sum()):  # one pass; only then the slower count
        bad = int((~torch.isfinite(vectors.detach())).any(1).sum())
        if bad:
            raise ValueError(
                f"{bad} of {len(vectors)} latents are not finite; nothing was quantised or counted"
            )
    return vectors, places


def put_back(vectors: Tensor, places: Tensor, latents: Padded, *, fill: float) -> Tensor:
    """Return (B, S, ...) with ``vectors`` (N, ...) at their places and ``fill`` on padding."""
    batch, steps = latents.values.shape[:2]
    if len(places) == batch * steps:
        return vectors.view(batch, steps, *vectors.shape[1:])
    empty = vectors.new_full((batch * steps, *vectors.shape[1:]), fill)
    return empty.index_copy(0, places, vectors).view(batch, steps, *vectors.shape[1:])
