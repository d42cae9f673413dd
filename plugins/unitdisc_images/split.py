"""Pictures of one split, in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from unitdisc.data import Example, HeldSplit
from unitdisc.parts import Batch, Padded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


def to_inputs(pixels: Tensor) -> Tensor:
    """Return (..., C) float32 in (0, 1) of bytes: the middles of 256 levels, so that each gives back its byte."""
    return (pixels.float() + 0.5) / 256


class PictureSplit(HeldSplit):
    """Pictures of one split, a byte per colour until they are asked for.

    Args:
        keys: Their ids.
        pixels: (N, T, C) uint8.
        labels: (N,) int64 on the same device; None where there are none.
    """

    def __init__(self, keys: Sequence[str], pixels: Tensor, labels: Tensor | None) -> None:
        self.keys = keys
        self.lengths = [pixels.shape[1]] * len(keys)
        self.pixels = pixels
        self.labels = labels

    def __getitem__(self, index: int) -> Example:
        """Return one picture."""
        targets = {} if self.labels is None else {"label": self.labels[index : index + 1]}
        return Example(self.keys[index], to_inputs(self.pixels[index]), targets)

    def batch(self, indices: Sequence[int]) -> Batch:
        """Return what `collate` makes of these pictures, where they lie."""
        chosen = torch.tensor(indices, device=self.pixels.device)
        inputs = to_inputs(self.pixels[chosen])
        targets = {}
        if self.labels is not None:
            targets["label"] = Padded(self.labels[chosen, None], torch.ones_like(chosen))
        lengths = torch.full_like(chosen, inputs.shape[1])
        batch = Batch([self.keys[index] for index in indices], Padded(inputs, lengths), targets)
        return batch.counted(len(indices) * inputs.shape[1])

    def to(self, device: torch.device) -> PictureSplit:
        """Return the same split on ``device``."""
        labels = None if self.labels is None else self.labels.to(device)
        return PictureSplit(self.keys, self.pixels.to(device), labels)
