"""The acoustic encoder: convolutions over time and frequency, then bidirectional LSTMs."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Annotated

import torch.nn.functional as F
from annotated_types import Ge, Gt, Lt
from torch import Tensor, nn

from unitdisc.data import FeatureSpec
from unitdisc.errors import RecipeError
from unitdisc.layers.batch_norm import MaskedBatchNorm
from unitdisc.parts import Encoder, Padded

if TYPE_CHECKING:
    from collections.abc import Sequence


class DeepSpeech(Encoder):
    """Deep Speech 2: strided convolutions, then LSTMs both ways (Amodei et al. 2016; paper A, section IV-A).

    The defaults are the network of paper A's released code: two 7 x 7 convolutions, batch normalisation and a
    ReLU cut at 20, time reduced by 3, then four bidirectional LSTMs whose directions are summed.
    Differs from it: a convolution's window is centred on the frames that its output stands for.

    Args:
        features: What one input frame is: (C, F) channels and bands, or (F,) for a single channel.
        channels: Output channels of each convolution.
        kernel: Width of every convolution, in frames and in bands.
        time_strides: Stride over time of each convolution; their product is the number of frames per latent.
        freq_strides: Stride over the bands of each convolution.
        hidden: Size of each LSTM direction, and so of a latent.
        layers: Number of bidirectional LSTMs; 0 puts one linear layer in their place.
        dropout: Share of values dropped between the LSTMs.
    """

    def __init__(
        self,
        features: FeatureSpec,
        *,
        channels: tuple[Annotated[int, Gt(0)], ...] = (32, 32),
        kernel: Annotated[int, Gt(0)] = 7,
        time_strides: tuple[Annotated[int, Gt(0)], ...] = (1, 3),
        freq_strides: tuple[Annotated[int, Gt(0)], ...] = (2, 1),
        hidden: Annotated[int, Gt(0)] = 320,
        layers: Annotated[int, Ge(0)] = 4,
        dropout: Annotated[float, Ge(0), Lt(1)] = 0.0,
    ) -> None:
        super().__init__()
        _check(features, channels, time_strides, freq_strides)
        self.dim = hidden
        self.stride = prod(time_strides)
        in_channels, bands = (1, *features.shape)[-2:]
        self.convolutions = nn.ModuleList()
        for out_channels, over_time, over_freq in zip(channels, time_strides, freq_strides, strict=True):
            self.convolutions.append(_Convolution(in_channels, out_channels, kernel, (over_time, over_freq)))
            in_channels, bands = out_channels, -(-bands // over_freq)
        flat = bands * in_channels
        self.linear = nn.Linear(flat, hidden) if layers == 0 else None
        self.recurrent = nn.ModuleList(
            _SummedLSTM(hidden if layer else flat, hidden) for layer in range(layers)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, inputs: Padded) -> Padded:
        """Return latents (B, S, hidden); zeros stand on padding."""
        values = inputs.values if inputs.values.dim() == 4 else inputs.values.unsqueeze(2)  # (B, T, C, F)
        values = values.transpose(2, 3).masked_fill(~_over(inputs.mask, values), 0)  # (B, T, F, C)
        images = Padded(values, inputs.lengths)
        for convolution in self.convolutions:
            images = convolution(images)
        latents = Padded(images.values.flatten(2), images.lengths)  # (B, S, F * C)
        if self.linear is not None:
            return Padded(self.linear(latents.values) * latents.mask[..., None], latents.lengths)
        for number, layer in enumerate(self.recurrent):
            latents = layer(
                Padded(self.dropout(latents.values) if number else latents.values, latents.lengths)
            )
        return latents


class _Convolution(nn.Module):
    """Convolution, batch normalisation over valid frames, ReLU cut at 20; zeros stay on padding."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, strides: tuple[int, int]) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(in_channels, out_channels, kernel, strides, bias=False)
        self.norm = MaskedBatchNorm(out_channels)

    def forward(self, images: Padded) -> Padded:
        """Map (B, T, F, C) to (B, ceil(T / stride), ceil(F / stride), C')."""
        _, num_frames, num_bands, _ = images.values.shape
        kernel, (over_time, over_freq) = self.convolution.kernel_size[0], self.convolution.stride
        pads = (*_pads(num_bands, kernel, over_freq), *_pads(num_frames, kernel, over_time))
        # (B, C, T, F) whose memory stays (B, T, F, C): the channels-last form of convolutions.
        values = self.convolution(F.pad(images.values.permute(0, 3, 1, 2), pads))
        lengths = (images.lengths + over_time - 1) // over_time
        result = Padded(values.permute(0, 2, 3, 1), lengths)
        values = F.hardtanh(self.norm(result.values, result.mask), 0.0, 20.0)
        return Padded(values * _over(result.mask, values), lengths)


class _SummedLSTM(nn.Module):
    """LSTM in both directions, summed, without bias; zeros stand on padding."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(dim, hidden, bias=False, batch_first=True, bidirectional=True)

    def forward(self, latents: Padded) -> Padded:
        """Map (B, S, D) to (B, S, hidden)."""
        both = self.lstm(latents.values)[0] if self._is_full(latents) else self._packed(latents)
        return Padded(both.unflatten(2, (2, -1)).sum(2) * latents.mask[..., None], latents.lengths)

    def _packed(self, latents: Padded) -> Tensor:
        # A sequence without latents cannot be packed: it is given one, which the mask takes away again.
        lengths = latents.lengths.clamp(min=1).cpu()
        packed = nn.utils.rnn.pack_padded_sequence(
            latents.values, lengths, batch_first=True, enforce_sorted=False
        )
        both, _ = nn.utils.rnn.pad_packed_sequence(
            self.lstm(packed)[0], batch_first=True, total_length=latents.values.shape[1]
        )
        return both

    @staticmethod
    def _is_full(latents: Padded) -> bool:
        """Whether there is no padding, as with crops: packed sequences take the CPU 1.6 times as long."""
        return bool((latents.lengths == latents.values.shape[1]).all())


def _pads(length: int, kernel: int, stride: int) -> tuple[int, int]:
    """Return the zeros before and after for ceil(length / stride) outputs, each centred on its inputs."""
    before = max(kernel - stride, 0) // 2
    outputs = -(-length // stride)
    return before, (outputs - 1) * stride + kernel - length - before


def _over(mask: Tensor, values: Tensor) -> Tensor:
    """Return the mask (B, T) with as many dimensions as ``values`` (B, T, ...)."""
    return mask.view(*mask.shape, *[1] * (values.dim() - 2))


def _check(
    features: FeatureSpec, channels: Sequence[int], time_strides: Sequence[int], freq_strides: Sequence[int]
) -> None:
    if len(features.shape) not in {1, 2}:
        raise RecipeError(f"a frame has shape {features.shape}; accepted are (bands,) and (channels, bands)")
    if not len(channels) == len(time_strides) == len(freq_strides):
        raise RecipeError(
            f"channels: {len(channels)} sizes, {len(time_strides)} time_strides and {len(freq_strides)} "
            "freq_strides; give one of each per convolution"
        )
