"""Polyak averaging: a slow copy of the weights for evaluation and export."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Mapping


class Average:
    """Exponential moving average of the parameters (Polyak and Juditsky 1992, in the form of paper A, IV-C).

    Over the first steps the decay is min(decay, (1 + step) / (10 + step)), so that the initial weights are
    forgotten. Buffers (running means, codebooks of moving averages) are not averaged: the model's own are used.

    Args:
        model: Whose parameters to follow.
        decay: Weight of the past.

    Attributes:
        origin: The step after which the average began; its steps are counted from there.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.origin = 0
        self.values: dict[str, Tensor] = {
            name: parameter.detach().clone() for name, parameter in model.named_parameters()
        }

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Follow the parameters after ``step`` (counted from 1)."""
        age = step - self.origin
        decay = min(self.decay, (1 + age) / (10 + age))
        for name, parameter in model.named_parameters():
            self.values[name].lerp_(parameter, 1 - decay)

    @torch.no_grad()
    def restart(self, model: nn.Module, step: int) -> None:
        """Begin again with the parameters as they are after ``step``."""
        self.origin = step
        for name, parameter in model.named_parameters():
            self.values[name].copy_(parameter)

    def load(self, values: Mapping[str, Tensor], origin: int) -> None:
        """Take over saved averages."""
        self.origin = origin
        for name, value in values.items():
            self.values[name].copy_(value)
