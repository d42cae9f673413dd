"""Units and latents in random order: what chance values are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from unitdisc.parts import Padded

if TYPE_CHECKING:
    from unitdisc.parts import Place


def shuffled_codes(codes: list[np.ndarray], rng: np.random.Generator) -> list[np.ndarray]:
    """Return the same units in random order over the whole split, in sequences of the same lengths."""
    if not codes:
        return []
    pooled = np.concatenate(codes)
    edges = np.cumsum([len(sequence) for sequence in codes])[:-1]
    return np.split(pooled[rng.permutation(len(pooled))], edges)


def shuffled_looks(looks: dict[Place, Padded], rng: np.random.Generator) -> dict[Place, Padded]:
    """Shuffle what stands before the bottleneck as well; what stands behind it is shuffled already."""
    before = ("encoder", "input")
    return {place: shuffled_latents(seen, rng) if place in before else seen for place, seen in looks.items()}


def shuffled_latents(latents: Padded, rng: np.random.Generator) -> Padded:
    """Return the same latents in random order over the whole batch."""
    values = latents.values.clone()
    valid = values[latents.mask]
    values[latents.mask] = valid[torch.from_numpy(rng.permutation(len(valid))).to(valid.device)]
    return Padded(values, latents.lengths)
