"""Convolutional encoder of pictures with residual connections."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Annotated

import torch
import torch.nn.functional as F
from annotated_types import Ge, Gt, Le
from torch import nn

from unitdisc.errors import RecipeError
from unitdisc.parts import Encoder, Padded
from unitdisc_images.residual import Dense, Residual

if TYPE_CHECKING:
    from unitdisc.data import FeatureSpec


class ResidualConv(Encoder):
    """Strided convolutions, then residual blocks, on whole pictures (van den Oord et al. 2017, section 4.1).

    With the defaults the encoder of that paper, which paper A's Table III follows: two 4 x 4 convolutions of
    stride 2 and two residual blocks, 256 channels everywhere, so that 32 x 32 pixels become 8 x 8 latents. The
    1 x 1 convolution to the size of the codewords is the recipe's ``latents.dim``.

    Args:
        features: What one input frame is.
        channels: Channels of every layer, and size of a latent.
        residual_layers: Residual blocks.
        halvings: Convolutions of stride 2, each of which halves rows and columns.
        kernel: Rows and columns of their windows; 5 in paper B.
        dense: Rows and columns of latents that a dense layer over the whole picture makes, as in paper B, whose
            four halvings leave 2 x 2 of 32 x 32 pixels; null keeps what the halvings leave.
    """

    def __init__(
        self,
        features: FeatureSpec,
        *,
        channels: Annotated[int, Gt(0)] = 256,
        residual_layers: Annotated[int, Ge(0)] = 2,
        halvings: Annotated[int, Ge(0), Le(8)] = 2,
        kernel: Annotated[int, Ge(2)] = 4,
        dense: tuple[Annotated[int, Gt(0)], Annotated[int, Gt(0)]] | None = None,
    ) -> None:
        super().__init__()
        if features.grid is None or features.standardize:
            raise RecipeError(
                f"encoder: residual_conv reads pictures, the data has frames of shape {features.shape} per "
                f"{features.unit_of_time}; choose data of pictures (use: images) or another encoder"
            )
        self.pixels = features.grid
        halved = self._halved(halvings)
        self.grid = dense or halved
        self.dim = channels
        self.stride = self._stride(self.grid)
        sizes = [features.shape[0], *[channels] * halvings]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before, after, kernel, 2, (kernel - 1) // 2) for before, after in pairwise(sizes)
        )
        if not halvings:
            self.convolutions.append(nn.Conv2d(features.shape[0], channels, 3, padding=1))
        self.residual = nn.Sequential(*(Residual(channels) for _ in range(residual_layers)))
        self.dense = Dense(channels, halved, dense) if dense else nn.ReLU()

    def forward(self, inputs: Padded) -> Padded:
        """Return latents (B, rows * columns of the grid, channels) of pixels (B, T, colours)."""
        rows, columns = self.pixels
        pixels = inputs.values[:, : rows * columns] - 0.5
        # The permuted view is what torch calls channels_last: nothing is copied on either side.
        x = pixels.unflatten(1, (rows, columns)).permute(0, 3, 1, 2)
        for number, convolution in enumerate(self.convolutions):
            x = convolution(F.relu(x) if number else x)
        x = self.dense(self.residual(x))
        values = x.permute(0, 2, 3, 1).flatten(1, 2)
        return Padded(values, torch.full_like(inputs.lengths, values.shape[1]))

    def _halved(self, halvings: int) -> tuple[int, int]:
        rows, columns = self.pixels
        if rows % 2**halvings or columns % 2**halvings:
            raise RecipeError(
                f"encoder.halvings: {rows} x {columns} pixels cannot be halved {halvings} times; lower it, or "
                f"choose data whose rows and columns are multiples of {2**halvings}"
            )
        return rows // 2**halvings, columns // 2**halvings

    def _stride(self, grid: tuple[int, int]) -> int:
        pixels, cells = (rows * columns for rows, columns in (self.pixels, grid))
        if pixels % cells:
            raise RecipeError(
                f"encoder.dense: {grid[0]} x {grid[1]} latents do not divide {pixels} pixels evenly; give rows and "
                "columns whose product does"
            )
        return pixels // cells
