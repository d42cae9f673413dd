"""The encoder that leaves the frames as they are: the baseline of what learning adds."""

from __future__ import annotations

from math import prod
from typing import Annotated

import torch.nn.functional as F
from annotated_types import Gt

from unitdisc.data import FeatureSpec
from unitdisc.parts import Encoder, Padded


class Identity(Encoder):
    """Gives the input frames as latents, one by one or several in a row; nothing in it learns.

    Args:
        features: What one input frame is.
        stride: Frames whose values stand one after the other in a latent; behind the last frame of a recording
            stand zeros, which is the mean of standardised features.
    """

    def __init__(self, features: FeatureSpec, *, stride: Annotated[int, Gt(0)] = 1) -> None:
        super().__init__()
        self.stride = stride
        self.dim = stride * prod(features.shape)

    def forward(self, inputs: Padded) -> Padded:
        """Return latents (B, S, dim); zeros stand on padding."""
        frames = inputs.values.flatten(2).masked_fill(~inputs.mask[..., None], 0)
        frames = F.pad(frames, (0, 0, 0, -frames.shape[1] % self.stride))
        lengths = (inputs.lengths + self.stride - 1) // self.stride
        return Padded(frames.unflatten(1, (-1, self.stride)).flatten(2), lengths)
