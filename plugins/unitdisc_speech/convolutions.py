"""A small encoder that sees only what is near a latent: convolutions over time, then layers frame by frame."""

from __future__ import annotations

from math import prod
from typing import Annotated

import torch.nn.functional as F
from annotated_types import Ge, Gt, Lt
from torch import Tensor, nn

from unitdisc.data import FeatureSpec
from unitdisc.errors import RecipeError
from unitdisc.parts import Encoder, Padded


class Convolutions(Encoder):
    """Strided convolutions over time and a multilayer perceptron on each latent (van Niekerk et al. 2020).

    The defaults are the encoder of VQ-CPC in the released code: one convolution over 4 frames, which makes one
    latent of two, then four linear layers, each behind layer normalisation and a ReLU. Differs from it: a
    convolution's window is centred on the frames that its output stands for.

    What a latent cannot see it cannot tell: contrastive prediction of what follows needs such an encoder.

    Args:
        features: What one input frame is.
        channels: Size of every layer, and so of a latent.
        kernels: Width of each convolution, in frames of what goes into it.
        strides: Stride of each convolution; their product is the number of frames per latent.
        layers: Linear layers after the convolutions.
        dropout: Share of values dropped before each linear layer.
    """

    def __init__(
        self,
        features: FeatureSpec,
        *,
        channels: Annotated[int, Gt(0)] = 512,
        kernels: tuple[Annotated[int, Gt(0)], ...] = (4,),
        strides: tuple[Annotated[int, Gt(0)], ...] = (2,),
        layers: Annotated[int, Ge(0)] = 4,
        dropout: Annotated[float, Ge(0), Lt(1)] = 0.0,
    ) -> None:
        super().__init__()
        if not kernels or len(kernels) != len(strides):
            raise RecipeError(
                f"kernels: {len(kernels)} of them and {len(strides)} strides; give one of each per convolution"
            )
        self.dim = channels
        self.stride = prod(strides)
        sizes = [prod(features.shape), *[channels] * (len(kernels) - 1)]
        self.convolutions = nn.ModuleList(
            nn.Conv1d(size, channels, kernel, stride, bias=False)
            for size, kernel, stride in zip(sizes, kernels, strides, strict=True)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for _ in kernels)
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.Dropout(dropout), nn.Linear(channels, channels, bias=False), nn.LayerNorm(channels)
            )
            for _ in range(layers)
        )

    def forward(self, inputs: Padded) -> Padded:
        """Return latents (B, S, channels); zeros stand on padding."""
        latents = Padded(inputs.values.flatten(2), inputs.lengths)
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            latents = _convolved(latents, convolution)
            latents = Padded(F.relu(norm(latents.values)), latents.lengths)
        values = latents.values
        for layer in self.layers:
            values = F.relu(layer(values))
        return Padded(values.masked_fill(~latents.mask[..., None], 0), latents.lengths)


def _convolved(frames: Padded, convolution: nn.Conv1d) -> Padded:
    """Map (B, T, D) to (B, ceil(T / stride), D'); what stands on padding counts as zeros."""
    (kernel,), (stride,) = convolution.kernel_size, convolution.stride
    num_frames = frames.values.shape[1]
    before = max(kernel - stride, 0) // 2
    after = (-(-num_frames // stride) - 1) * stride + kernel - num_frames - before
    values = frames.values.masked_fill(~frames.mask[..., None], 0).transpose(1, 2)
    convolved: Tensor = convolution(F.pad(values, (before, after)))
    return Padded(convolved.transpose(1, 2), (frames.lengths + stride - 1) // stride)
