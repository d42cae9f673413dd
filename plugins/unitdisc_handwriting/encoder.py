"""Convolutional and recurrent encoder of line images: one latent per four columns, or per two without the LSTMs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import torch
import torch.nn.functional as F
from annotated_types import Ge, Gt, Len
from torch import Tensor, nn

from unitdisc.errors import RecipeError
from unitdisc.layers.batch_norm import MaskedBatchNorm
from unitdisc.parts import Encoder, Padded, Part

if TYPE_CHECKING:
    from unitdisc.data import FeatureSpec

_KERNELS = ((3, 3), (5, 5), (3, 3), (3, 3), (3, 3), (3, 3), (3, 2))
_STRIDES = ((1, 2), (2, 2), (1, 1), (1, 2), (1, 1), (1, 2), (1, 1))
"""(columns, rows) of the seven convolutions."""
_LEAK = 0.1
_MIN_HEIGHT = 17
"""The strides leave ceil(height / 16) rows, and the last convolution covers two."""


class LineConv(Encoder):
    """Seven convolutions, then bidirectional LSTMs with a residual connection, on columns of pixels.

    The encoder of paper A's handwriting systems with the sizes of its released recipes. Each convolution is
    followed by batch normalisation and a leaky ReLU; it sees zeros behind a line's end, whatever stands
    there. The last LSTM layer reads pairs of vectors, so that a latent stands for four columns.

    Args:
        features: What one input frame is.
        channels: Output channels of the seven convolutions.
        hidden: Size of each LSTM direction.
        projection: Size of a latent and of what the LSTM layers hand to each other.
        layers: Bidirectional LSTM layers. 0 leaves the convolutions and a linear layer: a latent sees 27 columns
            and stands for two, so that what it says is there, as alignment needs it.
    """

    def __init__(
        self,
        features: FeatureSpec,
        *,
        channels: Annotated[tuple[Annotated[int, Gt(0)], ...], Len(7, 7)] = (
            64,
            128,
            256,
            256,
            512,
            512,
            512,
        ),
        hidden: Annotated[int, Gt(0)] = 32,
        projection: Annotated[int, Gt(0)] = 32,
        layers: Annotated[int, Ge(0)] = 2,
    ) -> None:
        super().__init__()
        if len(features.shape) != 1 or features.shape[0] < _MIN_HEIGHT:
            message = (
                f"encoder: line_conv reads columns of at least {_MIN_HEIGHT} pixels, the data has frames "
                f"of shape {features.shape}; set data.height to {_MIN_HEIGHT} or more (32 is usual)"
            )
            raise RecipeError(message)
        self.dim = projection
        self.stride = 4 if layers else 2
        sizes = zip((1, *channels), channels, _KERNELS, _STRIDES, strict=False)
        self.convolutions = nn.ModuleList(_Convolution(*size) for size in sizes)
        rows = -(-features.shape[0] // 16) - 1
        self.recurrent = nn.ModuleList(
            _Recurrent(
                channels[-1] * rows if layer == 0 else projection,
                hidden,
                projection,
                is_first=layer == 0,
                halves=layer == layers - 1,
            )
            for layer in range(layers)
        )
        self.linear = None if layers else nn.Linear(channels[-1] * rows, projection)

    def forward(self, inputs: Padded) -> Padded:
        """Return latents (B, ceil(T / stride), projection) of columns (B, T, height)."""
        values = inputs.values.masked_fill(~inputs.mask[:, :, None], 0)
        x = Padded(values[..., None], inputs.lengths)  # (B, T, F, C) throughout
        for convolution in self.convolutions:
            x = convolution(x)
        x = Padded(x.values.flatten(2), x.lengths)
        for layer in self.recurrent:
            x = layer(x)
        return x if self.linear is None else Padded(self.linear(x.values), x.lengths)


class _Convolution(Part):
    """Convolution, batch normalisation, leaky ReLU: (B, T, F, C) to (B, ceil(T / stride), F', C')."""

    def __init__(self, dim: int, channels: int, kernel: tuple[int, int], stride: tuple[int, int]) -> None:
        super().__init__()
        # Rows are not padded for the kernel of two: of the last two rows one is made.
        padding = (kernel[0] // 2, kernel[1] // 2 if kernel[1] % 2 else 0)
        self.convolution = nn.Conv2d(dim, channels, kernel, stride, padding, bias=False)
        self.norm = MaskedBatchNorm(channels)
        self.time_stride = stride[0]

    def forward(self, x: Padded) -> Padded:
        # The permuted view is what torch calls channels_last: nothing is copied on either side.
        values = self.convolution(x.values.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        out = Padded(values, _divide(x.lengths, self.time_stride))
        mask = out.mask
        values = F.leaky_relu(self.norm(values, mask), _LEAK)
        return Padded(values.masked_fill(~mask[:, :, None, None], 0), out.lengths)


class _Recurrent(Part):
    """Bidirectional LSTM, projected and added to the projected input: (B, S, dim) to (B, S, projection).

    Args:
        dim: Size of a vector that comes in.
        hidden: Size of each direction.
        projection: Size of a vector that goes out.
        is_first: Whether it stands behind a convolution, which has normalised what comes in.
        halves: Whether it reads pairs of vectors, so that ceil(S / 2) go out.
    """

    def __init__(self, dim: int, hidden: int, projection: int, *, is_first: bool, halves: bool) -> None:
        super().__init__()
        self.norm = None if is_first else MaskedBatchNorm(dim)
        self.halves = halves
        dim = 2 * dim if halves else dim
        self.onward = nn.LSTM(dim, hidden, batch_first=True)
        self.rearward = nn.LSTM(dim, hidden, batch_first=True)
        self.project = nn.Linear(2 * hidden, projection)
        self.shortcut = nn.Identity() if dim == projection else nn.Linear(dim, projection, bias=False)

    def forward(self, x: Padded) -> Padded:
        if self.norm is not None:
            values = self.norm(x.values, x.mask).masked_fill(~x.mask[:, :, None], 0)
            x = Padded(values, x.lengths)
        if self.halves:
            x = _pairs(x)
        values = self.project(self._read(x)) + self.shortcut(x.values)
        return Padded(values.masked_fill(~x.mask[:, :, None], 0), x.lengths)

    def _read(self, x: Padded) -> Tensor:
        # Padding stands behind a sequence read from either end, so nothing needs to be packed: on CPUs packed
        # sequences run 3 to 4 times slower than the fused kernel, on GPUs they wait for the lengths.
        past = self.onward(x.values)[0]
        future = self.rearward(_reversed(x).values)[0]
        return torch.cat([past, _reversed(Padded(future, x.lengths)).values], dim=2)


def _reversed(x: Padded) -> Padded:
    """Turn each sequence around within its length; padding stays behind it."""
    position = torch.arange(x.values.shape[1], device=x.lengths.device)
    source = torch.where(x.mask, x.lengths[:, None] - 1 - position, position)
    return Padded(x.values.gather(1, source[:, :, None].expand_as(x.values)), x.lengths)


def _pairs(x: Padded) -> Padded:
    """Join each two vectors into one; a last one alone is joined with zeros."""
    values = F.pad(x.values, (0, 0, 0, x.values.shape[1] % 2))
    return Padded(values.reshape(len(values), -1, 2 * values.shape[2]), _divide(x.lengths, 2))


def _divide(lengths: Tensor, stride: int) -> Tensor:
    """Return ceil(lengths / stride)."""
    return (lengths + stride - 1) // stride
