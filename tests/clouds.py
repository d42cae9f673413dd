"""Samples to cluster, and their distances by definition."""

from __future__ import annotations

import torch


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def mixture(total: int, components: int, dim: int, *, spread: float = 0.1, seed: int = 0) -> torch.Tensor:
    centres = randn(components, dim, seed=seed)
    return centres[torch.arange(total) % components] + spread * randn(total, dim, seed=seed + 1)


def squared(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """All squared distances in float64, by their definition."""
    return (left.double()[:, None] - right.double()[None]).square().sum(2)
