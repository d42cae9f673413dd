"""Fertilities: how many tokens of the target each token of the source stands for (Gu et al. 2018, 3.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from torch import Tensor

    from unitdisc_translation.alignment import Aligner


def fertilities(aligner: Aligner, source: np.ndarray, target: np.ndarray, *, most: int) -> np.ndarray:
    """Return (U,) int64 in [0, most], target tokens for which each token of ``source`` stands.

    Both end with </s>; that of the source stands for that of the target and for nothing else. The sum is the
    length of the target, unless the target is more than ``most`` times as long as the source.
    """
    counts = np.bincount(aligner.align(source[:-1], target[:-1]), minlength=len(source))
    counts[-1] = 1
    return limited(counts, most)


def limited(counts: np.ndarray, most: int) -> np.ndarray:
    """Hand on to the next tokens, and where there is none to those before, what a token has more than ``most``."""
    found = counts.copy()
    over, places = 0, range(len(counts))
    for place in (*places, *reversed(places)):
        owed = found[place] + over
        found[place] = min(owed, most)
        over = owed - found[place]
    return found


def copied(fertility: Tensor, lengths: Tensor, width: int) -> Tensor:
    """Return (B, T) int64, of which place in the source each place of the target is a copy.

    Args:
        fertility: (B, U) int64, 0 on padding. Behind its sum the last token of the source is copied.
        lengths: (B,) of the sources.
        width: T.
    """
    ends = fertility.cumsum(1)
    places = torch.arange(width, device=fertility.device).repeat(len(fertility), 1)
    found = torch.searchsorted(ends, places, right=True)
    return torch.where(places < ends[:, -1:], found, lengths[:, None] - 1)
