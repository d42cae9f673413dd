"""Residual blocks of van den Oord et al. (2017), which encoder and decoder share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor


class Residual(nn.Module):
    """Adds ReLU, 3 x 3 convolution, ReLU, 1 x 1 convolution to what comes in: (B, C, rows, columns) to the same.

    Args:
        channels: C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.wide = nn.Conv2d(channels, channels, 3, padding=1)
        self.narrow = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum."""
        return x + self.narrow(F.relu(self.wide(F.relu(x))))  # type: ignore[no-any-return]


class Dense(nn.Module):
    """A linear layer over a whole picture: (B, C, rows, columns) to (B, C, rows', columns').

    Args:
        channels: C.
        before: Rows and columns that come in.
        after: Rows and columns that go out.
    """

    def __init__(self, channels: int, before: tuple[int, int], after: tuple[int, int]) -> None:
        super().__init__()
        self.after = after
        fan_in, fan_out = (channels * rows * columns for rows, columns in (before, after))
        self.linear = nn.Linear(fan_in, fan_out)

    def forward(self, x: Tensor) -> Tensor:
        """Return the picture in its new size."""
        x = self.linear(F.relu(x).permute(0, 2, 3, 1).flatten(1))
        return x.unflatten(1, (*self.after, -1)).permute(0, 3, 1, 2)  # type: ignore[no-any-return]
