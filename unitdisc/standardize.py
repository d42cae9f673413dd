"""Mean and deviation of the training split, measured once before training and kept in the model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from unitdisc import distributed

if TYPE_CHECKING:
    from unitdisc.data import Split
    from unitdisc.model import Standardize

_FLOOR = 1e-3
"""Smallest deviation: digital silence has none, and dividing by it would blow noise up."""


def measure_(layer: Standardize, split: Split) -> None:
    """Set the layer's mean and deviation from all frames of ``split``, each rank reading its share.

    Sums are taken in float64 around the first example's mean, so that data far from the origin loses nothing.
    """
    device = layer.mean.device
    around = split[0].inputs.double().mean(0).to(device)
    sums = torch.zeros(2, *around.shape, dtype=torch.float64, device=device)
    count = torch.zeros((), dtype=torch.float64, device=device)
    for index in range(distributed.rank(), len(split), distributed.world_size()):
        frames = split[index].inputs.to(device).double() - around
        sums[0] += frames.sum(0)
        sums[1] += frames.square().sum(0)
        count += len(frames)
    mean, square = distributed.all_sum_(sums) / distributed.all_sum_(count)
    layer.mean.copy_(mean + around)
    layer.deviation.copy_((square - mean.square()).clamp(min=0).sqrt().clamp(min=_FLOOR))
