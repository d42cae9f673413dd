"""Quantised latents with the codes that they stand for: what decoders and heads on "bottleneck" see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from unitdisc.parts import Padded

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Coded(Padded):
    """Quantised latents (B, S, D), with their codes for the few decoders that predict codes, too.

    Args:
        codes: (B, S, Q) int64 in [0, K), -1 on padding; Q = 0 where nothing is quantised.
        samples: (B, S, Q, m) int64, -1 on padding, where a rule draws m codes per latent in training: their mean
            one-hot is the soft target of what predicts codes (paper B, section 4).
    """

    codes: Tensor
    samples: Tensor | None = None

    def detach(self) -> Coded:
        """Return the same sequences, through which no gradient passes."""
        return Coded(self.values.detach(), self.lengths, self.codes, self.samples)
