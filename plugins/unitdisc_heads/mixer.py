"""Convolutions over neighbouring latents."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from unitdisc.parts import Padded

_DILATIONS = (1, 2, 1, 1)


class Mixer(nn.Module):
    """Lets neighbouring latents see each other: what the released code of paper A has behind its bottleneck.

    A linear map to ``channels``, then four residual convolutions of width 3 over ReLUs, the second with
    dilation 2, then a ReLU: each output sees 5 latents to either side.

    Args:
        dim: Size of a latent.
        channels: Size of what comes out.
    """

    def __init__(self, dim: int, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(dim, channels)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(channels, channels, 3, padding=dilation, dilation=dilation) for dilation in _DILATIONS
        )

    def forward(self, latents: Padded) -> Padded:
        """Map (B, S, D) to (B, S, channels); padding counts as zeros."""
        mask = latents.mask[:, None]  # (B, 1, S)
        values: Tensor = self.linear(latents.values.masked_fill(~latents.mask[..., None], 0)).transpose(1, 2)
        for convolution in self.convolutions:
            values = values + convolution(F.relu(values).masked_fill(~mask, 0))
        return Padded(F.relu(values).transpose(1, 2), latents.lengths)
