"""Images of lines as columns of a given height."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from unitdisc.images import FORMATS, MAX_PIXELS, array_to_grey, read_grey, scaled_width

__all__ = ["FORMATS", "MAX_PIXELS", "array_to_grey", "read_grey", "scaled_width", "to_columns"]


def to_columns(grey: np.ndarray, height: int) -> Tensor:
    """Return (T, height) float32 of a (H, W) grey image, T is its `scaled_width`."""
    if len(grey) != height:
        size = (scaled_width(grey.shape[1], grey.shape[0], height), height)
        # Pillow's triangle filter averages where it reduces, and never leaves the range of the pixels.
        scaled = Image.fromarray(grey).resize(size, Image.Resampling.BILINEAR)
        grey = np.asarray(scaled).clip(0, 1)
    return torch.from_numpy(np.ascontiguousarray(grey.T))
